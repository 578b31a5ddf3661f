"""Inspects an archive of frames again with another engine, and compares its verdicts with those on record."""
