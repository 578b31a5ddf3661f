"""Writes one camera's frames into recordings, one after the other."""

from contextlib import ExitStack
from typing import Final

import structlog

from inspector.archive.coils import CoilFolders
from inspector.errors import WorkError
from inspector.sources.recording import RecordingWriter
from inspector.values import Announcement, Capture, Code, Pixels, Uninspected

SEGMENT_FRAMES: Final = 5_000
"""Most frames of a recording: a damaged file costs no more, and a coil of days can be deleted in parts."""

MOST_MISSED: Final = 1_000
"""A longer gap begins a new recording instead of a fault for each lost frame."""

MISSED: Final = Uninspected(Code.NO_FRAME, "not archived: the archive was behind, or was away")

log = structlog.get_logger()


class CameraArchive:
    """One camera's open recording."""

    def __init__(self, camera: str, mm_per_px: float, folders: CoilFolders) -> None:
        self._camera, self._mm_per_px, self._folders = camera, mm_per_px, folders
        self._writing: RecordingWriter | None = None
        self._stack = ExitStack()
        self._last: Announcement | None = None
        self._frames = 0
        self.missed = 0
        """Frames that did not arrive."""

    def take(self, announcement: Announcement, pixels: Pixels | None) -> None:
        """Write a frame or a fault. Raises WorkError or InputError when the disk refuses it."""
        last, self._last = self._last, announcement
        missing = 0
        if last is not None and last.ingest_epoch == announcement.ingest_epoch:
            missing = announcement.frame_id - last.frame_id - 1
            self.missed += missing
        same = last is not None and (last.ingest_epoch, last.coil) == (
            announcement.ingest_epoch,
            announcement.coil,
        )
        if not same or missing > MOST_MISSED or self._frames >= SEGMENT_FRAMES:
            self.close()
        writing = self._writing or self._begin(announcement)
        for _ in range(missing if same and missing <= MOST_MISSED else 0):
            writing.append(Capture(None, MISSED, coil=announcement.coil))
        fault = announcement.fault if pixels is None else None
        writing.append(
            Capture(
                pixels,
                fault or (None if pixels is not None else MISSED),
                captured_ns=announcement.captured_ns,
                position_mm=announcement.position_mm,
                coil=announcement.coil,
            )
        )
        self._frames += 1 + missing

    def close(self) -> None:
        """Finish the open recording. Raises WorkError."""
        self._writing, self._frames = None, 0
        self._stack.close()

    def drop(self) -> None:
        """Give up the open recording; the frames that were written stay readable."""
        try:
            self.close()
        except WorkError as error:
            log.error("a recording of the archive cannot be finished", error=str(error))

    def _begin(self, announcement: Announcement) -> RecordingWriter:
        path = self._folders.segment(announcement.coil, self._camera, announcement.captured_ns)
        writer = RecordingWriter(path, self._camera, mm_per_px=self._mm_per_px)
        self._writing = self._stack.enter_context(writer)
        return writer
