"""The commands that run, check and measure a whole line."""
