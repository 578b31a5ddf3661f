"""A frame that the engine sees as several inputs: gathers their maps and knows when it is settled."""

from inspector.core.tiling import JoinedMaps, Maps, Tile
from inspector.values import UNSOUND_FRAME_SCORE, Pixels


class TiledFrame:
    """One frame's tiles on their way through the engine."""

    def __init__(self, tiles: int, size: tuple[int, int], map_stride: int) -> None:
        self._maps = JoinedMaps(size, map_stride)
        self._unanswered = tiles
        self._frame_scores: list[int] = []
        self.unsubmitted = tiles
        """Tiles that the engine has not been given yet."""
        self.submitted_ns: int | None = None
        """When the engine was given the first tile."""
        self.settled = False
        """Whether the frame has its result, so that its other tiles no longer matter."""

    def submit(self, now_ns: int) -> None:
        """Count a tile that goes to the engine."""
        self.unsubmitted -= 1
        self.submitted_ns = self.submitted_ns or now_ns

    def add(self, tile: Tile, kind: Pixels, score: Pixels, frame_score: int | None = None) -> Maps | None:
        """Add a tile's maps and score; returns the frame's maps when none is missing."""
        self._maps.add(tile, kind, score)
        if frame_score is not None:
            self._frame_scores.append(frame_score)
        self._unanswered -= 1
        return None if self._unanswered else self._maps.maps()

    @property
    def frame_score(self) -> int | None:
        """The highest score of the tiles; unsound if one is; None for an engine without them."""
        if UNSOUND_FRAME_SCORE in self._frame_scores:
            return UNSOUND_FRAME_SCORE
        return max(self._frame_scores, default=None)
