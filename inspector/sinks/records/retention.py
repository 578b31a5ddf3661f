"""Deletes old records and pictures of this PC, by age and for free space, but nothing that an operator marked.

A sweep is a series of small pieces of work that the writer runs between two batches. It can stop anywhere and be
repeated: pictures are deleted before the record that names them.

Two guards keep it from deleting nearly everything at once. Nothing is deleted by age while the PC's clock is in
doubt (`clock`). Nothing is deleted for free space if nearly everything would have to go (`room`).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Connection, RowMapping

from inspector.clock_doubt import LATEST_NS, Now
from inspector.sinks.pictures import picture_name
from inspector.sinks.records.clock import Hold, look
from inspector.sinks.records.database import give_back_pages
from inspector.sinks.records.free_space import FreeSpace, files_in, free_bytes
from inspector.sinks.records.marks import hold_marks
from inspector.sinks.records.old_frames import (
    OldRun,
    aged,
    delete_frames,
    next_frames,
    recorded_pictures,
    runs_of_this_pc,
)
from inspector.sinks.records.selection import iso_time

PIECE_FILES: Final = 1000
"""Most pictures deleted or checked in one piece."""

PIECE_PAGES: Final = 1000
"""Most pages that SQLite's file shrinks by in one piece: 4 MB."""

ORPHAN_NS: Final = 3600 * 10**9
"""Age from which a picture without a record is deleted, ns; the record of a younger one may still be queued."""

ORPHANS_EVERY_NS: Final = 3600 * 10**9
"""Interval of the search for pictures without a record, ns: it lists all pictures and finds few."""

NS_PER_DAY: Final = 86_400 * 10**9

_PICTURE: Final = re.compile(r"(?P<name>.+?-(?P<frame>\d{8,}))(?:-\d+)?\.(?:jpg|png)")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Keep:
    """Limits of what is kept; None means no limit."""

    days: float | None
    free_gb: float | None

    @property
    def ns(self) -> int:
        """Maximum age of records and pictures, ns; without one, that of a picture without a record."""
        return ORPHAN_NS if self.days is None else int(min(self.days * NS_PER_DAY, LATEST_NS))


