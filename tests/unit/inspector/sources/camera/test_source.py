import http.server
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from inspector.config.sources import CameraSettings, V4l2Settings, is_v4l2
from inspector.errors import SourceError
from inspector.sources.base import WhenBehind
from inspector.sources.camera.connection import DeviceConnection
from inspector.sources.camera.gaps import Gaps
from inspector.sources.camera.losses import ClockLosses, Lost, Shot
from inspector.sources.camera.reader import CameraReader
from inspector.sources.camera.source import Backoff, CameraSource
from inspector.sources.camera.v4l2 import mono, set_up
from inspector.values import Capture, Code, Uninspected
from tests.support.frames import make_frames

RATE = 25.0
QUICK = Backoff(first_s=0.1, longest_s=0.2)


def jpeg(height: int, width: int) -> bytes:
    return cv2.imencode(".jpg", np.full((height, width, 3), 120, np.uint8))[1].tobytes()


class CameraServer(http.server.ThreadingHTTPServer):
    """A network camera: multipart MJPEG over HTTP, grey levels 40, 60, 80, … in colour."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Stream)
        self.running = True
        self.silent = False
        self.jpeg = jpeg(64, 160)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def kill(self) -> None:
        self.running = False
        self.shutdown()
        self.server_close()
        self.thread.join()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


class _Stream(http.server.BaseHTTPRequestHandler):
    server: CameraServer

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        while self.server.running:
            data = self.server.jpeg
            if not self.server.silent:
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
            time.sleep(1 / RATE)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def camera_server(port: int = 0) -> Iterator[CameraServer]:
    server = CameraServer(port)
    try:
        yield server
    finally:
        if server.running:
            server.kill()


def take(source: Iterator[Capture | None], until: float | None = None, good: int | None = None) -> list[Capture]:
    """Captures for `until` seconds, or up to the `good`-th frame."""
    found: list[Capture] = []
    started = time.monotonic()
    for capture in source:
        if capture is not None:
            found.append(capture)
        if until is not None and time.monotonic() - started > until:
            break
        if good is not None and sum(c.pixels is not None for c in found) >= good:
            break
        assert time.monotonic() - started < 15, "no frame came"
    return found


def test_a_network_camera_that_is_killed_and_restarted_gives_frames_again_and_the_gap_is_accounted() -> None:
    """Frames, a fault at once when the camera dies, faults at its rate while it is away, then frames again."""
    with camera_server() as server:
        port = server.server_address[1]
        with CameraSource(f"http://127.0.0.1:{port}/", frames_per_second=RATE, backoff=QUICK) as source:
            captures = source.captures()
            before = take(captures, good=10)
            assert all(c.pixels is not None for c in before)
            pixels = before[0].pixels
            assert pixels is not None
            assert pixels.shape == (64, 160)
            assert abs(int(pixels.mean()) - 120) <= 2
            server.kill()
            killed = time.monotonic()
            away = take(captures, until=1.5)
            faults = [c for c in away if c.fault is not None]
            assert faults, "the gate must hear of the gap while it lasts"
            assert all("gave no frame" in str(c.fault) for c in faults)
            with camera_server(port):
                back = take(captures, good=5)
                gap_s = time.monotonic() - killed
                lost = sum(c.fault is not None for c in away + back)
                # The gap ends with its first frame, some frames before `gap_s` was taken.
                assert (gap_s - 1.0) * RATE < lost <= gap_s * RATE + 1
            times = [c.captured_ns for c in before + away + back if c.captured_ns is not None]
            assert len(times) == len(before + away + back)
            assert times == sorted(times)


def test_a_camera_that_hangs_is_said_while_it_hangs_and_does_not_block_the_stop() -> None:
    """A connection that stays open and silent becomes faults after a second; leaving takes under two."""
    with camera_server() as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        with CameraSource(url, frames_per_second=RATE, timeout_s=20) as source:
            captures = source.captures()
            take(captures, good=5)
            server.silent = True
            started = time.monotonic()
            waits = []
            faults = 0
            for capture in captures:
                waits.append(time.monotonic())
                faults += capture is not None and capture.fault is not None
                if waits[-1] - started > 2.0:
                    break
            left = time.monotonic()
        assert time.monotonic() - left < 1.5
        assert max(b - a for a, b in itertools.pairwise(waits)) < 0.5  # 0.2 s, on a busy machine
        assert 0.6 * RATE < faults <= 2.2 * RATE


def test_a_camera_that_changes_the_size_of_its_frames_is_not_cut_to_the_old_size() -> None:
    """The frames keep the size that the camera really sends, and the engine refuses another size."""
    with camera_server() as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        with CameraSource(url, frames_per_second=RATE) as source:
            captures = source.captures()
            take(captures, good=5)
            server.jpeg = jpeg(96, 192)
            after = take(captures, good=15)
            assert all(c.fault is None for c in after)
            shapes = [c.pixels.shape for c in after if c.pixels is not None]
            assert shapes[-1] == (96, 192)
            assert set(shapes) <= {(64, 160), (96, 192)}


def test_a_frame_that_was_damaged_on_the_way_is_lost_and_the_next_is_not() -> None:
    """A truncated JPEG is a fault, and the next frame is inspected."""
    whole = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (64, 160), np.uint8))[1].tobytes()
    with camera_server() as server:
        server.jpeg = whole
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        with CameraSource(url, frames_per_second=RATE) as source:
            captures = source.captures()
            take(captures, good=5)
            server.jpeg = whole[: len(whole) // 2] + b"\xff\xd9"
            damaged = take(captures, until=0.6)
            server.jpeg = whole
            assert all(c.pixels is not None for c in take(captures, good=15)[-5:])
    faults = [c.fault for c in damaged if c.fault is not None]
    assert faults
    assert {fault.code for fault in faults} <= {Code.UNREADABLE, Code.STREAM_DAMAGED}


def test_a_video_file_stands_in_for_a_camera_and_its_end_is_a_lost_connection(tmp_path: Path) -> None:
    """It plays at the camera's rate, ends, is a fault for at least one frame, and starts again."""
    path = tmp_path / "strip.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 160, "yuvj420p"
        for pixels in make_frames(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="gray")))
        container.mux(stream.encode(None))
    with CameraSource(str(path), frames_per_second=20, backoff=QUICK) as source:
        assert list(source.sizes()) == [(str(path), (64, 160))]
        started = time.monotonic()
        found = take(source.captures(), good=15)
        assert time.monotonic() - started > 15 / 20
    marks = "".join("." if c.pixels is not None else "x" for c in found)
    assert marks.startswith("." * 10 + "x")
    assert marks.endswith("x.....")


