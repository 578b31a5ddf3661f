"""Results for other machines: frames, coils and health, read from the line's files by position.

Each bus is a separate process. It reads the verdict log, the results of coils and decide's state, and keeps its
position on disk. No verdict waits for it, and nothing is copied for it: the log itself is the buffer while a peer
is away.
"""
