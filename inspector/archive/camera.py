"""Writes one camera's frames into recordings, one after the other."""

from contextlib import ExitStack
from typing import Final

import structlog

from inspector.archive.coils import CoilFolders
from inspector.errors import WorkError
from inspector.sources.recording.source import RecordingWriter
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
        self._heard: Announcement | None = None
        self._written: Announcement | None = None
        self._frames = 0
        self.missed = 0
        """Frames of the line that are not in the archive."""

    def take(self, announcement: Announcement, pixels: Pixels | None) -> None:
        """Write a frame or a fault. Raises WorkError, InputError or OSError when the disk refuses it."""
        self._hear(announcement)
        try:
            self._write(announcement, pixels)
        except BaseException:
            self.missed += 1
            raise

    def skip(self, announcement: Announcement) -> None:
        """Count a frame that is not written."""
        self._hear(announcement)
        self.missed += 1

    def _hear(self, announcement: Announcement) -> None:
        before, self._heard = self._heard, announcement
        if before is not None and before.ingest_epoch == announcement.ingest_epoch:
            self.missed += announcement.frame_id - before.frame_id - 1

    def _write(self, announcement: Announcement, pixels: Pixels | None) -> None:
        self._folders.check()
        before = self._written
        if before is not None and (before.ingest_epoch, before.coil) != (
            announcement.ingest_epoch,
            announcement.coil,
        ):
            before = None
        gap = 0 if before is None else announcement.frame_id - before.frame_id - 1
        if before is None or gap > MOST_MISSED or self._frames >= SEGMENT_FRAMES:
            self.close()
        writing = self._writing or self._begin(announcement)
        if before is not None and gap <= MOST_MISSED:
            for frame in range(1, gap + 1):
                writing.append(_missed(before, announcement, frame / (gap + 1)))
                self._frames += 1
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
        self._frames += 1
        self._written = announcement

    def close(self) -> None:
        """Finish the open recording. Raises WorkError."""
        self._writing, self._frames = None, 0
        self._stack.close()

    def drop(self) -> None:
        """Give up the open recording; the frames that were written stay readable."""
        try:
            self.close()
        except (WorkError, OSError) as error:
            log.error("a recording of the archive cannot be finished", error=str(error))

    def _begin(self, announcement: Announcement) -> RecordingWriter:
        path = self._folders.segment(announcement.coil, self._camera, announcement.captured_ns)
        writer = RecordingWriter(path, self._camera, mm_per_px=self._mm_per_px)
        self._writing = self._stack.enter_context(writer)
        return writer


def _missed(before: Announcement, after: Announcement, share: float) -> Capture:
    """A frame that did not arrive, at this share of the way between its neighbours."""
    return Capture(
        None,
        MISSED,
        captured_ns=before.captured_ns + round(share * (after.captured_ns - before.captured_ns)),
        position_mm=before.position_mm + share * (after.position_mm - before.position_mm),
        coil=after.coil,
    )
