"""The memory that ingest and workers share."""

from pathlib import Path

import numpy as np
import pytest

from inspector.errors import WireError, WorkError
from inspector.wire.pixel_ring import PixelRing, side_by_side


def test_a_worker_sees_what_ingest_put_without_a_copy(tmp_path: Path) -> None:
    """Any frame that fits a slot, and slots do not touch each other."""
    ring = PixelRing.create(tmp_path / "links" / "pixels-top", 12, 3)
    seen = PixelRing.open(ring.path, 12)
    frames = [np.full((3, 4), 10, np.uint8), np.full((2, 3), 20, np.uint8), np.full((3, 4), 30, np.uint8)]
    for slot, frame in enumerate(frames):
        ring.put(slot, frame)
    for slot, frame in enumerate(frames):
        assert np.array_equal(seen.view(slot, *frame.shape), frame)
    view = seen.view(0, 3, 4)
    ring.put(0, frames[2])
    assert np.array_equal(view, frames[2])


@pytest.mark.parametrize("slots", [[0, 1], [1, 2, 3], [2]])
def test_frames_side_by_side_are_one_array_without_a_copy(tmp_path: Path, slots: list[int]) -> None:
    """An engine takes them as a batch."""
    ring = PixelRing.create(tmp_path / "pixels-top", 4096, 4)
    for slot in range(4):
        ring.put(slot, np.full((32, 128), slot, np.uint8))
    batch = side_by_side([ring.view(slot, 32, 128) for slot in slots])
    assert batch is not None
    assert batch.shape == (len(slots), 32, 128)
    assert [int(frame.mean()) for frame in batch] == slots
    ring.put(slots[-1], np.full((32, 128), 9, np.uint8))
    assert batch[-1].max() == 9


def test_other_frames_are_not_taken_for_one_array(tmp_path: Path) -> None:
    """In another order or apart, of two rings, of another size, smaller than their slots, or not in a ring."""
    rings = [PixelRing.create(tmp_path / name, 4096, 4) for name in ("pixels-a", "pixels-b")]
    at = [ring.view(slot, 32, 128) for ring in rings for slot in range(4)]
    assert side_by_side([at[1], at[0]]) is None
    assert side_by_side([at[0], at[2]]) is None
    assert side_by_side([at[3], at[4]]) is None
    assert side_by_side([at[0], rings[0].view(1, 16, 128)]) is None
    assert side_by_side([rings[0].view(slot, 16, 128) for slot in (0, 1)]) is None
    assert side_by_side([rings[0].view(0, 32, 128)[:, :64]]) is None
    assert side_by_side([np.zeros((32, 128), np.uint8)]) is None


def test_a_frame_outlives_the_file(tmp_path: Path) -> None:
    """Ingest may end while a worker still holds its last frames."""
    ring = PixelRing.create(tmp_path / "pixels-top", 12, 3)
    ring.put(1, np.full((3, 4), 7, np.uint8))
    seen = PixelRing.open(ring.path, 12)
    ring.close()
    assert not ring.path.exists()
    assert seen.view(1, 3, 4).mean() == 7


def test_what_a_killed_ingest_left_is_replaced(tmp_path: Path) -> None:
    """Workers that still look at the old memory are not disturbed by the new one."""
    old = PixelRing.create(tmp_path / "pixels-top", 12, 3)
    view = PixelRing.open(old.path, 12).view(0, 3, 4)
    new = PixelRing.create(tmp_path / "pixels-top", 12, 3)
    new.put(0, np.full((3, 4), 9, np.uint8))
    assert view.max() == 0


@pytest.mark.parametrize(("slot", "height", "width"), [(-2, 3, 4), (3, 3, 4), (0, 4, 4), (0, 0, 4), (0, -3, -4)])
def test_a_place_outside_the_ring_is_refused(tmp_path: Path, slot: int, height: int, width: int) -> None:
    """A malformed header never reads what is not a frame."""
    ring = PixelRing.create(tmp_path / "pixels-top", 12, 3)
    with pytest.raises(WireError, match="the ring has 3 of 12 B"):
        ring.view(slot, height, width)


def test_a_ring_that_is_none_is_refused(tmp_path: Path) -> None:
    """Missing, empty, or of other slots."""
    with pytest.raises(WireError, match="No such file"):
        PixelRing.open(tmp_path / "none", 12)
    (tmp_path / "empty").touch()
    with pytest.raises(WireError, match="0 bytes are not a ring"):
        PixelRing.open(tmp_path / "empty", 12)
    ring = PixelRing.create(tmp_path / "pixels-top", 12, 3)
    with pytest.raises(WireError, match="not a ring of slots of 8192 bytes"):
        PixelRing.open(ring.path, 8192)


def test_memory_that_cannot_be_had_is_said_at_the_start(tmp_path: Path) -> None:
    """Missing memory is an error at the start, not a crash later."""
    with pytest.raises(WorkError, match="MB of shared memory for frames"):
        PixelRing.create(tmp_path / "pixels-top", 1 << 40, 1 << 20)
    assert not list(tmp_path.iterdir())