@pytest.mark.parametrize(
    "device", ["http://user:secret@127.0.0.1:9/", "/nonexistent.mkv", 97, "videotestsrc ! appsink"]
)
def test_a_camera_that_is_not_there_is_one_clear_line(device: str | int) -> None:
    """The first open fails the start at once, and no password gets into the message."""
    with pytest.raises(SourceError) as caught, CameraSource(device, frames_per_second=RATE, timeout_s=2):
        pass
    assert "\n" not in str(caught.value)
    assert "cannot be opened" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_frames_nobody_takes_are_dropped_oldest_first_and_counted(tmp_path: Path) -> None:
    """However late the line is, frames and losses add up to what the camera gave."""
    losses = ClockLosses(RATE)
    reader = CameraReader(
        DeviceConnection("none", 1.0), losses, frames_per_second=RATE, first_pause_s=1, longest_pause_s=1
    )
    losses.opened(time.monotonic(), None)
    for number in range(20):
        reader._put(np.full((4, 4), number, np.uint8), number)
    taken = [reader.take(0.0) for _ in range(9)]
    assert taken[0] == Lost(12, Uninspected(Code.SHED, "dropped: the line did not take it in time"), 11)
    assert [t.captured_ns for t in taken[1:] if isinstance(t, Shot)] == list(range(12, 20))
    assert reader.take(0.0) is None


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((4, 6), np.uint16), "uint16"),
        (np.zeros((4, 6, 2), np.uint8), "shape (4, 6, 2)"),
    ],
)
def test_a_frame_the_line_cannot_use_is_lost_with_the_reason(image: "np.ndarray", says: str) -> None:
    """16-bit and packed frames without a window are faults with the reason."""
    why = mono(image)
    assert isinstance(why, Uninspected)
    assert says in why.text


