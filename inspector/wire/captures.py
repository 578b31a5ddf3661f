"""How many frames each ingest of a camera has captured, in shared memory that outlives both ingest and decide.

A message that decide never read is lost when either process is killed. If the ingest sends more, the next frame id
shows the gap; if it has ended, nothing does. So each ingest counts its frames in a file as well. decide reads it
when it meets a newer ingest, and gives the frames that were never announced their verdicts. decide confirms the
End of an ingest in another file, because a sender cannot see whether a message was read.
"""

import mmap
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from inspector.errors import WorkError
from inspector.folders import make_own_folder, share_with_group
from inspector.wire.links import NEWS
from inspector.wire.messages import End

_RECORD: Final = struct.Struct("<qqqdq")
"""Ingest epoch, frames captured, and the next frame's time, position and height."""

INGESTS: Final = 16
"""Records in a file: those of the newest ingests."""

_EPOCH: Final = struct.Struct("<q")

log = structlog.get_logger()


class CaptureCount:
    """One ingest's record in its camera's file."""

    def __init__(self, links: Path, camera: str, ingest_epoch: int) -> None:
        """Open or create the file and take the place of its oldest ingest. Raises WorkError."""
        path = _counts(links, camera)
        make_own_folder(path.parent)
        size = INGESTS * _RECORD.size
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                share_with_group(path)
                os.posix_fallocate(file, 0, size)  # a full memory must fail here, not as SIGBUS at a frame
                self._memory = mmap.mmap(file, size)
            finally:
                os.close(file)
        except OSError as error:
            raise WorkError(f"{path}: {error.strerror}: free some memory of the links folder") from None
        epochs = [_RECORD.unpack_from(self._memory, place)[0] for place in range(0, size, _RECORD.size)]
        # A later epoch is from before a restart of the PC, in a folder on a disk: the oldest of all.
        epochs = [epoch if epoch < ingest_epoch else 0 for epoch in epochs]
        self._place = epochs.index(min(epochs)) * _RECORD.size
        self._epoch = ingest_epoch

    def keep(self, captured: int, next_ns: int, next_mm: float, height: int) -> None:
        """Note the frames captured so far and where the next one begins; cheap enough for every frame."""
        # One copy: pack_into fills the place with zeros first; a reader or a kill in between would find no record.
        record = _RECORD.pack(self._epoch, captured, next_ns, next_mm, height)
        self._memory[self._place : self._place + _RECORD.size] = record

    def close(self) -> None:
        """Close the file, which stays."""
        self._memory.close()


def captured_by_ingests(links: Path, camera: str) -> list[End]:
    """What the newest ingests of a camera have captured, oldest first; empty if none has counted."""
    try:
        content = _counts(links, camera).read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        log.error("counts of captured frames cannot be read", camera=camera, error=error.strerror)
        return []
    whole = len(content) - len(content) % _RECORD.size
    ends = [End(camera, *record) for record in _RECORD.iter_unpack(content[:whole]) if record[0] > 0]
    return sorted(ends, key=lambda end: end.ingest_epoch)


def confirm(links: Path, end: End) -> None:
    """Tell an ingest that decide has its End."""
    path = _confirmation(links, end.camera)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            share_with_group(path)
            os.pwrite(file, _EPOCH.pack(end.ingest_epoch), 0)
        finally:
            os.close(file)
    except OSError as error:
        # The ingest then ends with an error, and its frames are looked up when the next one starts.
        log.error("the end of an ingest cannot be confirmed", camera=end.camera, error=error.strerror)


def confirmed(links: Path, camera: str, ingest_epoch: int) -> bool:
    """Whether decide has the End of this ingest."""
    try:
        content = _confirmation(links, camera).read_bytes()
    except OSError:
        return False
    return len(content) == _EPOCH.size and _EPOCH.unpack(content)[0] == ingest_epoch


def forget_confirmed(links: Path, cameras: Sequence[str]) -> None:
    """Remove the confirmations of an earlier decide: every replay has the same ingest epoch."""
    for camera in cameras:
        _confirmation(links, camera).unlink(missing_ok=True)


def _counts(links: Path, camera: str) -> Path:
    return links / NEWS.name / f"captured-{camera}"


def _confirmation(links: Path, camera: str) -> Path:
    return links / NEWS.name / f"ended-{camera}"
