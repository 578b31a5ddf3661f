"""Publishes the line's results to an MQTT broker: a process beside the line that no verdict waits for."""
