"""Content of the live page: the strip's last stretch, the newest frames and the newest rejects."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from inspector.serve.events import Place
from inspector.serve.frames import LIVE_QUALITY, defect_values, jpeg, outlines, reject_jpeg
from inspector.values import Decision, Verdict
from inspector.wire.view import ViewMessage

FRAME_INTERVAL_S: Final = 0.19
"""Least time between two live frames of a camera, seconds: five a second are enough for an eye, and each costs
some ms of CPU that the line may need."""

MOST_STRETCHES: Final = 3_000
"""Stretches of strip with one decision that a new page gets per camera."""

MOST_DEFECTS: Final = 1_500
"""Defects of the last stretch that a new page gets."""

MOST_REJECTS: Final = 40
"""Rejects that a new page gets."""

MOST_WHOLE: Final = 60
"""Newest pictured rejects of which the pixels are held, so that a person can mark one for review; about 50 MB.

On bad steel they are those of the last six seconds.
"""

MOST_WHOLE_FRAMES: Final = 12
"""The same for the live frames of each camera: 2 s of them, since a hand is slower than the page."""

MOST_PICTURES: Final = 120
"""Pictures of the newest rejects, about 18 MB: a slow browser still asks for those that left the list."""

REJECT_INTERVAL_S: Final = 0.1
"""Least time between two pictured rejects, seconds. On bad steel every frame is one."""

SPEED_S: Final = 2.0
"""Time over which the speed is measured, seconds."""

DECISIONS: Final = {Decision.ACCEPT: 0, Decision.REJECT: 1, Decision.UNINSPECTED: 2}


class LiveFrame(msgspec.Struct, frozen=True):
    """One camera's newest frame, encoded once for all pages."""

    camera: str
    number: int
    """Counts the live frames of all cameras."""
    message: bytes
    """Length of the JSON header (4 bytes, little-endian), the header, the JPEG."""


class _Camera:
    """State of one camera."""

    def __init__(self) -> None:
        self.stretches: deque[list[Any]] = deque(maxlen=MOST_STRETCHES)
        self.frame: LiveFrame | None = None
        self.frame_at_s = 0.0
        self.whole: deque[tuple[int, ViewMessage]] = deque(maxlen=MOST_WHOLE_FRAMES)
        self.places: deque[tuple[int, float]] = deque()
        self.ingest_epoch = -1
        self.since_ns: int | None = None
        """Capture time of the first frame of the present positions; they may begin again with the ingest."""
        self.placed_s = 0.0
        """When `places` last grew, monotonic clock."""

    def speed_mm_s(self) -> float | None:
        """Strip speed over the last SPEED_S; None when it is not known, or no frame has come for that long."""
        if len(self.places) < 2 or time.monotonic() - self.placed_s > SPEED_S:
            return None
        (from_ns, from_mm), (to_ns, to_mm) = self.places[0], self.places[-1]
        return (to_mm - from_mm) / ((to_ns - from_ns) / 1e9) if to_ns > from_ns else None

    def place(self, verdict: Verdict) -> None:
        """Note the strip's position."""
        if verdict.ingest_epoch != self.ingest_epoch or (self.places and verdict.position_mm < self.places[-1][1]):
            self.ingest_epoch = verdict.ingest_epoch
            self.places.clear()
            # On a line with [strip], positions go on over a restart, and the strip may travel back.
            if verdict.strip is msgspec.UNSET:
                self.stretches.clear()
                self.since_ns = None
        if self.since_ns is None:
            self.since_ns = verdict.captured_ns
        self.placed_s = time.monotonic()
        self.places.append((verdict.captured_ns, verdict.position_mm))
        while len(self.places) > 2 and self.places[-1][0] - self.places[0][0] > SPEED_S * 1e9:
            self.places.popleft()


