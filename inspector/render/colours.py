"""One look for each kind of defect: colour, shape and dashes, the same in pictures and in the report."""

from typing import Final

KIND_COLOURS: Final = ("#ffe94a", "#00c853", "#ff5a1f", "#3d7bff", "#c58cff", "#b0f2ff")
"""Colours of kinds 1, 2, 3 …, in turn.

Chosen by search for the largest CIELAB distance, to each other and to the greys of steel, as seen with normal
sight and with each of the three colour blindnesses (Machado et al. 2009, severity 1): at least 17 everywhere.
"""

KIND_SHAPES: Final = ("circle", "square", "triangle", "diamond")
"""Marks of kinds 1, 2, 3 … on a map, in turn: colour is never the only difference."""

KIND_DASHES: Final = ((), (14, 7), (5, 6), (16, 6, 5, 6))
"""Outlines of kinds 1, 2, 3 … in turn, as lengths in px of line, gap, line, gap …; () is a whole line."""


def kind_colour(kind: int) -> str:
    """The colour of a defect kind 1..K as #rrggbb; the list starts again after its end."""
    return KIND_COLOURS[(kind - 1) % len(KIND_COLOURS)]


def kind_colour_bgr(kind: int) -> tuple[int, int, int]:
    """The colour of a defect kind 1..K as OpenCV wants it."""
    red, green, blue = bytes.fromhex(kind_colour(kind)[1:])
    return blue, green, red


def kind_shape(kind: int) -> str:
    """The mark's shape of a defect kind 1..K."""
    return KIND_SHAPES[(kind - 1) % len(KIND_SHAPES)]


def kind_dashes(kind: int) -> tuple[int, ...]:
    """The dashes of a defect kind's outline, as in `KIND_DASHES`."""
    return KIND_DASHES[(kind - 1) % len(KIND_DASHES)]
