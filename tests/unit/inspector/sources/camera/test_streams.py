"""Network cameras whose streams lose data, stall, or run at another rate than stated."""

import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from inspector.errors import SourceError
from inspector.sources.camera.source import CameraSource
from inspector.values import Capture, Code, Pixels
from tests.support.rtsp_camera import RtspCamera
from tests.support.videos import RATE, moving_steel, write_video

COUNT = 70
STEEL = moving_steel(COUNT)
GOP = 25
X264 = {"crf": "18", "bf": "0", "g": str(GOP), "x264-params": "scenecut=0:repeat-headers=1:slices=1"}


def marks(found: list[Capture]) -> str:
    return "".join("x" if capture.pixels is None else "." for capture in found)


def until_silence(source: CameraSource, longest_s: float = 12.0) -> list[Capture]:
    """What a camera gives up to its first silence, without the faults that announce it."""
    found: list[Capture] = []
    started_s = time.monotonic()
    for capture in source.captures():
        if capture is not None:
            if capture.fault is not None and "silent" in capture.fault.text:
                return found
            found.append(capture)
        assert time.monotonic() - started_s < longest_s, marks(found)
    return found


@pytest.fixture(scope="module")
def h264() -> list[bytes]:
    """Encoded frames."""
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.height, codec.width = STEEL[0].shape
    codec.pix_fmt, codec.time_base, codec.framerate = "yuv420p", Fraction(1, RATE), Fraction(RATE)
    codec.options = {**X264, "tune": "zerolatency"}
    frames = []
    for number, pixels in enumerate(STEEL):
        frame = av.VideoFrame.from_ndarray(pixels, format="gray").reformat(format="yuv420p")
        frame.pts = number
        frames += [bytes(packet) for packet in codec.encode(frame)]
    return frames + [bytes(packet) for packet in codec.encode(None)]


def check_that_sound_frames_are_in_their_places(found: list[Capture]) -> None:
    for number, capture in enumerate(found):
        if capture.pixels is not None:
            errors = [
                float(np.abs(capture.pixels.astype(int) - STEEL[other]).mean())
                for other in range(max(0, number - 3), min(COUNT, number + 4))
            ]
            assert errors[min(3, number)] == min(errors) < 12, f"frame {number} of {marks(found)}: {errors}"


@pytest.mark.parametrize(
    ("lost", "cut"), [((), ()), ((30, 31, 32, 33), ()), ((), (25,)), ((25,), ()), ((60,), (25, 50))]
)
def test_an_rtsp_camera_whose_packets_are_lost_shows_no_repaired_frame(
    h264: list[bytes], lost: tuple[int, ...], cut: tuple[int, ...]
) -> None:
    """Every frame is a frame in its place or a fault; sound frames come again with the next key frame."""
    with (
        RtspCamera(h264, RATE, lost, cut) as camera,
        CameraSource(camera.url, frames_per_second=RATE, timeout_s=4) as source,
    ):
        found = until_silence(source)
    assert len(found) in {COUNT, COUNT - 1}, marks(found)  # the last one is complete only with the next
    check_that_sound_frames_are_in_their_places(found)
    # A busy test machine may drop frames, which says nothing of the stream.
    codes = {n: c.fault.code for n, c in enumerate(found) if c.fault is not None and c.fault.code is not Code.SHED}
    if lost or cut:
        first = min((*lost, *cut))
        assert min(codes) == first
        assert found[first + 1].fault is not None or (first + 1) % GOP == 0
        assert set(codes.values()) <= {Code.STREAM_DAMAGED, Code.UNREADABLE}
    else:
        assert not codes


