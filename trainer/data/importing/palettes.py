"""Checks that the numbers of palette masks mean the same class in every file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from inspector.errors import InputError

Colour = tuple[int, int, int]
BLACK: Final = (0, 0, 0)


def check_palettes(paths: Iterable[Path], *, is_0_stated: bool) -> None:
    """Raise InputError if a number has two colours, or if 0 is neither black nor transparent and not stated.

    Programs that reduce colours number them by frequency, or differently in each file: then only colours tell.
    """
    seen: dict[int, tuple[Colour, Path]] = {}
    for path in paths:
        for number, (colour, is_clear) in _palette(path).items():
            name = "{:02x}{:02x}{:02x}".format(*colour)
            if number == 0 and not is_0_stated and not is_clear and colour != BLACK:
                raise InputError(
                    f"{path}: 0 has the colour {name} in its palette, not black: name the colours, such as "
                    f"--colour {name}=scratch, or the numbers, such as --classes normal,scratch"
                )
            first, other = seen.setdefault(number, (colour, path))
            if first != colour and not is_clear:
                told = "{:02x}{:02x}{:02x}".format(*first)
                raise InputError(
                    f"{path}: {number} has the colour {name} in its palette, but {told} in {other.name}: name the "
                    f"colours, such as --colour {name}=scratch"
                )


def _palette(path: Path) -> dict[int, tuple[Colour, bool]]:
    """Number → (colour, whether it is transparent) of the numbers that a mask holds; empty without a palette."""
    try:
        with Image.open(path) as image:
            if image.mode != "P":
                return {}
            colours = np.array(image.convert("RGBA")).reshape(-1, 4)
            numbers, first = np.unique(np.asarray(image).ravel(), return_index=True)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        return {}  # reported when it is read
    found = zip(numbers.tolist(), colours[first].tolist(), strict=True)
    return {number: ((red, green, blue), alpha == 0) for number, (red, green, blue, alpha) in found}
