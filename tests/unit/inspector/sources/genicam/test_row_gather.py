"""Rows of a line-scan camera become frames; lost rows keep their place."""

import numpy as np
import pytest

from inspector.sources.genicam.row_gather import RowGather
from inspector.values import Capture, Code, Uninspected

ROW_NS, ROW_COUNTS = 1000, 4
"""From row to row."""

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
            frames += gather.lose(block, LOST, number * block * ROW_NS)
        else:
            first = number * block
            frames += gather.take(rows(first, block), first * ROW_NS, first * ROW_COUNTS)
    assert len(frames) == 10
    lost = set() if lost_block is None else set(range(lost_block * block, (lost_block + 1) * block))
    for number, frame in enumerate(frames):
        wanted = rows(16 * number, 16)
        if lost & set(range(16 * number, 16 * number + 16)):
            assert frame.fault == LOST
        else:
            assert frame.pixels is not None
            assert np.array_equal(frame.pixels, wanted)
            assert frame.encoder_count == 16 * number * ROW_COUNTS
        if lost_block != 0 or 16 * number >= block:
            assert frame.captured_ns == 16 * number * ROW_NS


def test_no_row_of_a_block_was_captured_after_the_block_arrived() -> None:
    """The strip stood between the first and the second block, so the rows' rate says nothing; and times rise."""
    gather = RowGather(16)
    assert [each.captured_ns for each in gather.take(rows(0, 24), 0, 0, 24 * ROW_NS)] == [0]
    hour_ns = 3600 * 10**9
    times = []
    for number in (1, 2, 3):
        begun_ns = hour_ns + 24 * number * ROW_NS
        found = gather.take(rows(24 * number, 24), begun_ns, 24 * number, begun_ns + 24 * ROW_NS)
        times += [each.captured_ns or 0 for each in found]
    assert times == sorted(times)
    assert times[1:3] == [hour_ns + 48 * ROW_NS, hour_ns + 48 * ROW_NS], "not later than its block, not before it"


def test_a_counter_that_wraps_gives_no_count_between_rows() -> None:
    """Without a rate, the frame is placed by its time; the rate of before goes on."""
    first, before = RowGather(16), RowGather(16)
    assert first.take(rows(0, 24), 0, 2**16 - 10)[0].encoder_count == 2**16 - 10
    assert [each.encoder_count for each in first.take(rows(24, 24), 24 * ROW_NS, 14)] == [None, None]
    before.take(rows(0, 24), 0, 2**16 - 34)
    before.take(rows(24, 24), 24 * ROW_NS, 2**16 - 10)
    assert [each.encoder_count for each in before.take(rows(48, 24), 48 * ROW_NS, 14)] == [14]
    assert [each.encoder_count for each in before.take(rows(72, 24), 72 * ROW_NS, 38)] == [14 + 16, 38 + 8]


def test_a_frame_within_the_first_block_waits_for_the_rate() -> None:
    """Blocks of three frames: the second and third frame of the first one come with the second block."""
    gather = RowGather(16)
    assert len(gather.take(rows(0, 48), 0, 0)) == 1
    second = gather.take(rows(48, 48), 48 * ROW_NS, 48 * ROW_COUNTS)
    assert [each.encoder_count for each in second] == [16 * n * ROW_COUNTS for n in range(1, 6)]
    assert [each.captured_ns for each in second] == [16 * n * ROW_NS for n in range(1, 6)]


def test_rows_of_another_width_are_no_frame() -> None:
    """Rows of different widths cannot form a frame."""
    gather = RowGather(4)
    gather.take(rows(0, 2), 0, None)
    (frame,) = gather.take(np.zeros((2, 6), np.uint8), 1, None)
    assert frame.fault is not None
    assert frame.fault.code is Code.WRONG_SIZE
