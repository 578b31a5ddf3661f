"""A folder that others add images to: takes each image once its writer is done with it."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from inspector.sources.folder.natural_order import in_natural_order
from inspector.values import Capture

_LOOK_S: Final = 0.1
"""Time between two looks, seconds. A source may yield nothing for 0.2 s."""

_WHOLE_S: Final = 0.4
"""Time without a change from which a new file counts as complete, seconds."""

_BROKEN_S: Final = 5.0
"""Time without a change from which an empty, torn or unreadable file is a fault, seconds: writers pause."""

_SETTLED_S: Final = 3.0
"""Time after a change of the folder in which its time stamp may miss another one, seconds: FAT counts in 2 s."""

_RESCAN_S: Final = 30.0
"""Time between scans of an unchanged folder, seconds: some network drives do not keep a folder's time stamp."""

_MOST_WATCHED: Final = 256
"""Most waiting files whose state is read at each look."""

log = structlog.get_logger()

State = tuple[int, int] | None
"""Size in bytes and time of the last change in ns; None for a file that cannot be reached."""


@dataclass(slots=True)
class _Seen:
    state: State
    since_s: float
    """When the file was first seen in this state."""
    is_bad: bool = False
    """Whether it cannot be read in this state."""


class GrowingFolder:
    """Yields the images of a folder without end, in the order of their names as far as they are there.

    A folder that cannot be reached, such as a network drive during an outage, is waited for.
    """

    def __init__(
        self,
        path: Path,
        first: Sequence[Path],
        is_frame: Callable[[str], bool],
        read: Callable[[Path], Capture],
    ) -> None:
        """`first` are the files at the start. `is_frame` selects names; `read` returns a frame or a fault."""
        self._path, self._is_frame, self._read = path, is_frame, read
        self._first = list(reversed(first))
        """Files of the start that are not taken yet, the next one last."""
        self._known = {path.name for path in first}
        """Names of the files of the start and of those taken since."""
        self._new: list[Path] = []
        self._seen: dict[Path, _Seen] = {}
        self._sound_s = time.monotonic()
        """When a frame was last read, or the start."""
        self._changed_ns: int | None = None
        self._noticed_s = self._scanned_s = 0.0
        self._is_away = False

    def captures(self) -> Iterator[Capture | None]:
        """Yield frames, faults, and None while there is no new file."""
        while True:
            if self._look():
                while (capture := self._next()) is not None:
                    yield capture
            time.sleep(_LOOK_S)
            yield None

    def _look(self) -> bool:
        """Find new files; returns whether the folder can be reached."""
        now_s = time.monotonic()
        try:
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns != self._changed_ns:
                self._changed_ns, self._noticed_s = changed_ns, now_s
            if now_s - self._noticed_s < _SETTLED_S or now_s - self._scanned_s >= _RESCAN_S:
                self._scan()
                self._scanned_s = now_s
        except OSError as error:
            if not self._is_away:
                log.warning("the folder cannot be read: waiting for it", path=str(self._path), why=error.strerror)
            self._is_away, self._changed_ns = True, None
            return False
        if self._is_away:
            log.info("the folder can be read again", path=str(self._path))
            self._is_away = False
        for path in self._new[:_MOST_WATCHED]:
            self._watch(path, now_s)
        return True

    def _scan(self) -> None:
        with os.scandir(self._path) as entries:
            found = {
                entry.name
                for entry in entries
                if entry.name not in self._known and self._is_frame(entry.name) and not entry.is_dir()
            }
        if found != {path.name for path in self._new}:
            self._new = in_natural_order([self._path / name for name in found])
            kept = found | {path.name for path in self._first[-1:]}
            self._seen = {path: seen for path, seen in self._seen.items() if path.name in kept}

    def _watch(self, path: Path, since_s: float) -> _Seen:
        state, seen = _state(path), self._seen.get(path)
        if seen is None or seen.state != state:
            seen = self._seen[path] = _Seen(state, since_s)
        return seen

    def _next(self) -> Capture | None:
        """Return the next file's frame or fault; None while its writer may be at work: later names wait for it."""
        if self._first:
            path, whole_s = self._first[-1], 0.0
            seen = self._watch(path, time.monotonic() if path in self._seen else self._sound_s)
        elif self._new:
            path, whole_s = self._new[0], _WHOLE_S
            seen = self._watch(path, time.monotonic())
        else:
            return None
        age_s = time.monotonic() - seen.since_s
        if age_s < (_BROKEN_S if seen.is_bad else whole_s):
            return None
        capture = self._read(path)
        if capture.pixels is not None:
            self._sound_s = time.monotonic()
        elif age_s < _BROKEN_S or _state(path) != seen.state or _state(self._path) is None:
            seen.is_bad = True
            return None
        if self._first:
            self._first.pop()
        else:
            self._new.pop(0)
        self._known.add(path.name)
        del self._seen[path]
        return capture


def _state(path: Path) -> State:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
