"""Rows of a line-scan camera become frames; lost rows keep their place."""

import numpy as np
import pytest

from inspector.sources.genicam.row_gather import RowGather
from inspector.values import Capture, Code, Uninspected

LOST = Uninspected(Code.INCOMPLETE, "incomplete")


def rows(first: int, count: int) -> np.ndarray:
    """uint8 [count, 8]; each row holds its number."""
    return np.repeat(np.arange(first, first + count, dtype=np.uint8)[:, None], 8, axis=1)


@pytest.mark.parametrize("block", [1, 4, 5, 16, 40])
@pytest.mark.parametrize("lost_block", [None, 0, 2])
def test_rows_become_frames_and_lost_rows_cost_the_frames_they_touch(block: int, lost_block: int | None) -> None:
    """Whether the height divides or not, and whether a picture is smaller than a frame or larger."""
    gather = RowGather(16)
    frames: list[Capture] = []
    for number in range(160 // block):
        if number == lost_block:
            frames += gather.lose(block, LOST, number)
        else:
            frames += gather.take(rows(number * block, block), number, number * 10)
    assert len(frames) == 10
    lost = set() if lost_block is None else set(range(lost_block * block, (lost_block + 1) * block))
    for number, frame in enumerate(frames):
        wanted = rows(16 * number, 16)
        if lost & set(range(16 * number, 16 * number + 16)):
            assert frame.fault == LOST
        else:
            assert frame.pixels is not None
            assert np.array_equal(frame.pixels, wanted)
            assert frame.encoder_count == 16 * number // block * 10
        assert frame.captured_ns == 16 * number // block


def test_rows_of_another_width_are_no_frame() -> None:
    """Rows of different widths cannot form a frame."""
    gather = RowGather(4)
    gather.take(rows(0, 2), 0, None)
    (frame,) = gather.take(np.zeros((2, 6), np.uint8), 1, None)
    assert frame.fault is not None
    assert frame.fault.code is Code.WRONG_SIZE
