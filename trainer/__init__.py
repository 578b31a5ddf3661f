"""Training side: turns labelled frames into an engine folder that the line can run."""