class Live:
    """Collects the view's messages; every method may be called from any thread."""

    def __init__(self, cameras: list[str], frame_length_mm: float) -> None:
        self._cameras = {name: _Camera() for name in cameras}
        self._length_mm = frame_length_mm
        self.woken: Callable[[], None] = lambda: None
        """Called when a new live frame is ready."""
        self._lock = threading.Lock()
        self._defects: deque[dict[str, Any]] = deque(maxlen=MOST_DEFECTS)
        self._rejects: deque[dict[str, Any]] = deque(maxlen=MOST_REJECTS)
        self._pictures: dict[int, bytes] = {}
        self._whole: deque[tuple[int, ViewMessage]] = deque(maxlen=MOST_WHOLE)
        self._reject_at_s = 0.0
        # A browser keeps pictures by their numbers, over a restart of the page, too.
        self._number = time.time_ns() // 1_000_000
        self._new: dict[str, list[Any]] = {"frames": [], "defects": [], "rejects": []}
        self._pages = 0
        self.heard_s: float | None = None
        """When the last message came, monotonic clock."""

    def take(self, seen: ViewMessage) -> None:
        """Apply a message of the view."""
        now_s = time.monotonic()
        self.heard_s = now_s
        verdict = seen.verdict
        camera = self._cameras.get(verdict.camera)
        if camera is None:
            return
        self._encode(camera, seen, now_s)
        picture = None
        rejected = verdict.decision is Decision.REJECT
        pictured = rejected and now_s - self._reject_at_s >= REJECT_INTERVAL_S
        if pictured:
            self._reject_at_s = now_s
            picture = reject_jpeg(seen)
        with self._lock:
            camera.place(verdict)
            self._stretch(camera, verdict)
            self._note_defects(verdict)
            if pictured:
                self._note_reject(seen, picture)

    def _encode(self, camera: _Camera, seen: ViewMessage, now_s: float) -> None:
        if not self._pages or seen.pixels is None or seen.mask is None:
            return
        if now_s - camera.frame_at_s < FRAME_INTERVAL_S:
            return
        camera.frame_at_s = now_s
        verdict = seen.verdict
        height, width = seen.pixels.shape
        self._number += 1
        header = msgspec.json.encode(
            {
                "number": self._number,
                "camera": verdict.camera,
                "frame_id": verdict.frame_id,
                "captured_ms": verdict.captured_ns / 1e6,
                "position_mm": verdict.position_mm,
                "decision": DECISIONS[verdict.decision],
                "reasons": verdict.reasons,
                "size": (width, height),
                "outlines": outlines(seen.mask),
            }
        )
        message = len(header).to_bytes(4, "little") + header + jpeg(seen.pixels, LIVE_QUALITY)
        with self._lock:
            camera.whole.append((self._number, seen))
        camera.frame = LiveFrame(verdict.camera, self._number, message)
        self.woken()

    def _stretch(self, camera: _Camera, verdict: Verdict) -> None:
        """Add the frame to the map: the last stretch grows, or a new one begins."""
        start, decision = verdict.position_mm, DECISIONS[verdict.decision]
        end = start + self._length_mm
        captured_ms = verdict.captured_ns // 1_000_000
        self._new["frames"].append([verdict.camera, start, end, decision, verdict.coil, captured_ms])
        last = camera.stretches[-1] if camera.stretches else None
        joins = last is not None and abs(last[2] - start) < self._length_mm / 2
        if last is not None and joins and last[3] == decision and last[4] == verdict.coil:
            last[2] = end
        else:
            camera.stretches.append([verdict.camera, start, end, decision, verdict.coil, captured_ms])

    def _note_defects(self, verdict: Verdict) -> None:
        for values in defect_values(verdict.defects):
            values |= {"camera": verdict.camera, "rejected": verdict.decision is Decision.REJECT}
            self._defects.append(values)
            self._new["defects"].append(values)

    def _note_reject(self, seen: ViewMessage, picture: bytes | None) -> None:
        verdict = seen.verdict
        self._number += 1
        reject = {
            "number": self._number,
            "camera": verdict.camera,
            "frame_id": verdict.frame_id,
            "captured_ms": verdict.captured_ns / 1e6,
            "position_mm": verdict.position_mm,
            "coil": verdict.coil,
            "reasons": verdict.reasons,
            "recipe": verdict.recipe,
            "defects": defect_values(verdict.defects),
            "size": None if seen.pixels is None else seen.pixels.shape[::-1],
            "picture": picture is not None,
        }
        self._rejects.append(reject)
        if picture is not None:
            self._whole.append((self._number, seen))
            self._pictures[self._number] = picture
            if len(self._pictures) > MOST_PICTURES:
                del self._pictures[next(iter(self._pictures))]
        self._new["rejects"].append(reject)

    def open_pages(self, count: int) -> None:
        """Set how many pages are open: without any, no frame is encoded. The first one gets no earlier frame."""
        if not self._pages:
            for camera in self._cameras.values():
                camera.frame = None
        self._pages = count

    def news(self) -> dict[str, list[Any]]:
        """Return what came since the last call: frames, defects and rejects."""
        with self._lock:
            return self._take_news()

    def news_and_history(self) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
        """Return what came since the last call, and with it the last stretch of strip, for a page that opens.

        Both at once: a page that has the history must not get any of it again as news.
        """
        with self._lock:
            history: dict[str, list[Any]] = {
                "frames": [list(each) for camera in self._cameras.values() for each in camera.stretches],
                "defects": list(self._defects),
                "rejects": list(self._rejects),
            }
            return self._take_news(), history

    def _take_news(self) -> dict[str, list[Any]]:
        news, self._new = self._new, {"frames": [], "defects": [], "rejects": []}
        return news

    def speeds_mm_s(self) -> dict[str, float | None]:
        """Return each camera's strip speed."""
        with self._lock:
            return {name: camera.speed_mm_s() for name, camera in self._cameras.items()}

    def place(self, at_ns: int) -> Place | None:
        """Return which coil and place of the strip had passed the cameras at a time, now or SPEED_S ago."""
        with self._lock:
            before = [
                (captured_ns, position_mm, camera.stretches[-1][4])
                for camera in self._cameras.values()
                for captured_ns, position_mm in camera.places
                if captured_ns <= at_ns
            ]
        if not before:
            return None
        _, position_mm, coil = max(before, key=lambda each: each[0])
        return Place(coil, round(position_mm + self._length_mm, 1))

    def since_ns(self) -> int | None:
        """Return when the positions of the map began; None before the first frame."""
        with self._lock:
            return min(
                (each.since_ns for each in self._cameras.values() if each.since_ns is not None), default=None
            )

    def frames(self) -> list[LiveFrame]:
        """Return each camera's newest frame."""
        return [camera.frame for camera in self._cameras.values() if camera.frame is not None]

    def shown(self, number: int) -> ViewMessage | None:
        """Return a live frame or a reject that a page shows, by its number; None if its pixels are not held."""
        with self._lock:
            held = [self._whole, *(camera.whole for camera in self._cameras.values())]
            return next((seen for each in held for at, seen in each if at == number), None)

    def picture(self, number: int) -> bytes | None:
        """Return the picture of a recent reject as JPEG."""
        with self._lock:
            return self._pictures.get(number)
