"""Gathers the pictures of a line-scan camera, a few rows each, into frames of a fixed height."""

from dataclasses import dataclass

import numpy as np

from inspector.values import Capture, Code, Pixels, Uninspected


@dataclass
class _Part:
    """A frame that is being filled."""

    captured_ns: int
    encoder_count: int | None
    rows: list[Pixels]
    filled: int = 0
    fault: Uninspected | None = None


class RowGather:
    """Joins rows into frames of `height` rows. Lost rows keep their place; a frame that lacks rows is a fault."""

    def __init__(self, height: int) -> None:
        self._height = height
        self._part: _Part | None = None

    def take(self, pixels: Pixels, captured_ns: int, encoder_count: int | None) -> list[Capture]:
        """Add a picture, uint8 [rows, W]; returns the frames that are complete now."""
        done: list[Capture] = []
        start = 0
        while start < len(pixels):
            part = self._begun(captured_ns, encoder_count)
            end = min(len(pixels), start + self._height - part.filled)
            if part.rows and part.rows[0].shape[1] != pixels.shape[1]:
                part.fault = Uninspected(
                    Code.WRONG_SIZE, f"rows of {part.rows[0].shape[1]} and of {pixels.shape[1]} px in one frame"
                )
            part.rows.append(pixels[start:end])
            part.filled += end - start
            done += self._finished(part)
            start = end
        return done

    def lose(self, rows: int, why: Uninspected, captured_ns: int) -> list[Capture]:
        """Note lost rows; returns the frames that are complete now."""
        done: list[Capture] = []
        while rows:
            part = self._begun(captured_ns, None)
            lost = min(rows, self._height - part.filled)
            part.fault = part.fault or why
            part.filled += lost
            done += self._finished(part)
            rows -= lost
        return done

    def _begun(self, captured_ns: int, encoder_count: int | None) -> _Part:
        if self._part is None:
            self._part = _Part(captured_ns, encoder_count, [])
        return self._part

    def _finished(self, part: _Part) -> list[Capture]:
        if part.filled < self._height:
            return []
        self._part = None
        if part.fault is not None:
            return [Capture(None, fault=part.fault, captured_ns=part.captured_ns)]
        pixels = np.ascontiguousarray(part.rows[0] if len(part.rows) == 1 else np.concatenate(part.rows))
        return [Capture(pixels, captured_ns=part.captured_ns, encoder_count=part.encoder_count)]