def test_when_behind_a_camera_sheds() -> None:
    """A camera sheds frames, because the strip does not stop."""
    assert CameraSource.when_behind is WhenBehind.SHED_OLDEST


class TestGaps:
    def test_a_steady_camera_has_no_gap(self) -> None:
        """Jitter within a second costs nothing."""
        gaps = Gaps(10)
        gaps.opened(0.0)
        assert [gaps.frame(now)[0] for now in (3.0, 3.1, 3.5, 4.4)] == [0, 0, 0, 0]

    def test_a_lost_connection_costs_at_least_one_frame(self) -> None:
        """Even a reconnect within a frame time costs a frame, because the loss is unknown."""
        gaps = Gaps(10)
        gaps.opened(0.0)
        gaps.frame(1.0)
        gaps.failed("gone", 1.0)
        assert gaps.frame(1.05) == (1, "gone")

    def test_what_was_said_while_the_gap_lasts_is_not_said_again(self) -> None:
        """Paced in real time, the sum is the gap's length times the rate, less the frame that ends it."""
        gaps = Gaps(10)
        gaps.opened(0.0)
        gaps.frame(1.0)
        gaps.failed("gone", 1.0)
        said = [gaps.due(1.0 + 0.05 * step)[0] for step in range(40)]
        assert said[0] == 1
        assert max(said) <= 1
        assert sum(said) + gaps.frame(3.0)[0] == 19
        assert gaps.due(3.05) == (0, "")

    def test_a_connected_camera_that_goes_silent_is_a_gap_after_a_second(self) -> None:
        """A hung driver reports nothing, so silence counts after a second."""
        gaps = Gaps(10)
        gaps.opened(0.0)
        gaps.frame(1.0)
        assert gaps.due(1.9) == (0, "")
        assert gaps.due(2.5) == (14, "silent for over 1 s")
        assert gaps.frame(3.0)[0] == 5


class V4l2Camera:
    """OpenCV's VideoCapture of a V4L2 device: it takes what the device has, and keeps the rest as it is.

    A stand-in, because a V4L2 device needs a kernel module.
    """

    def __init__(self, formats: dict[str, list[tuple[int, int]]], exposures: range) -> None:
        self._formats, self._exposures = formats, exposures
        self.format = next(iter(formats))
        self.size = formats[self.format][0]
        self._asked_width = 0
        self.exposure, self.automatic, self.converts = 50, 3, 1

    def set(self, what: int, value: float) -> bool:
        if what == cv2.CAP_PROP_FOURCC:
            wanted = int(value).to_bytes(4, "little").decode()
            if wanted in self._formats:
                self.format, self.size = wanted, self._formats[wanted][0]
        elif what == cv2.CAP_PROP_FRAME_WIDTH:
            self._asked_width = int(value)
        elif what == cv2.CAP_PROP_FRAME_HEIGHT:
            if (self._asked_width, int(value)) in self._formats[self.format]:
                self.size = (self._asked_width, int(value))
        elif what == cv2.CAP_PROP_AUTO_EXPOSURE:
            self.automatic = int(value)
        elif what == cv2.CAP_PROP_EXPOSURE:
            if int(value) not in self._exposures or self.automatic != 1:
                return False
            self.exposure = int(value)
        elif what == cv2.CAP_PROP_CONVERT_RGB:
            self.converts = int(value)
        return True

    def get(self, what: int) -> float:
        return {
            cv2.CAP_PROP_FOURCC: int.from_bytes(self.format.encode(), "little"),
            cv2.CAP_PROP_FRAME_WIDTH: self.size[0],
            cv2.CAP_PROP_FRAME_HEIGHT: self.size[1],
            cv2.CAP_PROP_EXPOSURE: self.exposure,
        }[what]


