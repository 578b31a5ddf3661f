"""Numbers as text: digits in groups of three."""

from typing import Final

THIN_SPACE: Final = "\N{NARROW NO-BREAK SPACE}"
"""Separator between groups of three digits (ISO 80000-1): commas and points differ in meaning by country."""


def thousands(value: float, digits: int = 0) -> str:
    """Format a number with its digits in groups of three."""
    return f"{value:,.{digits}f}".replace(",", THIN_SPACE)
