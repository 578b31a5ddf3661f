"""Gathers the pictures of a line-scan camera, a few rows each, into frames of a fixed height."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from inspector.values import Capture, Code, Pixels, Uninspected

_ORDER_NS: Final = 1_000_000_000
"""Largest error of a frame's time, ns: capture times rise. Only a clock that was set goes back further."""


@dataclass
class _Part:
    """A frame that is being filled."""

    captured_ns: int
    encoder_count: int | None
    """Both are those of the block in which the frame begins, until the frame's own are known."""
    row: int
    """The frame's first row in that block; 0 once its own time and count are known."""
    rows: list[Pixels]
    filled: int = 0
    fault: Uninspected | None = None


@dataclass
class _Block:
    """The newest block that arrived."""

    captured_ns: int
    encoder_count: int | None
    rows: int
    is_followed: bool = True
    """Whether no row was lost since."""


class RowGather:
    """Joins rows into frames of `height` rows. Lost rows keep their place; a frame that lacks rows is a fault.

    A camera gives the time and the encoder's count of a block's first row. Those of a frame that begins within a
    block lie between this block's and the next one's. A frame that also ends in its block takes the rates of
    before; without any, it waits for the next block.
    """

    def __init__(self, height: int, counter_range: float | None = None) -> None:
        """`counter_range` is the encoder's: see `Scale`."""
        self._height, self._counter_range = height, counter_range
        self._part: _Part | None = None
        self._block: _Block | None = None
        self._ns_a_row: float | None = None
        self._counts_a_row: float | None = None
        self._waiting: list[_Part] = []
        self._last_ns = 0

    def take(
        self, pixels: Pixels, captured_ns: int, encoder_count: int | None, arrived_ns: int | None = None
    ) -> list[Capture]:
        """Add a block, uint8 [rows, W]; returns the frames that are complete now.

        `arrived_ns` is the present time: no row in it was captured later.
        """
        self._measure(captured_ns, encoder_count, len(pixels))
        for part in (*self._waiting, self._part):
            if part is not None:
                self._settle(part, captured_ns)
        done = self._waited()
        start = 0
        while start < len(pixels):
            part = self._begun(captured_ns, encoder_count, start)
            end = min(len(pixels), start + self._height - part.filled)
            if part.rows and part.rows[0].shape[1] != pixels.shape[1]:
                part.fault = Uninspected(
                    Code.WRONG_SIZE, f"rows of {part.rows[0].shape[1]} and of {pixels.shape[1]} px in one frame"
                )
            part.rows.append(pixels[start:end])
            part.filled += end - start
            done += self._finished(part, arrived_ns)
            start = end
        return done

    def lose(self, rows: int, why: Uninspected, captured_ns: int) -> list[Capture]:
        """Note lost rows; returns the frames that are complete now."""
        if self._block is not None:
            self._block.is_followed = False
        done = self._waited()  # the next block may be long in coming: they take their block's time
        row = 0
        while row < rows:
            part = self._begun(captured_ns, None, row)
            lost = min(rows - row, self._height - part.filled)
            part.fault = part.fault or why
            part.filled += lost
            if part.filled == self._height:
                self._part = None
                done.append(self._capture(part))
            row += lost
        return done

    def _measure(self, captured_ns: int, encoder_count: int | None, rows: int) -> None:
        """Note time and counts from row to row, between the newest two blocks without a loss between them.

        Who knows what strip and counter did while the camera was away: until then, the rates of before hold.
        """
        before, self._block = self._block, _Block(captured_ns, encoder_count, rows)
        if before is None or not before.is_followed:
            return
        self._ns_a_row = max(0, captured_ns - before.captured_ns) / before.rows
        self._counts_a_row = None
        if encoder_count is not None and before.encoder_count is not None:
            counts = float(encoder_count - before.encoder_count)
            if self._counter_range is not None:
                counts -= self._counter_range * round(counts / self._counter_range)
            self._counts_a_row = counts / before.rows

    def _settle(self, part: _Part, latest_ns: int | None) -> None:
        """Give a frame that begins within a block its own time and count, by the newest rates."""
        if not part.row or self._ns_a_row is None:
            return
        begun_ns = part.captured_ns
        part.captured_ns += round(part.row * self._ns_a_row)
        if latest_ns is not None:
            part.captured_ns = max(begun_ns, min(part.captured_ns, latest_ns))
        if part.encoder_count is not None:
            counts_a_row = self._counts_a_row
            part.encoder_count = (
                None if counts_a_row is None else part.encoder_count + round(part.row * counts_a_row)
            )
        part.row = 0

    def _begun(self, captured_ns: int, encoder_count: int | None, row: int) -> _Part:
        if self._part is None:
            self._part = _Part(captured_ns, encoder_count, row, [])
        return self._part

    def _waited(self) -> list[Capture]:
        done = [self._capture(part) for part in self._waiting]
        self._waiting = []
        return done

    def _finished(self, part: _Part, arrived_ns: int | None) -> list[Capture]:
        if part.filled < self._height:
            return []
        self._part = None
        self._settle(part, arrived_ns)
        if part.row or self._waiting:
            self._waiting.append(part)
            return []
        return [self._capture(part)]

    def _capture(self, part: _Part) -> Capture:
        captured_ns = part.captured_ns
        if 0 < self._last_ns - captured_ns < _ORDER_NS:
            captured_ns = self._last_ns
        self._last_ns = captured_ns
        if part.fault is not None:
            return Capture(None, fault=part.fault, captured_ns=captured_ns)
        pixels = np.ascontiguousarray(part.rows[0] if len(part.rows) == 1 else np.concatenate(part.rows))
        count = None if part.row else part.encoder_count
        return Capture(pixels, captured_ns=captured_ns, encoder_count=count)
