"""worker: gathers frames into batches, keeps the engine busy, and reports what each frame shows."""
