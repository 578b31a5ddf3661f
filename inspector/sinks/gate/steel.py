"""Finds the steel that the gate must reject: what a rejected frame of a camera shows, and what no frame shows."""

from bisect import bisect
from itertools import islice
from operator import itemgetter
from typing import Final, NamedTuple

from inspector.core.strip.track import NOISE_SHARE
from inspector.values import StripPlace

NOISE_S: Final = 0.003
"""Error of a frame's capture time, seconds."""

MOST_PIECES: Final = 5
"""Most pieces of a frame; one that would have more is rejected as a whole: its records must fit into a write."""

REMEMBERED_MM: Final = 200_000.0
"""Length of strip for which rejected frames are remembered: it may come back in reverse travel."""


class Piece(NamedTuple):
    """A piece of an accepted frame, from its position to the next one's."""

    position_mm: float
    rejected: bool
    """Whether another frame that shows this steel was rejected."""


class CameraSteel:
    """Follows the frames of one camera, in the order of their numbers, while their positions have one zero."""

    def __init__(self) -> None:
        self._rejected: list[tuple[float, float]] = []
        """Steel that rejected frames show, from and to, in the order of positions; no two overlap."""
        self._end_mm: float | None = None
        """End of the newest frame."""
        self._unseen_mm = 0.0
        """Sum of the gaps between frames, less what they show twice and the error of a frame's length."""

    def forget(self) -> None:
        """Forget everything: positions do not continue."""
        self._rejected.clear()
        self._end_mm, self._unseen_mm = None, 0.0

    def reject(self, position_mm: float, length_mm: float) -> None:
        """Remember the steel of a rejected frame."""
        if not length_mm:
            return
        from_mm, to_mm = position_mm, position_mm + length_mm
        kept = []
        for first, last in self._rejected:
            if last < from_mm or first > to_mm:
                kept.append((first, last))
            else:
                from_mm, to_mm = min(from_mm, first), max(to_mm, last)
        kept.append((from_mm, to_mm))
        near_mm = position_mm - REMEMBERED_MM, position_mm + REMEMBERED_MM
        self._rejected = sorted(each for each in kept if each[1] > near_mm[0] and each[0] < near_mm[1])

    def pieces(self, position_mm: float, length_mm: float) -> list[Piece]:
        """Divide an accepted frame into pieces that stand for accepted and for rejected steel.

        A frame may show a defect that the frames beside it, or those of another pass in reverse travel, show too
        but are accepted with.
        """
        end_mm = position_mm + length_mm
        pieces: list[Piece] = []
        at_mm = position_mm
        nearest = max(0, bisect(self._rejected, position_mm, key=itemgetter(0)) - 1)
        for from_mm, to_mm in islice(self._rejected, nearest, None):
            if from_mm >= end_mm:
                break
            first, last = max(from_mm, position_mm), min(to_mm, end_mm)
            if last - first <= NOISE_SHARE * length_mm:
                continue
            if first > at_mm:
                pieces.append(Piece(at_mm, rejected=False))
            pieces.append(Piece(first, rejected=True))
            at_mm = last
        if at_mm < end_mm or not pieces:
            pieces.append(Piece(at_mm, rejected=False))
        return pieces if len(pieces) <= MOST_PIECES else [Piece(position_mm, rejected=True)]

    def leaves_unseen(self, position_mm: float, place: StripPlace) -> bool:
        """Whether steel before a frame was seen by none: more than the noise of the times explains.

        Small gaps add up: a camera too slow for the strip leaves one before every frame.
        """
        noise_mm = NOISE_S * abs(place.speed_mm_s)
        end_mm, self._end_mm = self._end_mm, position_mm + place.length_mm
        if end_mm is None or place.gap_mm > noise_mm:
            return place.gap_mm > noise_mm
        unseen_mm = max(0.0, self._unseen_mm + position_mm - end_mm - NOISE_SHARE * place.length_mm)
        # The limit lets it fall back within a few frames once the gaps end.
        self._unseen_mm = min(unseen_mm, 2 * noise_mm)
        return place.gap_mm > 0 and unseen_mm > noise_mm
