"""The order of file names as people read them."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Final

_NUMBER: Final = re.compile(r"([0-9]+(?:\.[0-9]+)*)")
"""Digits, optionally with points between them."""

_HASH: Final = re.compile(r"[0-9a-f]{6,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""Names such as Kaggle's 0007a71bf, and UUIDs; their digits are not numbers."""


def in_natural_order(files: list[Path]) -> list[Path]:
    """Sort by name: numbers in names compare by value, 1.25 before 1.5 before 12; hashes compare as plain text."""
    hash_lengths = {len(path.stem) for path in files if _HASH.fullmatch(path.stem) and not path.stem.isdigit()}

    def key(path: Path) -> tuple[list[str | tuple[Decimal, ...]], str]:
        stem = path.stem
        if len(stem) in hash_lengths and _HASH.fullmatch(stem):
            return [stem], path.name
        parts = _NUMBER.split(stem.casefold())
        return [_value(part) if index % 2 else part for index, part in enumerate(parts)], path.name

    return sorted(files, key=key)


def _value(digits: str) -> tuple[Decimal, ...]:
    """Parse a number: one point is a decimal point; several points separate the parts of a version or a date."""
    if digits.count(".") == 1:
        return (Decimal(digits),)
    return tuple(Decimal(part) for part in digits.split("."))
