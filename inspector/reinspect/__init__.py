"""Months of steel again: an archive of frames through another engine, held against the verdicts on record."""
