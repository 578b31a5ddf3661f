"""The newest frame of each camera: a frame that the candidate cannot look at in time is dropped."""

import threading

from inspector.wire.view import ViewMessage


class Latest:
    """One place for each camera; a newer frame replaces one that was not taken. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: dict[str, ViewMessage] = {}
        self._ready = threading.Event()
        self.offered = 0
        """Frames with a picture that came."""
        self.shed = 0
        """Frames that a newer one replaced."""

    def offer(self, seen: ViewMessage) -> None:
        """Put a frame in its camera's place; a verdict without a picture is ignored."""
        if seen.pixels is None or seen.mask is None:
            return
        with self._lock:
            self.offered += 1
            # The newest goes last, so that cameras take turns.
            self.shed += self._frames.pop(seen.verdict.camera, None) is not None
            self._frames[seen.verdict.camera] = seen
            self._ready.set()

    def take(self, wait_s: float) -> ViewMessage | None:
        """The frame that has waited longest; None if none came within `wait_s`."""
        if not self._ready.wait(wait_s):
            return None
        with self._lock:
            camera = next(iter(self._frames))
            seen = self._frames.pop(camera)
            if not self._frames:
                self._ready.clear()
            return seen
