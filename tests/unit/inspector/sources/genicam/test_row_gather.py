"""Rows of a line-scan camera become frames; lost rows keep their place."""

from itertools import pairwise

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
            assert frame.captured_ns == 16 * number * ROW_NS
        assert frame.captured_ns is not None
        assert 16 * number // block * block * ROW_NS <= frame.captured_ns <= 16 * number * ROW_NS


def test_a_frame_begins_between_its_block_and_the_next_one() -> None:
    """The strip stood for an hour within the first block; the frames of the next ones are not moved by that."""
    gather = RowGather(16)
    hour_ns = 3600 * 10**9
    starts_ns = [0, *(hour_ns + 24 * number * ROW_NS for number in range(1, 5))]
    found = []
    for number, begun_ns in enumerate(starts_ns):
        found += gather.take(rows(24 * number, 24), begun_ns, 24 * number * ROW_COUNTS, begun_ns + 24 * ROW_NS)
    assert [each.encoder_count for each in found] == [16 * number * ROW_COUNTS for number in range(7)]
    times = [each.captured_ns or 0 for each in found]
    assert times == sorted(times)
    assert 0 < times[1] < starts_ns[1], "it began in the first block, before the second one"
    assert times[2] <= starts_ns[2]
    assert times[4:] == [hour_ns + 16 * number * ROW_NS for number in (4, 5, 6)]


@pytest.mark.parametrize(("counter_range", "a_row"), [(2.0**32, 50), (2.0**16, 10), (1e4, 10), (2.0**16, -10)])
def test_a_counter_may_wrap_and_may_move_far(counter_range: float, a_row: int) -> None:
    """Up to half of its range in a block, whatever the range is: 51 200 counts are no wrap of 32 bits."""
    block, frame = 1024 if counter_range > 2**16 else 100, 256
    gather, start = RowGather(frame, counter_range), int(counter_range) - 50
    found = []
    for number in range(12):
        count = (start + number * block * a_row) % int(counter_range)
        found += gather.take(np.zeros((block, 8), np.uint8), number * block * ROW_NS, count)
    assert len(found) == 12 * block // frame
    for number, each in enumerate(found):
        assert each.encoder_count is not None
        assert (each.encoder_count - start - number * frame * a_row) % int(counter_range) == 0


def test_a_camera_that_falls_silent_after_its_first_block_is_told() -> None:
    """Lost frames wait for nothing, and a frame that waited comes with its block's time."""
    gather = RowGather(16)
    assert len(gather.take(rows(0, 40), 0, 0)) == 1
    found = [each for number in range(1, 40) for each in gather.lose(40, LOST, number * 40 * ROW_NS)]
    assert len(found) == 40 * 40 // 16 - 1
    assert found[0].pixels is not None
    assert found[0].encoder_count is None
    assert all(each.fault == LOST for each in found[1:])


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


@pytest.mark.parametrize("restarted", [False, True])
def test_a_count_after_an_interruption_lies_in_its_block(restarted: bool) -> None:
    """The camera was away: the counter began at 0 again, or the strip ran on without being seen."""
    gather = RowGather(100, 2.0**32)
    for number in range(4):
        gather.take(np.zeros((256, 8), np.uint8), number * 256 * ROW_NS, 5_000_000 + number * 256)
    gather.lose(256, LOST, 4 * 256 * ROW_NS)
    begun = 0 if restarted else 5_100_000
    found = []
    for number in range(3):
        found += gather.take(np.zeros((256, 8), np.uint8), 10**9 + number * 256 * ROW_NS, begun + number * 256)
    counts = [each.encoder_count or 0 for each in found if each.fault is None]
    assert [later - earlier for earlier, later in pairwise(counts)] == [100] * (len(counts) - 1)
    assert begun <= counts[0] < begun + 256