def v4l2_camera() -> V4l2Camera:
    return V4l2Camera(
        {"YUYV": [(640, 480)], "Y16 ": [(640, 480), (1600, 256)], "GREY": [(1600, 256)]}, range(1, 500)
    )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, None),
        ({"pixel_format": "GREY"}, None),
        ({"pixel_format": "Y16", "size": (1600, 256), "exposure_us": 2000}, None),
        ({"exposure_us": 100}, None),
        ({"pixel_format": "MJPG"}, "pixel_format: the camera does not take MJPG, it stays at YUYV"),
        ({"size": (1600, 256)}, "size: the camera does not take 1600×256, it gives 640×480"),
        ({"pixel_format": "Y16", "size": (800, 600)}, "size: the camera does not take 800×600, it gives 640×480"),
        ({"exposure_us": 90_000}, "exposure_us: the camera does not take 90000: see `v4l2-ctl --list-ctrls`"),
    ],
)
def test_a_v4l2_camera_is_set_up_as_the_config_says_or_refused(
    settings: dict[str, object], says: str | None
) -> None:
    """Size, pixel format and exposure are read back: a camera that takes something else is not used."""
    camera = v4l2_camera()
    assert set_up(camera, V4l2Settings(**settings)) == says  # type: ignore[arg-type]
    if says is None and "exposure_us" in settings:
        assert camera.exposure == settings["exposure_us"] // 100  # type: ignore[operator]
        assert camera.automatic == 1
    if settings.get("pixel_format") in {"Y16", "GREY"}:
        assert camera.converts == 0


def test_deep_grey_of_a_v4l2_camera_comes_through_the_window() -> None:
    """OpenCV would keep the upper 8 bits of 16, which are black where the camera fills 12."""
    image = np.linspace(0, 4095, 64 * 16).reshape(16, 64).astype(np.uint16)
    pixels = mono(image, (0, 4095))
    assert not isinstance(pixels, Uninspected)
    assert np.array_equal(pixels, np.rint(image * np.float32(255 / 4095)).astype(np.uint8))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (
            {"device": "rtsp://10.0.0.5/x", "v4l2": {"size": (640, 480)}},
            "v4l2: only a V4L2 device has these settings",
        ),
        ({"device": 0, "v4l2": {"exposure_us": 150}}, "multiple of 100"),
        ({"device": 0, "v4l2": {"pixel_format": "grey8"}}, "pattern"),
        ({"device": 0, "v4l2": {"size": (0, 480)}}, "greater than or equal to 1"),
        ({"device": 0, "v4l2": {"gain": 3}}, "Extra inputs"),
        ({"device": "v4l2src ! appsink"}, "GStreamer pipelines are not supported"),
    ],
)
def test_wrong_v4l2_settings_are_refused(keys: dict[str, object], says: str) -> None:
    """At the door, before a camera is opened."""
    with pytest.raises(ValueError, match=says):
        CameraSettings.model_validate({"type": "camera", "frames_per_second": 10, **keys})


def test_stable_paths_of_v4l2_devices_are_v4l2_devices() -> None:
    """A number may change when a second camera is plugged in; the paths by id and by path do not."""
    assert is_v4l2("/dev/v4l/by-path/pci-0000:00:14.0-usb-0:2:1.0-video-index0")
    assert is_v4l2(0)
    assert not is_v4l2("rtsp://10.0.0.5/strip")
