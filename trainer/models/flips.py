"""Mirrored and transposed views of a frame, for averaging a network's answers over them.

Steel has no left or right. A network trained on mirrored crops still answers each view slightly differently, and
the mean of its answers has a smaller error than a single one.
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
    """One view of a frame. Both methods work on the last two dimensions of any tensor."""

    transposed: bool
    mirrored: tuple[int, ...]

    def of(self, x: "Tensor") -> "Tensor":
        """The view of a tensor [..., H, W]; [..., W, H] if transposed."""
        if self.transposed:
            x = x.transpose(_ROWS, _COLUMNS)
        return x.flip(self.mirrored) if self.mirrored else x

    def back(self, seen: "Tensor") -> "Tensor":
        """Undo `of`: bring a tensor of the view back to the orientation of the frame."""
        if self.mirrored:
            seen = seen.flip(self.mirrored)
        return seen.transpose(_ROWS, _COLUMNS) if self.transposed else seen


_MIRRORED: Final = ((), (_COLUMNS,), (_ROWS,), (_ROWS, _COLUMNS))
VIEWS: Final = tuple(View(transposed, mirrored) for transposed in (False, True) for mirrored in _MIRRORED)
"""The frame itself, its mirrored views, then all of these transposed."""

FLIPS: Final = (1, 4, 8)
"""Allowed numbers of averaged views: the frame alone, all mirrored views, or the transposed ones as well."""


def check_flips(flips: int, height: int, width: int) -> None:
    """Raise InputError for transposed views of a frame that is not square."""
    if flips == len(VIEWS) and height != width:
        raise InputError(f"--flips {flips} transposes: it needs square frames, not {height}×{width} px: take 4")
