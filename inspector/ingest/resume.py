"""Brings a resumed replay's ingest to the frame at which it goes on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.errors import InputError, WorkError
from inspector.results import VERDICTS_NAME, read_verdicts
from inspector.runtime.stop import StopRequest
from inspector.sources.base import Source
from inspector.sources.folder.source import FolderSource
from inspector.sources.sequence import SequenceSource
from inspector.values import Capture

if TYPE_CHECKING:
    from inspector.ingest.process import Announcer


def files_so_far(out: Path) -> list[str | None]:
    """The file of each frame that has a verdict, in order; None for frames of a video or a recording."""
    log = out / VERDICTS_NAME
    return [verdict.file for verdict in read_verdicts(log)] if log.exists() else []


def keep_order(source: Source, files: Sequence[str | None]) -> None:
    """Let each folder of an unopened source begin with the files that it had, whatever is added or removed since.

    Raises InputError when a folder that the log has left behind does not hold the files that it held.
    """
    parts = source.parts() if isinstance(source, SequenceSource) else [source]
    names = [set(part.names()) if isinstance(part, FolderSource) else set() for part in parts]
    at = 0
    for number, part in enumerate(parts):
        if not isinstance(part, FolderSource):
            while at < len(files) and files[at] is None:
                at += 1
            continue
        is_last = number == len(parts) - 1
        left, later = set(names[number]), set().union(*names[number + 1 :])
        first: dict[str, None] = {}
        for name in files[at:]:
            # A file that no part lists was removed; it is of this folder while others of it are to come.
            is_removed = name not in names[number] and name not in later and (left or is_last)
            if name is None or name in first or not (name in left or is_removed):
                break
            first[name] = None
            left.discard(name)
        at += len(first)
        if at < len(files) and left:
            raise InputError(
                f"{part.path}: changed since the replay began: {min(left)} has no verdict, though images after it "
                "have one: restore the folder, or start a new replay"
            )
        part.begin_with(list(first), are_all=at < len(files))


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
