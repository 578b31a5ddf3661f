"""The strip process: position, coils, Level 2, coil verdicts. No verdict of a frame waits for it."""
