"""Verdicts from the log by position: run, number of the log file, offset in it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
import structlog

from inspector.outbound.stream import FRAMES, Step
from inspector.repeated import Repeated
from inspector.results import VERDICTS_NAME
from inspector.sinks.log.log_file import full_files
from inspector.values import Verdict

CHUNK_BYTES: Final = 1 << 18
"""Bytes of the log read at once."""

log = structlog.get_logger()


class Place(msgspec.Struct, frozen=True):
    """A place in the verdict logs."""

    run: str
    """Folder in `sinks.out`; empty for a service, which writes into `sinks.out` itself."""
    file: int
    """1, 2, 3, … in the order of the rotation: the file in use has the number after the newest full one."""
    offset: int = 0


NOWHERE: Final = Place("", 0)
"""Before the first log: begin with the first one that appears."""


class Frames:
    """The verdicts of a service, or of one run after the other."""

    name = FRAMES

    def __init__(self, out: Path) -> None:
        self._out = out
        self._place = NOWHERE
        self._file: BinaryIO | None = None
        self._decoder = msgspec.json.Decoder(Verdict)
        self._bad = Repeated()
        self.gaps = 0
        """Times that the log was deleted before it was read."""

    def seek(self, position: Any) -> None:
        """Go to a position."""
        self.close()
        if position is not None:
            self._place = msgspec.convert(position, Place)
            return
        runs = self._runs()
        self._place = self._end_of(runs[-1]) if runs else NOWHERE

    def position(self) -> Any:
        """Where the next verdict is read."""
        return msgspec.to_builtins(self._place)

    def read(self, most: int) -> Sequence[Step]:
        """Return verdicts that are there now. Raises OSError."""
        while True:
            if self._file is None and not self._open():
                return []
            steps = self._read_lines(most)
            if steps or not self._go_on():
                return steps

    def close(self) -> None:
        """Close the log."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _runs(self) -> list[str]:
        """The folders of runs, oldest first: their names begin with the time."""
        if _numbers(self._out):
            return [""]
        if not self._out.is_dir():
            return []
        return sorted(each.name for each in self._out.iterdir() if (each / VERDICTS_NAME).exists())

    def _end_of(self, run: str) -> Place:
        folder = self._out / run
        with (folder / VERDICTS_NAME).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            newest = _numbers(folder)[-1]
            start = max(0, size - CHUNK_BYTES)
            tail = os.pread(file.fileno(), size - start, start)
        return Place(run, newest, start + tail.rfind(b"\n") + 1)

    def _open(self) -> bool:
        """Open the file of the current place, or of the first run."""
        if self._place == NOWHERE:
            runs = self._runs()
            if not runs:
                return False
            self._place = Place(runs[0], 1)
        place, folder = self._place, self._out / self._place.run
        there = _numbers(folder)
        if not there:
            return self._open_next_run()
        if place.file < there[0]:
            self.gaps += 1
            log.error(
                "verdicts were deleted from the log before they were sent: raise sinks.log_files",
                first_lost=place.file, last_lost=there[0] - 1,
            )  # fmt: skip
            self._place = place = Place(place.run, there[0])
        elif place.file > there[-1] + 1:
            log.error("the verdict log begins again: it was emptied", at=place.file, newest=there[-1])
            self._place = place = Place(place.run, there[0])
        self._file = _open_number(folder, place.file)
        if self._file is not None and os.fstat(self._file.fileno()).st_size < place.offset:
            # decide began another file under this name, after somebody had moved the old one.
            self._place = Place(place.run, place.file)
        return self._file is not None

    def _read_lines(self, most: int) -> list[Step]:
        if self._file is None:
            return []
        size, place = CHUNK_BYTES, self._place
        steps: list[Step] = []
        while True:
            content = os.pread(self._file.fileno(), size, place.offset)
            if b"\n" in content or len(content) < size:
                break
            size *= 2  # a longer line than a chunk
        for line in content[: content.rfind(b"\n") + 1].splitlines(keepends=True):
            if len(steps) == most:
                break
            place = Place(place.run, place.file, place.offset + len(line))
            if (verdict := self._decode(line)) is not None:
                steps.append(Step(self.name, msgspec.to_builtins(place), verdict))
        self._place = place
        return steps

    def _go_on(self) -> bool:
        """Whether there is more to read, in this file or in a later one, which is then opened."""
        if self._file is None:
            return False
        place, folder = self._place, self._out / self._place.run
        mine = os.fstat(self._file.fileno())
        if mine.st_size > place.offset and os.pread(
            self._file.fileno(), mine.st_size - place.offset, place.offset
        ).count(b"\n"):
            return True  # written between the read and now
        there = _numbers(folder)
        if there and there[-1] > place.file:
            if os.fstat(self._file.fileno()).st_size > mine.st_size:
                return True  # the last lines before the rotation
            self.close()
            self._place = Place(place.run, place.file + 1)
            return True
        try:
            replaced = (folder / VERDICTS_NAME).stat().st_ino != mine.st_ino
        except FileNotFoundError:
            replaced = not folder.is_dir()
        if replaced:
            self.close()
            return bool(there)
        return self._open_next_run()

    def _open_next_run(self) -> bool:
        run = self._place.run
        later = [each for each in self._runs() if each > run]
        if not later or not run:
            return False
        self.close()
        self._place = Place(later[0], 1)
        return True

    def _decode(self, line: bytes) -> Verdict | None:
        try:
            return self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if (count := self._bad.due()) is not None:
                log.warning("a line of the verdict log cannot be read", error=str(error), count=count)
            return None


def _numbers(folder: Path) -> list[int]:
    """The numbers of a folder's logs, oldest first; empty without a log."""
    live = folder / VERDICTS_NAME
    try:
        full = [int(path.stem.rpartition("-")[2]) for path in full_files(live)]
    except FileNotFoundError:
        return []
    if live.exists():
        full.append(full[-1] + 1 if full else 1)
    return full


def _open_number(folder: Path, number: int) -> BinaryIO | None:
    """Open the log with this number, which may be rotated meanwhile."""
    live = folder / VERDICTS_NAME
    full = live.with_name(f"{live.stem}-{number:06d}{live.suffix}")
    try:
        file = live.open("rb")
    except FileNotFoundError:
        file = None
    if file is not None and _numbers(folder)[-1:] == [number]:
        try:
            if live.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        except FileNotFoundError:
            pass
    if file is not None:
        file.close()
    try:
        return full.open("rb")
    except FileNotFoundError:
        return None
