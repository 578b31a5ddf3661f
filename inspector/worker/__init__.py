"""worker: gathers frames into batches, keeps the engine busy, and says of each frame what it shows."""
