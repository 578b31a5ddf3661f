"""strip: position, coils, Level 2 and coil verdicts. No frame's verdict waits for this process."""
