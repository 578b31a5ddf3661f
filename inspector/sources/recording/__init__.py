"""Recordings: lossless frames with their times and strip positions, written and replayed."""
