"""Figures, not pass or fail: each prints a table and the machine. `make bench` runs them all."""
