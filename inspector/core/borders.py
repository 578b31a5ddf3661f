"""Where one frame's picture ends and another one goes on: the previous frame of its camera, or another camera."""

from collections.abc import Sequence
from typing import Final, NamedTuple

NEAR_MM: Final = 20.0
"""Largest distance between two cameras' pictures at which a defect may lie in both, mm."""

PART_SHARE: Final = 0.5
"""Share of the minimum area from which a part at another camera's border counts: of two parts of a defect that
reaches the minimum, the larger one has at least this share."""


class Span(NamedTuple):
    """What one camera sees across the strip, mm, the smaller place first."""

    from_mm: float
    to_mm: float


class Borders(NamedTuple):
    """The borders of one frame."""

    seen_rows: int = 0
    """Rows at its head that the previous frame has shown, too."""
    left_px: float | None = None
    """Columns at its left side that another camera shows, too; 0 where that one begins there; None without one."""
    right_px: float | None = None

    def cut(self, x: int, width: int, frame_width: int, reach_px: int) -> bool:
        """Whether a region of columns reaches a border beyond which only another camera shows its rest."""
        left = self.left_px is not None and x < reach_px and x + width > self.left_px
        right_px = self.right_px
        right = right_px is not None and x + width > frame_width - reach_px and x < frame_width - right_px
        return left or right


ALONE: Final = Borders()
"""A frame with nothing before it and no camera beside it."""


def beside(first_mm: float, last_mm: float, mm_per_px: float, others: Sequence[Span]) -> Borders:
    """The borders of a camera whose columns go from `first_mm` to `last_mm` (smaller if it is mirrored)."""
    inwards = 1 if last_mm >= first_mm else -1
    left = _shared_mm(first_mm, inwards, others)
    right = _shared_mm(last_mm, -inwards, others)
    return Borders(0, *(None if mm is None else mm / mm_per_px for mm in (left, right)))


def _shared_mm(border_mm: float, inwards: int, others: Sequence[Span]) -> float | None:
    """How far another camera that sees beyond a border also sees inside of it; None if none sees beyond."""
    found: list[float] = []
    for span in others:
        low, high = (span.from_mm, span.to_mm) if inwards > 0 else (-span.to_mm, -span.from_mm)
        place = inwards * border_mm  # beyond the border are smaller numbers
        if low < place - NEAR_MM / 2 and high > place - NEAR_MM:
            found.append(max(0.0, high - place))
    return max(found, default=None)
