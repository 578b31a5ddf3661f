"""Slots of the shared memory: lent, given back, taken back."""

import pytest

from inspector.core.slots import Slots


def test_a_slot_is_lent_once_until_it_is_given_back() -> None:
    """A slot holds one frame at a time."""
    slots = Slots(3)
    assert sorted(slots.take(frame_id, 10) for frame_id in range(3)) == [0, 1, 2]
    with pytest.raises(IndexError):
        slots.take(3, 10)
    slots.release([1])
    assert slots.free == 1


def test_frames_that_are_sent_together_lie_side_by_side() -> None:
    """The lowest free slots are lent first, in whatever order they were given back."""
    slots = Slots(6)
    for frame_id in range(6):
        slots.take(frame_id, 10)
    slots.release([3, 1, 5, 2])
    assert [slots.take(frame_id, 10) for frame_id in range(6, 9)] == [1, 2, 3]


def test_what_a_dead_worker_holds_comes_back_after_the_deadline() -> None:
    """A worker that releases it later frees nothing a second time."""
    slots = Slots(2)
    slots.take(0, 10)
    slots.take(1, 20)
    slots.expire(10)
    assert slots.free == 1
    held = slots.take(2, 30)
    slots.release([0])
    assert slots.free == 0, "frame 0 gave its slot up long ago: it is frame 2's now"
    slots.release([2])
    assert slots.take(3, 40) == held
