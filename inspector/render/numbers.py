"""Numbers as text for the report."""

import re
from typing import Final

from inspector.numbers import THIN_SPACE, thousands

_GROUPED: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def regroup(text: str) -> str:
    """Replace the commas between groups of three digits in a text with thin spaces."""
    return _GROUPED.sub(THIN_SPACE, text)


def share(part: float, of: float) -> str:
    """Format a part in per cent: one decimal, two below 1 %, none for 0 and 100 %; a dash if the whole is 0."""
    if of <= 0:
        return "–"
    percent = 100 * part / of
    digits = 0 if percent in (0, 100) else 2 if percent < 1 else 1
    return f"{percent:.{digits}f}{THIN_SPACE}%"


def length(mm: float) -> str:
    """Format a strip length in metres, to the centimetre; a position needs `metres`."""
    return f"{thousands(mm / 1000, 2)} m"


def metres(mm: float) -> str:
    """Format a strip position or length in metres, to the millimetre."""
    return f"{thousands(mm / 1000, 3)} m"


def square_mm(area_mm2: float) -> str:
    """Format an area; below 10 mm² with a decimal, because a pit may be smaller than 1 mm²."""
    return f"{thousands(area_mm2, 0 if area_mm2 >= 10 else 1)} mm²"


def frames(count: int) -> str:
    """Format a number of frames."""
    return f"{thousands(count)} frame{'s' * (count != 1)}"


def milliseconds(ms: float) -> str:
    """Format a duration: two decimals below 10 ms, one below 100 ms, then none."""
    return f"{thousands(ms, 0 if ms >= 100 else 1 if ms >= 10 else 2)} ms"