class Retention:
    """Runs the sweeps.

    `pictures` is the folder of this run's pictures; the other runs' picture folders have the same name. `database`
    is SQLite's file, None for a server.
    """

    def __init__(
        self, keep: Keep, pictures: Path, database: Path | None, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self._keep, self._pictures = keep, pictures
        self._free_space = FreeSpace(keep.free_gb, pictures, database, free)
        self._orphans_ns = 0
        self._said_held = False
        self._said_short = ""
        self._records = self._files = 0
        self._fault: OSError | None = None

    @property
    def asked_for(self) -> bool:
        """Whether any limit is set."""
        return self._keep.days is not None or self._keep.free_gb is not None

    def sweep(self, connection: Connection, now: Now) -> Iterator[None]:
        """Delete what must go, one piece per step. Raises DBAPIError."""
        self._records = self._files = 0
        self._fault = None
        with connection.begin():
            hold = look(connection, now, self._keep.ns)
        self._tell_hold(hold)
        runs = runs_of_this_pc(connection, self._pictures.name)
        if self._keep.days is not None and hold is None:
            before_ns = now.wall_ns - self._keep.ns
            yield from self._delete_aged(connection, runs, before_ns, now.wall_ns)
            if abs(now.wall_ns - self._orphans_ns) >= ORPHANS_EVERY_NS:
                self._orphans_ns = now.wall_ns
                yield from self._delete_orphans(connection, runs, before_ns)
        if self._free_space.short():
            yield from self._make_room(connection, runs, now.wall_ns, clock_is_sure=hold is None)
        else:
            self._said_short = ""
        self._tell()

    def _make_room(
        self, connection: Connection, runs: list[OldRun], now_ns: int, *, clock_is_sure: bool
    ) -> Iterator[None]:
        """Delete the oldest pictures, then the oldest records; nothing if nearly everything would have to go."""
        room = self._free_space
        try:
            yield from room.measure([run.pictures for run in runs], now_ns)
        except OSError as error:
            self._fault = error
        if any(map(room.too_much, room.short())):
            self._tell_short(
                "free space is low, and nothing is deleted for it, because nearly all would have to go: find what "
                "else fills the disk, or give a smaller records.least_free_gb"
            )
            return
        if room.is_short(room.pictures):
            yield from self._delete_pictures(connection, runs)
            if clock_is_sure:
                yield from self._delete_orphans(connection, runs, now_ns - ORPHAN_NS)
        if room.database is not None and room.is_short(room.database):
            yield from self._delete_records(connection, runs, room.database)
        self._tell_short("free space is still low, and nothing is left that may be deleted: what is marked stays")

    def _delete_aged(
        self, connection: Connection, runs: list[OldRun], before_ns: int, now_ns: int
    ) -> Iterator[None]:
        for run in runs:
            after, more = 0, True
            while more:
                with connection.begin():
                    hold_marks(connection)
                    rows = next_frames(connection, run, after)
                    old, more = aged(rows, before_ns, now_ns)
                    if old:
                        last = self._delete(connection, run, old)
                        more = more or last < old[-1]["id"]
                        after = last
                    elif more:
                        after = rows[-1]["id"]
                yield

    def _delete_pictures(self, connection: Connection, runs: list[OldRun]) -> Iterator[None]:
        """Delete the oldest pictures but keep their records, because pictures take most of the space."""
        for run in runs:
            after = 0
            while self._free_space.is_short(self._pictures):
                with connection.begin():
                    hold_marks(connection)
                    if not (rows := next_frames(connection, run, after, rejected=True)):
                        break
                    after, _ = self._unlink(run, rows)
                yield

    def _delete_records(self, connection: Connection, runs: list[OldRun], database: Path) -> Iterator[None]:
        """Delete the oldest records, if deleting pictures did not free enough."""
        for run in runs:
            after = 0
            while self._free_space.is_short(database):
                with connection.begin():
                    hold_marks(connection)
                    if not (rows := next_frames(connection, run, after)):
                        break
                    after = self._delete(connection, run, rows)
                give_back_pages(connection, PIECE_PAGES)
                yield

    def _delete_orphans(self, connection: Connection, runs: list[OldRun], before_ns: int) -> Iterator[None]:
        """Delete pictures whose record was lost or is already deleted."""
        for run in runs:
            files = self._files_of(run)
            while piece := list(islice(files, PIECE_FILES)):
                frames = [
                    (path, found) for path in piece if (found := _frame_of(path)) and _older(path, before_ns)
                ]
                with connection.begin():
                    hold_marks(connection)
                    recorded = recorded_pictures(connection, run, {frame for _, (_, frame) in frames})
                    for path, (name, _) in frames:
                        if name not in recorded:
                            self._unlink_file(path)
                yield

    def _delete(self, connection: Connection, run: OldRun, rows: Sequence[RowMapping]) -> int:
        """Delete unmarked records with their pictures; returns the last id reached."""
        last, bare = self._unlink(run, rows)
        if bare:
            self._records += delete_frames(connection, run, bare)
        return last

    def _unlink(self, run: OldRun, rows: Sequence[RowMapping]) -> tuple[int, list[RowMapping]]:
        """Delete the pictures of unmarked records, at most one piece.

        Returns the last id reached, and the records whose pictures are gone.
        """
        bare: list[RowMapping] = []
        files = 0
        for row in rows:
            if not row["marked"]:
                # A later frame of the same number may have its pictures under the same names.
                names = [] if row["superseded"] else _names(row)
                if all(self._unlink_file(run.pictures / name) for name in names):
                    bare.append(row)
                files += len(names)
            if files >= PIECE_FILES:
                return row["id"], bare
        return rows[-1]["id"], bare

    def _unlink_file(self, path: Path) -> bool:
        """Delete a file; returns whether it is gone."""
        try:
            path.unlink()
        except FileNotFoundError:
            return True
        except OSError as error:
            self._fault = self._fault or error
            return False
        self._files += 1
        return True

    def _files_of(self, run: OldRun) -> Iterator[Path]:
        try:
            yield from files_in(run.pictures)
        except OSError as error:
            self._fault = self._fault or error

    def _tell(self) -> None:
        """Log the result of the sweep."""
        if self._records or self._files:
            log.info("old records deleted", records=self._records, pictures=self._files)
        if self._fault is not None:
            log.warning("pictures cannot be deleted", file=self._fault.filename, error=self._fault.strerror)

    def _tell_hold(self, hold: Hold | None) -> None:
        """Log a hold once per reason and once per process."""
        if hold is None:
            self._said_held = False
        elif self._keep.days is not None and (hold.is_new or not self._said_held):
            self._said_held = True
            log.error(
                "records are not deleted by age for now",
                why=hold.why,
                until=f"{iso_time(hold.until_ns)[:19]}Z",
                what_to_do="correct the PC's clock or records.keep_days if one of them is wrong; else nothing",
            )

    def _tell_short(self, event: str) -> None:
        """Log once that space is low, until there is enough again."""
        short = self._free_space.short()
        if short and event != self._said_short:
            log.error(
                event,
                folder=str(short[0].parent),
                free_gb=self._free_space.free_gb(short[0]),
                least_free_gb=self._keep.free_gb,
            )
        self._said_short = event if short else ""


def _names(row: RowMapping) -> list[str]:
    """Names of the pictures that a frame may have; none if it was not rejected."""
    if row["decision"] != "reject":
        return []
    stem = picture_name(row["camera"], row["frame_id"], row["ingest_epoch"])
    return [f"{stem}.jpg", *(f"{stem}-{n}.png" for n in range(row["defects"]))]


def _frame_of(path: Path) -> tuple[str, int] | None:
    """Name of a frame's picture, and the frame's number; None for another file."""
    found = _PICTURE.fullmatch(path.name)
    return (found["name"], int(found["frame"])) if found is not None else None


def _older(path: Path, than_ns: int) -> bool:
    try:
        return path.stat().st_mtime_ns < than_ns
    except FileNotFoundError:
        return False
