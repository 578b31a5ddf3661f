"""Brings a resumed replay's ingest to the frame at which it goes on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.errors import WorkError
from inspector.results import VERDICTS_NAME, read_verdicts
from inspector.runtime.stop import StopRequest
from inspector.sources.base import Source
from inspector.sources.folder import FolderSource
from inspector.values import Capture

if TYPE_CHECKING:
    from inspector.ingest.process import Announcer


def files_so_far(out: Path) -> list[str | None]:
    """The file of each frame that has a verdict, in order; None for frames of a video or a recording."""
    log = out / VERDICTS_NAME
    return [verdict.file for verdict in read_verdicts(log)] if log.exists() else []


def keep_order(source: Source, files: Sequence[str | None]) -> None:
    """Let a folder begin with these files: others may have been added since."""
    if isinstance(source, FolderSource):
        source.begin_with([name for name in files if name is not None])


def pass_over(
    captures: Iterator[Capture | None],
    frames: int,
    files: Sequence[str | None],
    announcer: "Announcer",
    stop: StopRequest,
) -> None:
    """Take the source's first `frames` without announcing them.

    They are read and measured as before the break, so that positions and learned picture limits are the same.
    Raises WorkError when the source is another one than before.
    """
    for capture in captures if frames else ():
        announcer.turn()
        if stop:
            return
        if capture is None:
            continue
        expected = files[announcer.captured]
        if expected is not None and capture.file != expected:
            raise WorkError(
                f"frame {announcer.captured} was {expected}, is {capture.file} now: replay the same files, or "
                "start a new replay"
            )
        announcer.take(capture)
        announcer.forget_untold()
        if announcer.captured == frames:
            return
    if frames:
        raise WorkError(
            f"the source ends after {announcer.captured} frames, the log has {len(files)}: not the same"
        )
