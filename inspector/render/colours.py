"""Colour, shape and dashes of each kind of defect, the same in pictures and in the report."""

from typing import Final

KIND_COLOURS: Final = ("#ffe94a", "#00c853", "#ff5a1f", "#3d7bff", "#c58cff", "#b0f2ff")
"""Colours of kinds 1, 2, 3 …, repeated.

Found by a search for the largest CIELAB distance to each other and to the greys of steel, with normal sight and
with each of the three colour blindnesses (Machado et al. 2009, severity 1): at least 17 everywhere.
"""

KIND_SHAPES: Final = ("circle", "square", "triangle", "diamond")
"""Map marks of kinds 1, 2, 3 …, repeated: colour is never the only difference."""

KIND_DASHES: Final = ((), (14, 7), (5, 6), (16, 6, 5, 6))
"""Outlines of kinds 1, 2, 3 …, repeated, as lengths in px of line, gap, line, gap …; () is a solid line."""


def kind_colour(kind: int) -> str:
    """Colour of defect kind 1..K as #rrggbb; colours repeat after the last."""
    return KIND_COLOURS[(kind - 1) % len(KIND_COLOURS)]


def kind_colour_bgr(kind: int) -> tuple[int, int, int]:
    """Colour of defect kind 1..K in OpenCV's order: blue, green, red."""
    red, green, blue = bytes.fromhex(kind_colour(kind)[1:])
    return blue, green, red


def kind_shape(kind: int) -> str:
    """Shape of the map mark of defect kind 1..K."""
    return KIND_SHAPES[(kind - 1) % len(KIND_SHAPES)]


def kind_dashes(kind: int) -> tuple[int, ...]:
    """Dashes of a defect kind's outline, as in `KIND_DASHES`."""
    return KIND_DASHES[(kind - 1) % len(KIND_DASHES)]
