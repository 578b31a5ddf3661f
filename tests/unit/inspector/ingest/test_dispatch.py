"""The frames link over real sockets: ingest's end and workers' ends in one process."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import zmq

from inspector.core.flow import window_frames
from inspector.core.tiling import Fit
from inspector.ingest.dispatch import Dispatch, ViewPace
from inspector.runtime.stop import StopRequest
from inspector.values import Frame
from inspector.wire.links import FRAMES, open_context, open_receiver, open_sender, ring_path
from inspector.wire.pixel_ring import PixelRing
from inspector.worker.frames_link import FramesLink

SIZE = (4, 8)
WINDOW, LUMP = 4, 2

GONE_S = 0.2
"""After the event that a worker has gone, until the socket no longer sends to it."""

FIT = Fit(SIZE, tile=True)
LONG_NS = 60_000_000_000


class Link:
    """One camera's frames link, with any number of workers."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.stop = stack.enter_context(StopRequest())
        self.context = stack.enter_context(open_context())
        self.folder = folder
        self.frame_id = 0
        self.ends: list[zmq.Socket[bytes]] = []
        """Kept until the context closes them."""

    def ingest(self, deadline_ns: int = LONG_NS, slots: int = 16) -> Dispatch:
        ring = PixelRing.create(ring_path(self.folder, "top"), SIZE[0] * SIZE[1], slots)
        self.ends.append(open_sender(self.context, FRAMES, self.folder, "top", linger_ms=0))
        self.ingest_epoch = time.monotonic_ns()
        return Dispatch(self.ends[-1], ring, deadline_ns, self.ingest_epoch, self.stop, ViewPace(0), FIT)

    def worker(self, window: int = WINDOW) -> FramesLink:
        self.ends.append(open_receiver(self.context, FRAMES, self.folder, "top"))
        return FramesLink("top", self.ends[-1], window, LUMP)

    def frames(self, count: int, size: tuple[int, int] = SIZE) -> list[Frame]:
        made = []
        for _ in range(count):
            pixels = np.full(size, self.frame_id % 256, np.uint8)
            made.append(Frame("top", self.frame_id, 1, time.monotonic_ns(), 0.0, pixels))
            self.frame_id += 1
        return made


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    with ExitStack() as stack:
        yield Link(stack, tmp_path)


def until(condition: Callable[[], object], timeout_s: float = 10) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.001)


def hear(frames_link: FramesLink) -> list[Frame]:
    """Receive all waiting messages."""
    frames_link.connect()
    frames = []
    while (received := frames_link.receive()) is not None:
        frames += [lent.frame for lent in received[1]]
    return frames


def hear_frames(frames_link: FramesLink, count: int) -> list[Frame]:
    frames: list[Frame] = []

    def enough() -> bool:
        frames.extend(hear(frames_link))
        return len(frames) >= count

    until(enough)
    return frames


def join(dispatch: Dispatch, *frames_links: FramesLink) -> None:
    """Wait until every worker has granted credit."""
    credit = dispatch.credit + sum(WINDOW for _ in frames_links)

    def met() -> bool:
        for frames_link in frames_links:
            assert not hear(frames_link)
        return dispatch.wait_for_credit(1) >= credit

    until(met)


def test_a_worker_is_sent_no_more_than_it_has_room_for(link: Link) -> None:
    """It gets more when it has finished some, one chunk at a time."""
    dispatch, frames_link = link.ingest(), link.worker()
    join(dispatch, frames_link)
    assert dispatch.send(link.frames(7)) == WINDOW
    first = hear_frames(frames_link, WINDOW)
    assert [frame.frame_id for frame in first] == [0, 1, 2, 3]
    assert [int(frame.pixels.max()) for frame in first] == [0, 1, 2, 3]
    frames_link.release(0, link.ingest_epoch)
    assert dispatch.wait_for_credit(100) == 0, "one frame is not worth a message"
    frames_link.release(1, link.ingest_epoch)
    assert dispatch.wait_for_credit(10_000) == LUMP


def test_a_frame_larger_than_a_slot_travels_in_the_message(link: Link) -> None:
    """A frame of any size reaches the worker, which reports it."""
    dispatch, frames_link = link.ingest(), link.worker()
    join(dispatch, frames_link)
    frames = [*link.frames(1), *link.frames(1, (2, 32)), *link.frames(1)]
    assert dispatch.send(frames) == 3
    for sent, seen in zip(frames, hear_frames(frames_link, 3), strict=True):
        assert np.array_equal(sent.pixels, seen.pixels)


def test_credit_counts_engine_inputs(link: Link) -> None:
    """A frame of two tiles costs two; one with more tiles than the whole credit is still sent."""
    dispatch, frames_link = link.ingest(), link.worker()
    join(dispatch, frames_link)
    wide, huge = (SIZE[0], 2 * SIZE[1]), (SIZE[0], 10 * SIZE[1])
    assert dispatch.send(link.frames(3, wide)) == 2, "four inputs are two frames"
    hear_frames(frames_link, 2)
    frames_link.release(0, link.ingest_epoch, 2)
    assert dispatch.wait_for_credit(10_000) == 2
    assert dispatch.send(link.frames(2, huge)) == 1
    assert dispatch.credit == 0
    hear_frames(frames_link, 1)
    frames_link.release(1, link.ingest_epoch, 2)
    assert dispatch.wait_for_credit(100) == 0, "ten inputs are still out"
    frames_link.release(3, link.ingest_epoch, 10)
    assert dispatch.wait_for_credit(10_000) == WINDOW


