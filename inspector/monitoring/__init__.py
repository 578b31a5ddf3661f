"""What a line counts and how it stands: counters, state, Prometheus text, HTTP."""
