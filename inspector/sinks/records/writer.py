"""The records sink: a writer thread behind a bounded queue; a slow or missing database delays no verdict."""

import shlex
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError

from inspector.clock_doubt import read_clocks
from inspector.errors import ConfigError
from inspector.repeated import Repeated
from inspector.sinks.records.catch_up import EarlierVerdicts
from inspector.sinks.records.database import Database, reason
from inspector.sinks.records.retention import Keep, Retention
from inspector.sinks.records.rows import DefectBeginnings, Entry, Run
from inspector.sinks.records.session import BATCH_VERDICTS, Session, batches
from inspector.values import Verdict

QUEUE_ROWS: Final = 50_000
"""Most queued frames and defects: five minutes without a database at 156 frames/s, about 45 MB."""

TURN_S: Final = 0.2
"""Interval at which the writer looks for verdicts, seconds. Without a wake-up, handing one over costs little."""

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 5.0
"""Longest pause between attempts to reach the database, seconds; pauses double from FIRST_PAUSE_S."""

LAST_PAUSE_S: Final = 0.1
"""Pause between attempts while the line ends, seconds: there is no time for a longer one."""

SWEEP_S: Final = 60.0
"""Interval between the starts of two retention sweeps, seconds."""
SWEPT: Final = object()

OPEN_S: Final = 4.0
"""How long the start waits for the database's first answer, seconds, to refuse tables of a newer version."""

CLOSE_S: Final = 0.8
"""Time to empty the queue at the end, seconds: Ctrl-C ends the line within two seconds.

The writer may need several attempts.
"""

log = structlog.get_logger()


