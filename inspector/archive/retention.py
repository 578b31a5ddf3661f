"""Keeps the archive within its space and age: the oldest coils go first, marked ones stay.

Three guards keep it from deleting what it should not. It deletes nothing while the marks are not known; nothing by
age while the PC's clock is in doubt (`clock`); and nothing for space if that could not reach the limit.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from inspector.archive.clock import look
from inspector.archive.coils import Kept, kept_coils, name_in_folder
from inspector.archive.state import State, load_state, save_state
from inspector.clock_doubt import Now, read_clocks, shown
from inspector.config.archive import ArchiveSettings
from inspector.errors import ConfigError, InspectorError
from inspector.sinks.records.free_space import MOST_SHARE

GB: Final = 10**9
DAY_NS: Final = 86_400 * 10**9
ASK_EVERY_NS: Final = 600 * 10**9
"""How often the marks are noted while nothing must be deleted, ns: a database that hangs costs frames."""

LATEST_NS: Final = 2**62
"""Longest age that is told apart, ns: 146 years."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Marks:
    """What a database says of marked coils."""

    database: str = ""
    """Key of its first run; empty if there is no database, or nothing is recorded in it."""
    coils: AbstractSet[str] = frozenset()
    missing: str = ""
    """File of the database, if it is not there."""


ReadMarks = Callable[[], Marks]
"""Raises InspectorError if the database does not answer."""


def refuse_more_than_the_disk(settings: ArchiveSettings, archive: Path) -> None:
    """Raise ConfigError for a limit that no deleting can meet."""
    total = shutil.disk_usage(archive).total
    if settings.least_free_gb * GB >= total:
        raise ConfigError(
            f"archive.least_free_gb: {settings.least_free_gb:g} GB are never free: the disk of {archive} has "
            f"{total / GB:.3g} GB in all: give less"
        )


class Retention:
    """Deletes coils; it measures a coil that no longer grows once."""

    def __init__(
        self,
        archive: Path,
        settings: ArchiveSettings,
        read_marks: ReadMarks,
        clocks: Callable[[], Now] = read_clocks,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        """Raises ConfigError, OSError."""
        self._archive, self._settings, self._read_marks = archive, settings, read_marks
        self._clocks, self._free_bytes = clocks, free_bytes
        days = settings.keep_days
        self._keep_ns = None if days is None else int(min(days * DAY_NS, LATEST_NS))
        self._state = load_state(archive)
        self._ask_ns = 0
        self._sizes: dict[Path, int] = {}
        self._said: set[str] = set()
        self._says: set[str] = set()

    def sweep(self, in_use: AbstractSet[Path]) -> bool:
        """Delete the coils that must go; returns whether there is room to write. Raises OSError."""
        if not self._archive.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._archive))
        self._says = set()
        coils = kept_coils(self._archive)
        self._measure(coils, in_use)
        now = self._clocks()
        before_ns = self._delete_before_ns(coils, now)
        closed = [each for each in coils if each.folder not in in_use]
        aged = [each for each in closed if each.began_s * 1e9 < before_ns]
        if aged or self._is_over() or now.boot_ns >= self._ask_ns:
            self._ask_ns = now.boot_ns + ASK_EVERY_NS
            self._delete_unmarked(closed, aged)
        self._save()
        room = not self._is_over()
        if not room:
            self._say("archive: there is no room: frames are not archived")
        self._said &= self._says
        return room

    def _delete_unmarked(self, closed: Sequence[Kept], aged: Sequence[Kept]) -> None:
        marks, why = self._marks()
        if marks is None:
            if aged or self._is_over():
                self._say("archive: nothing is deleted, because the marked coils are not known", why=why)
            return
        marked = {name_in_folder(coil) for coil in marks}
        self._delete(each for each in aged if each.name not in marked)
        self._make_room([each for each in closed if each.name not in marked and each.folder in self._sizes])

    def _measure(self, coils: Sequence[Kept], in_use: AbstractSet[Path]) -> None:
        before, self._sizes = self._sizes, {}
        for coil in coils:
            size = before.get(coil.folder)
            self._sizes[coil.folder] = self._size(coil) if size is None or coil.folder in in_use else size

    def _size(self, coil: Kept) -> int:
        try:
            return coil.bytes()
        except OSError as error:
            self._say(f"archive: {coil.folder} cannot be measured: {error.strerror}")
            return 0

    def _marks(self) -> tuple[AbstractSet[str] | None, str]:
        """The coils marked in any database that the archive has known; None and why if they are not known."""
        try:
            told = self._read_marks()
        except InspectorError as error:
            return None, str(error)
        known = dict(self._state.marks)
        if told.missing and known:
            return None, f"{told.missing}: no such file, and it was there before"
        if told.database:
            known[told.database] = tuple(sorted(told.coils))
            self._state = State(self._state.clock, known)
        return {coil for coils in known.values() for coil in coils}, ""

    def _delete_before_ns(self, coils: Sequence[Kept], now: Now) -> float:
        """Coils that began before this are too old, ns since 1970; none is while the clock is in doubt."""
        keep_ns = self._keep_ns
        if keep_ns is None:
            self._state = State(None, self._state.marks)
            return float("-inf")
        seen = look(self._state.clock, now, keep_ns, [round(each.began_s * 1e9) for each in coils])
        self._state = State(seen, self._state.marks)
        if not seen.hold_until_ns:
            return now.wall_ns - keep_ns
        self._say(
            "archive: coils are not deleted by age for now",
            why=seen.hold_why,
            until=shown(seen.hold_until_ns),
            what_to_do="correct the PC's clock or archive.keep_days if one of them is wrong; else nothing",
        )
        return float("-inf")

    def _save(self) -> None:
        try:
            save_state(self._archive, self._state)
        except OSError as error:
            self._say(
                "archive: the marks and the clock cannot be noted", error=f"{error.filename}: {error.strerror}"
            )

    def _make_room(self, may_go: Sequence[Kept]) -> None:
        """Delete the oldest of these coils; none if that could not reach the limits."""
        could_go = sum(self._sizes[each.folder] for each in may_go)
        if self._excess_bytes() > could_go:
            self._say("archive: it is full of marked coils and those being written: unmark some, or raise max_gb")
        elif self._missing_bytes() > MOST_SHARE * could_go:
            self._say(
                "archive: free space is low, and nothing is deleted for it, because nearly all would have to go: "
                "find what else fills the disk, or give a smaller archive.least_free_gb"
            )
        else:
            self._delete(each for each in may_go if self._is_over())

    def _delete(self, coils: Iterable[Kept]) -> None:
        for coil in coils:
            try:
                coil.delete()
            except OSError as error:
                self._say(f"archive: {coil.folder} cannot be deleted: {error.strerror}")
                continue
            self._sizes.pop(coil.folder, None)
            log.info("archive: coil deleted", coil=coil.coil, folder=coil.folder.name)

    def _excess_bytes(self) -> float:
        return sum(self._sizes.values()) - self._settings.max_gb * GB

    def _missing_bytes(self) -> float:
        return self._settings.least_free_gb * GB - self._free_bytes(self._archive)

    def _is_over(self) -> bool:
        return self._excess_bytes() > 0 or self._missing_bytes() > 0

    def _say(self, what: str, **more: str) -> None:
        """Log once, until a sweep in which it is not so."""
        if what not in self._said:
            log.error(what, folder=str(self._archive), **more)
        self._said.add(what)
        self._says.add(what)
