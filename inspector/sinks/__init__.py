"""Sinks: where verdicts go. `sinks.py` holds them all; each has a module of its own."""
