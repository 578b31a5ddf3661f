"""The operator's page: a process beside the line that reads its results and never changes them.

It subscribes to the live view, asks decide for its state, and reads the records. A page that is slow, killed or
absent costs the line nothing.
"""
