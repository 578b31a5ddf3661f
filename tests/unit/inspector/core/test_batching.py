"""Batches close by size or by age."""

from inspector.core.batching import Batcher


def test_a_full_batch_leaves_at_once() -> None:
    """Size closes a batch."""
    batcher: Batcher[int] = Batcher(max_frames=2, max_wait_ns=1000)
    batcher.add(1, 0)
    assert batcher.take(0) == []
    batcher.add(2, 0)
    assert batcher.take(0) == [1, 2]


def test_an_old_frame_waits_no_longer() -> None:
    """Age closes a batch, and `due_ns` says when."""
    batcher: Batcher[int] = Batcher(max_frames=8, max_wait_ns=1000)
    batcher.add(1, 5)
    assert batcher.due_ns() == 1005
    assert batcher.take(1004) == []
    assert batcher.take(1005) == [1]
    assert batcher.due_ns() is None


def test_flush_waits_for_nothing() -> None:
    """Flushing returns the queued frames immediately."""
    batcher: Batcher[int] = Batcher(max_frames=2, max_wait_ns=1000)
    for item in range(3):
        batcher.add(item, 0)
    assert batcher.take(0, flush=True) == [0, 1]
    assert batcher.take(0, flush=True) == [2]
    assert batcher.take(0, flush=True) == []