def test_frames_go_where_there_is_room(link: Link) -> None:
    """Two workers share a camera; none waits while the other idles."""
    dispatch = link.ingest()
    first, second = link.worker(), link.worker()
    join(dispatch, first, second)
    assert dispatch.send(link.frames(10)) == 2 * WINDOW
    seen = hear_frames(first, WINDOW) + hear_frames(second, WINDOW)
    assert sorted(frame.frame_id for frame in seen) == list(range(8))


def test_a_worker_that_leaves_gets_all_that_was_sent_and_no_more(link: Link) -> None:
    """It may end once it has parted, and no frame is lost."""
    dispatch, frames_link = link.ingest(), link.worker()
    join(dispatch, frames_link)
    assert dispatch.send(link.frames(3)) == 3
    frames_link.leave()
    until(lambda: dispatch.wait_for_credit(1) == 0)
    assert dispatch.send(link.frames(1)) == 0
    assert len(hear_frames(frames_link, 3)) == 3
    until(lambda: hear(frames_link) or frames_link.parted)
    frames_link.release(0, link.ingest_epoch)
    frames_link.release(1, link.ingest_epoch)
    assert dispatch.wait_for_credit(200) == 0, "it asks for nothing more"


def test_a_worker_that_is_gone_is_passed_over(link: Link) -> None:
    """Another worker gets the next frames; those already sent end at their deadlines."""
    dispatch = link.ingest()
    gone, there = link.worker(), link.worker()
    join(dispatch, gone, there)
    parted = link.ends[0].get_monitor_socket(zmq.EVENT_DISCONNECTED)
    gone.socket.close()
    assert parted.poll(10_000)
    time.sleep(GONE_S)
    link.ends[0].disable_monitor()
    parted.close()
    assert dispatch.send(link.frames(WINDOW)) == WINDOW
    assert len(hear_frames(there, WINDOW)) == WINDOW
    # The first frames may have found the other worker first.
    assert dispatch.send(link.frames(1)) == 0
    assert dispatch.credit == 0


def test_slots_of_a_stuck_worker_come_back_after_the_deadline(link: Link) -> None:
    """A hung worker delays others at most until the deadline of its frames."""
    dispatch = link.ingest(deadline_ns=300_000_000, slots=WINDOW)
    stuck = link.worker()
    join(dispatch, stuck)
    assert dispatch.send(link.frames(WINDOW)) == WINDOW
    other = link.worker()
    until(lambda: hear(other) or dispatch.wait_for_credit(1) > 0)
    assert dispatch.send(link.frames(1)) == 1


def test_an_ingest_that_starts_again_finds_its_workers(link: Link) -> None:
    """Credit starts from zero, and frames of the old ingest return no credit to the new one."""
    dispatch, frames_link = link.ingest(), link.worker()
    join(dispatch, frames_link)
    dispatch.send(link.frames(2))
    old = hear_frames(frames_link, 2)
    session = link.ingest_epoch
    link.ends[0].close()
    again = link.ingest()
    join(again, frames_link)
    assert again.credit == WINDOW
    for frame in old:
        frames_link.release(frame.frame_id, session)
    assert again.wait_for_credit(100) == WINDOW
    assert [int(frame.pixels.max()) for frame in old] == [0, 1], "the old pixels are still what they were"
    again.send(link.frames(1))
    assert hear_frames(frames_link, 1)[0].frame_id == 2


def test_noise_is_refused_and_counted(link: Link) -> None:
    """Any message on the socket leaves ingest running."""
    dispatch, frames_link = link.ingest(), link.worker()
    join(dispatch, frames_link)
    for noise in (b"\x63old", b"\x02\xff\xff", os.urandom(40)):
        frames_link.socket.send(noise)
    frames_link.socket.send_multipart([b"two", b"parts"])
    until(lambda: dispatch.wait_for_credit(1) and dispatch.refused == 4)
    assert dispatch.send(link.frames(1)) == 1


def test_waiting_for_room_ends_with_a_stop(link: Link) -> None:
    """Waiting ends with a stop request or its time limit."""
    dispatch = link.ingest()
    started_s = time.monotonic()
    assert dispatch.wait_for_credit(50) == 0
    assert time.monotonic() - started_s >= 0.05
    os.kill(os.getpid(), 15)
    assert dispatch.wait_for_credit() == 0


@pytest.mark.parametrize(
    ("batch", "slots", "seconds", "deadline_s", "cameras", "expected"),
    [
        (1, 6, 0.003, 0.5, 1, (38, 16)),
        (1, 6, 0.003, 0.5, 4, (20, 10)),
        (1, 6, 0.003, 0.1, 1, (12, 3)),
        (1, 6, 0.011, 0.5, 1, (14, 4)),
        (1, 6, 0.011, 9.0, 1, (14, 4)),
        (1, 6, 0.042, 0.5, 1, (5, 1)),
        (8, 6, 0.042, 0.5, 1, (5, 2)),
        (1, 6, 1.0, 0.5, 1, (2, 1)),
        (1, 6, 1.0, 60.0, 1, (8, 1)),
        (32, 2, 0.0005, 0.5, 1, (128, 32)),
        (8, 2, 0.0, 0.5, 1, (48, 16)),
    ],
)
def test_a_slow_engine_is_not_buried(
    batch: int, slots: int, seconds: float, deadline_s: float, cameras: int, expected: tuple[int, int]
) -> None:
    """A worker gets only as many frames as its engine can process soon, well before their deadlines."""
    assert window_frames(batch, slots, seconds, deadline_s, cameras) == expected


def test_zmq_still_drops_nothing_silently(link: Link) -> None:
    """The link relies on ROUTER_MANDATORY: a message for nobody is an error."""
    link.ingest()
    with pytest.raises(zmq.ZMQError):
        link.ends[0].send_multipart([b"nobody", b"x"])