class HttpCamera(socketserver.ThreadingTCPServer):
    """Sends what `play` writes, as `kind`."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, kind: str, play: Callable[[Callable[[bytes], object]], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.kind, self.play = kind, play
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


class _Answer(socketserver.StreamRequestHandler):
    server: HttpCamera

    def handle(self) -> None:
        self.connection.recv(4096)
        self.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Type: {self.server.kind}\r\n\r\n".encode())
        self.server.play(self.wfile.write)
        self.server.stopped.wait(20)


@contextmanager
def http_camera(kind: str, play: Callable[[Callable[[bytes], object]], None]) -> Iterator[HttpCamera]:
    server = HttpCamera(kind, play)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(("first", "count"), [(0.3, 30), (0.5, 16), (0.4, 1)])
def test_an_mpeg_ts_camera_whose_packets_are_lost_shows_no_repaired_frame(
    tmp_path: Path, first: float, count: int
) -> None:
    """Continuity counters that jump, or do not because 16 packets are lost."""
    video = write_video(tmp_path / "strip.ts", STEEL, codec="libx264", options=X264)
    data = video.read_bytes()
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    start = int(first * len(packets))
    kept = packets[:start] + packets[start + count :]

    def play(send: Callable[[bytes], object]) -> None:
        for batch in _batches(kept, 12):
            send(b"".join(batch))
            time.sleep(0.01)

    with (
        http_camera("video/mp2t", play) as camera,
        CameraSource(camera.url, frames_per_second=RATE, timeout_s=4) as source,
    ):
        found = until_silence(source)
    assert COUNT - 2 <= len(found) <= COUNT, marks(found)
    check_that_sound_frames_are_in_their_places(found)
    assert "x" in marks(found)


def _batches(items: list[bytes], size: int) -> Iterator[list[bytes]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


def mjpeg_part(pixels: Pixels) -> bytes:
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    return b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data) + data + b"\r\n"


MJPEG = "multipart/x-mixed-replace; boundary=b"


def test_a_burst_after_a_stall_counts_each_frame_once() -> None:
    """A network that holds up two seconds of frames and then delivers them invents none."""
    sent = 0
    parts = [mjpeg_part(pixels) for pixels in STEEL]

    def play(send: Callable[[bytes], object]) -> None:
        nonlocal sent
        started_s = time.monotonic()
        while sent < 5 * RATE:
            now_s = time.monotonic() - started_s
            if not 1.0 < now_s < 3.0:
                while sent < now_s * RATE:
                    send(parts[sent % COUNT])
                    sent += 1
            time.sleep(0.005)

    with http_camera(MJPEG, play) as camera, CameraSource(camera.url, frames_per_second=RATE) as source:
        found = []
        started_s = time.monotonic()
        for capture in source.captures():
            found += [] if capture is None else [capture]
            if time.monotonic() - started_s > 5.5:
                break
    assert "x" * 20 in marks(found)
    assert marks(found).endswith("." * 20)
    assert abs(len(found) - sent) <= 2, (sent, marks(found))


def test_a_camera_that_gives_half_the_stated_rate_is_said() -> None:
    """A camera with half the stated rate is logged, because positions count frames."""

    def play(send: Callable[[bytes], object]) -> None:
        for number in range(100):
            send(mjpeg_part(STEEL[number % COUNT]))
            time.sleep(2 / RATE)

    with (
        capture_logs() as lines,
        http_camera(MJPEG, play) as camera,
        CameraSource(camera.url, frames_per_second=RATE) as source,
    ):
        started_s = time.monotonic()
        for _ in source.captures():
            if source.measured_rate is not None or time.monotonic() - started_s > 9:
                break
        assert source.measured_rate == pytest.approx(RATE / 2, rel=0.25)
    said = [line for line in lines if "rate" in line["event"]]
    assert len(said) == 1
    assert said[0]["stated_per_s"] == RATE


def test_a_triggered_camera_that_is_silent_costs_nothing() -> None:
    """The strip stands: no frame is missing, and the next one has the next position."""

    def play(send: Callable[[bytes], object]) -> None:
        for number in range(50):
            send(mjpeg_part(STEEL[number]))
            time.sleep(2.5 if number == 20 else 1 / RATE)

    with (
        http_camera(MJPEG, play) as camera,
        CameraSource(camera.url, frames_per_second=RATE, triggered=True) as source,
    ):
        found: list[Capture] = []
        for capture in source.captures():
            found += [] if capture is None else [capture]
            if len(found) == 45:
                break
    assert marks(found) == "." * 45


def test_a_camera_that_accepts_and_says_nothing_is_one_clear_line() -> None:
    """The message names our time-out instead of FFmpeg's error."""
    with (
        http_camera(MJPEG, lambda _send: time.sleep(3)) as camera,
        pytest.raises(SourceError, match="no answer within 1 s"),
        CameraSource(camera.url, frames_per_second=RATE, timeout_s=1),
    ):
        pass
