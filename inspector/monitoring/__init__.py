"""Counters and state of a running line, its Prometheus metrics, and the health server."""
