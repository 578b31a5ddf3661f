"""Numbers as people read them in the report."""

import re
from typing import Final

THIN_SPACE: Final = "\N{NARROW NO-BREAK SPACE}"
"""Between groups of three digits (ISO 80000-1): a comma or a point means different things by country."""

_GROUPED: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def thousands(value: float, digits: int = 0) -> str:
    """A number with its digits in groups of three."""
    return f"{value:,.{digits}f}".replace(",", THIN_SPACE)


def regroup(text: str) -> str:
    """A text whose numbers have commas between their groups of three digits, with thin spaces instead."""
    return _GROUPED.sub(THIN_SPACE, text)


def share(part: float, of: float) -> str:
    """A part in per cent, to two figures or so; a dash where there is nothing to take it of."""
    if of <= 0:
        return "–"
    percent = 100 * part / of
    digits = 0 if percent in (0, 100) else 2 if percent < 1 else 1
    return f"{percent:.{digits}f}{THIN_SPACE}%"


def length(mm: float) -> str:
    """A length of strip in metres, to the centimetre; a position needs `metres`."""
    return f"{thousands(mm / 1000, 2)} m"


def metres(mm: float) -> str:
    """A strip position or length in metres, to the millimetre."""
    return f"{thousands(mm / 1000, 3)} m"


def square_mm(area_mm2: float) -> str:
    """An area; small ones with a decimal, since a pit may be less than 1 mm²."""
    return f"{thousands(area_mm2, 0 if area_mm2 >= 10 else 1)} mm²"


def frames(count: int) -> str:
    """So many frames."""
    return f"{thousands(count)} frame{'s' * (count != 1)}"


def milliseconds(ms: float) -> str:
    """A duration to three figures or so."""
    return f"{thousands(ms, 0 if ms >= 100 else 1 if ms >= 10 else 2)} ms"
