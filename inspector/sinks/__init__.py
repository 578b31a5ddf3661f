"""Sinks: where verdicts go. `sinks.py` holds them all; each has its own module."""
