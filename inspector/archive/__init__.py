"""All frames of the last weeks, without loss and by coil: a process beside the line that no frame waits for."""
