"""The whole line as children of one process: table of processes, start, stop, engine swap."""