class Records:
    """Records the verdicts of one run. Those that the database does not take are counted in `lost`.

    Raises ConfigError if a newer inspector made the tables, InputError if a library is missing.
    """

    def __init__(self, url: str, run: Run, logs: Callable[[], Sequence[Path]], pictures: Path, keep: Keep) -> None:
        """`logs` finds the run's verdict logs, newest last; `pictures` is the folder of its pictures."""
        self._database = Database(url)
        self._run = run
        self._retention = Retention(keep, pictures, self._database.file)
        self._sweep_s = 0.0
        self._logs = logs
        self._earlier: EarlierVerdicts | None = EarlierVerdicts(logs())
        self._new: list[Verdict] = []
        self._queue: deque[tuple[Verdict, Mapping[str, int]]] = deque()
        """Verdicts, and when their defects began."""
        # Each counter is changed by only one thread, so none needs a lock.
        self._rows_in = self._rows_out = 0
        self._dropped = self._refused = self._left = 0
        self._batch: list[Entry] = []
        self._beginnings = DefectBeginnings()
        self._said_down = False
        # Each of these is used by only one thread.
        self._drops, self._refusals, self._outages = Repeated(), Repeated(), Repeated()
        self._end_s = float("inf")
        self._pause_s = FIRST_PAUSE_S
        self._refusal: ConfigError | None = None
        self._answered = threading.Event()
        self._closing = threading.Event()
        # A daemon thread, so that a hanging database does not delay the end of the process.
        self._thread = threading.Thread(target=self._live, name="records", daemon=True)
        self._thread.start()
        self._answered.wait(OPEN_S)
        if self._refusal is not None:
            raise self._refusal

    @property
    def lost(self) -> int:
        """Verdicts that are in the log but not in the database."""
        return self._dropped + self._refused + self._left

    @property
    def waiting(self) -> int:
        """Verdicts that are not in the database yet."""
        return len(self._queue) + len(self._batch)

    def write(self, verdict: Verdict) -> None:
        """Add one verdict; `flush` hands it to the writer."""
        self._new.append(verdict)

    def flush(self) -> None:
        """Hand the verdicts to the writer. The log must have them: a restarted decide reads the log first."""
        if not self._new:
            return
        for verdict in self._new:
            began_ns = self._beginnings.follow(verdict)  # of a dropped one, too: an import brings it later
            rows = 1 + len(verdict.defects)
            alive = self._thread.is_alive()
            if self._rows_in - self._rows_out + rows > QUEUE_ROWS or not alive:
                self._dropped += 1
                why = "the database is slow or gone, and the queue is full" if alive else "database writer stopped"
                self._warn(verdict, why, self._drops.due())
                continue
            self._rows_in += rows
            self._queue.append((verdict, began_ns))
        self._new.clear()

    def close(self) -> None:
        """Write what the database takes within CLOSE_S; the rest counts as `lost` and stays in the verdict log."""
        self.flush()
        self._end_s = time.monotonic() + CLOSE_S
        self._closing.set()
        self._thread.join(CLOSE_S)
        self._left = self.waiting
        if self.lost:
            log.error(
                "records are missing: the database did not take them, the verdict log has them",
                database=self._database.shown,
                lost=self.lost,
                refused=self._refused,
                what_to_do=f"inspector records import {shlex.quote(str(self._run.folder))} --config LINE.toml",
            )

    def _warn(self, verdict: Verdict, why: str, count: int | None) -> None:
        """Log a loss the first time, then once a minute with the count since; `close` logs the total."""
        if count is not None:
            log.warning(
                "record lost",
                why=why,
                database=self._database.shown,
                camera=verdict.camera,
                frame=verdict.frame_id,
                count=count,
                lost=self.lost,
            )

    def _live(self) -> None:
        """Run the writer's thread."""
        try:
            self._serve()
        finally:
            self._answered.set()
            self._forget_earlier()

    def _serve(self) -> None:
        """Write until the end, and reconnect after each failure."""
        connected = False
        while not (self._closing.is_set() and not self.waiting):
            try:
                before = self._database.opened
                with self._database.writing() as connection:
                    session = Session(connection, self._run)
                    self._answered.set()
                    if connected and (session.first or self._database.opened != before):
                        self._fill_again()
                    connected = True
                    self._write_on(session)
            except ConfigError as refusal:
                self._refusal = refusal
                log.error("database writer stopped", error=str(refusal))
                return
            except (DBAPIError, OSError) as error:
                self._answered.set()
                self._missed(error)
                if not self._pause():
                    return
            except Exception:  # a failure here must not stop verdicts; flush counts the lost records
                log.exception("database writer stopped: it failed", database=self._database.shown)
                return

    def _pause(self) -> bool:
        """Wait for the next attempt; False if no time is left for one. The end of the line shortens the wait."""
        if not self._closing.is_set():
            self._closing.wait(self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            return True
        left_s = self._end_s - time.monotonic()
        time.sleep(max(0.0, min(LAST_PAUSE_S, left_s)))
        return left_s > LAST_PAUSE_S

    def _reached(self) -> None:
        """Note that the database works: a write succeeded, or there was nothing to write."""
        self._pause_s = FIRST_PAUSE_S
        if self._said_down:
            self._said_down = False
            log.info("database is written again", database=self._database.shown, waiting=self.waiting)

    def _missed(self, error: DBAPIError | OSError) -> None:
        if self._said_down or (count := self._outages.due()) is None:
            return
        self._said_down = True
        log.warning(
            "database cannot be written: records wait, verdicts go on",
            attempts=count,
            database=self._database.shown,
            error=reason(error) if isinstance(error, DBAPIError) else str(error),
            next_try_s=self._pause_s,
        )

    def _write_on(self, session: Session) -> None:
        """Write batches over one connection until the end is requested and nothing is queued."""
        self._catch_up(session)
        sweep: Iterator[None] = iter(())
        while not self._database.was_replaced():
            if not self._closing.is_set():
                sweep = self._swept_on(session, sweep)
            if self._take():
                self._write_batch(session)
                self._reached()
            elif self._closing.is_set():
                return
            else:
                self._reached()
                self._closing.wait(TURN_S)

    def _fill_again(self) -> None:
        """Read the logs into a database that is not the one written before: it lacks this run's verdicts."""
        log.warning(
            "another database than before: the newest verdict logs are written into it",
            database=self._database.shown,
        )
        self._forget_earlier()
        self._earlier = EarlierVerdicts(self._logs())

    def _swept_on(self, session: Session, sweep: Iterator[None]) -> Iterator[None]:
        """Run the next piece of retention even if writing is behind: writing may need the space it frees."""
        if next(sweep, SWEPT) is SWEPT and self._retention.asked_for and time.monotonic() >= self._sweep_s:
            self._sweep_s = time.monotonic() + SWEEP_S
            return self._retention.sweep(session.connection, read_clocks())
        return sweep

    def _take(self) -> list[Entry]:
        """Return the next batch; one begun over a lost connection comes first."""
        if not self._batch:
            now_ns = time.time_ns()
            for _ in range(min(BATCH_VERDICTS, len(self._queue))):
                verdict, began_ns = self._queue.popleft()
                self._batch.append(Entry(verdict, now_ns, began_ns))
        return self._batch

    def _write_batch(self, session: Session) -> None:
        self._write(session, self._batch)
        if self._database.was_replaced():
            return  # written to a deleted file: the batch is written again, because the log may not have it yet
        self._rows_out += sum(1 + len(entry.verdict.defects) for entry in self._batch)
        self._batch = []

    def _write(self, session: Session, entries: list[Entry]) -> int:
        """Write all verdicts that the database can store; returns how many are new to it."""
        written = session.write(entries)
        for each in written.refused:
            self._refused += 1
            self._warn(each.verdict, each.why, self._refusals.due())
        return written.new

    def _catch_up(self, session: Session) -> None:
        """Write this run's logged verdicts that the database lacks.

        At the start these are an earlier decide's; after the database was replaced, all in the newest logs.
        """
        if self._earlier is None:
            return
        written = 0
        for entries in batches(self._earlier.after(session.progress(), time.time_ns())):
            written += self._write(session, entries)
        self._forget_earlier()
        if written:
            log.info("records caught up with the verdict log", database=self._database.shown, verdicts=written)

    def _forget_earlier(self) -> None:
        if self._earlier is not None:
            self._earlier.close()
            self._earlier = None
