"""The same frame looked at mirrored and transposed, for a network to answer all of it and be averaged.

Steel has no left or right; a network trained on mirrored crops still answers each view a little differently, and
the mean of its answers errs less than one.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inspector.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_ROWS: Final = -2
_COLUMNS: Final = -1


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at a frame; both ways over the last two dimensions of any tensor."""

    transposed: bool
    mirrored: tuple[int, ...]

    def of(self, x: "Tensor") -> "Tensor":
        """What is seen of [..., H, W]; [..., W, H] where transposed."""
        if self.transposed:
            x = x.transpose(_ROWS, _COLUMNS)
        return x.flip(self.mirrored) if self.mirrored else x

    def back(self, seen: "Tensor") -> "Tensor":
        """What was seen, as it lies in the frame."""
        if self.mirrored:
            seen = seen.flip(self.mirrored)
        return seen.transpose(_ROWS, _COLUMNS) if self.transposed else seen


_MIRRORED: Final = ((), (_COLUMNS,), (_ROWS,), (_ROWS, _COLUMNS))
VIEWS: Final = tuple(View(transposed, mirrored) for transposed in (False, True) for mirrored in _MIRRORED)
"""The frame itself first, then mirrored, then all of these transposed."""

FLIPS: Final = (1, 4, 8)
"""How many of them may be averaged: none but the frame itself, all mirrored ones, the transposed ones, too."""


def check_flips(flips: int, height: int, width: int) -> None:
    """Raise InputError where the frame has no such views."""
    if flips == len(VIEWS) and height != width:
        raise InputError(f"--flips {flips} transposes: it needs square frames, not {height}×{width} px: take 4")
