"""Watches the line: asks decide for its state and follows its view, in a thread."""

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from inspector.config.line import LineConfig
from inspector.errors import InspectorError, WorkError
from inspector.monitoring.client import Status, ask, is_starting
from inspector.repeated import Repeated
from inspector.serve.alarms import Alarms
from inspector.serve.events import Place, place_event, unplaced
from inspector.serve.live import Live
from inspector.serve.score_counts import ScoreCounts
from inspector.serve.store import Store
from inspector.serve.view import ViewReader
from inspector.wire.links import VIEW, endpoint
from inspector.wire.view import ViewMessage

ASK_EVERY_S: Final = 0.4
"""How often decide is queried, seconds, so that a dead one shows within a second."""

ANSWER_S: Final = 1.0
"""Longest wait for decide's answer, seconds."""

OLD_S: Final = 1.0
"""Age of decide's snapshot from which its figures are marked as old, seconds; it takes five a second."""

TREND_EVERY_S: Final = 1.0
TREND_POINTS: Final = 900
"""Points of the trends: 15 minutes."""

RUN_CONFIG: Final = "line.json"
"""`inspector run` writes the config as used beside its results; it names the run's private links folder."""

log = structlog.get_logger()


class LineFollower:
    """Keeps the newest state of the line. It is replaced as a whole, so readers need no lock."""

    def __init__(
        self,
        line: LineConfig,
        port: int,
        live: Live,
        take: Callable[[ViewMessage], None],
        store: Store,
        score_counts: ScoreCounts,
    ) -> None:
        """`take` gets every message of the view."""
        self._line, self._port, self._store, self._score_counts = line, port, store, score_counts
        self._alarms = Alarms(store)
        self.live = live
        self.reader = ViewReader(take)
        self._status: Status | None = None
        self._error: str | None = None
        self.foreign_engine: str | None = None
        """The line's engine, if its classes are not those that the page started with."""
        self._asked_s = 0.0
        self.trend: deque[dict[str, Any]] = deque(maxlen=TREND_POINTS)
        self._trended: tuple[float, dict[str, tuple[int, int, int]]] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._troubles = Repeated()
        self._out: str | None = None

    def start(self) -> None:
        """Start watching."""
        self.reader.connect(endpoint(VIEW, self._line.links))
        self.reader.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()
        self._thread.join()
        self.reader.stop()
        with contextlib.suppress(WorkError):  # the disk is full: half a minute of counts is lost
            self._score_counts.write(now=True)

    @property
    def status(self) -> Status | None:
        """The newest answer of decide; it may be old, see `state`."""
        return self._status

    def state(self) -> dict[str, Any]:
        """Return the state of the line for the page."""
        status, error = self._status, self._error
        age_s = None
        if status is not None and status.age_s is not None:
            age_s = status.age_s + time.monotonic() - self._asked_s
        if error is not None:
            word = "down"
        elif status is None or (not status.healthy and is_starting(status)):
            word = "starting"
        else:
            word = "old" if age_s is not None and age_s > OLD_S else "up"
        return {
            "word": word,
            "error": error,
            "age_s": age_s,
            "findings": self.findings(),
            "healthy": status is not None and status.healthy and word == "up",
            "disk_free_bytes": status.disk_free_bytes if status else None,
            "line": msgspec.to_builtins(status.line) if status and status.line else None,
            "speeds_mm_s": self.live.speeds_mm_s(),
            "view_on": self._line.view.frames_per_second > 0,
        }

    def findings(self) -> list[str]:
        """Return what is wrong with the line, as `inspector status` shows it."""
        if self._error is not None:
            return [self._error]
        found = list(self._status.findings) if self._status is not None else []
        if self.foreign_engine is not None:
            found.append(
                f"the line runs {self.foreign_engine}, whose classes are not those that the page started with: "
                "restart the page"
            )
        return found

    def _alarming(self) -> list[str] | None:
        """Return the findings that are alarms; a line that is starting raises none.

        None while no line has answered: the alarms of before stay what they are.
        """
        status = self._status
        if status is None:
            return None
        if self._error is None and is_starting(status):
            return []
        strip = status.line.strip if status.line is not None else None
        return self.findings() + list(strip.roll_marks if strip is not None else ())

    def _run(self) -> None:
        while not self._stopped.wait(ASK_EVERY_S):
            try:
                self._status = ask(self._port, ANSWER_S)[1]
                self._asked_s = time.monotonic()
                self._error = None
                self._follow(self._status)
                self._add_trend(self._status)
                self._count(self._status)
            except WorkError as error:
                self._error = str(error)
            try:
                alarming = self._alarming()
                if alarming is not None:
                    self._alarms.update(alarming)
                self._score_counts.write()
                self._place_events()
            except InspectorError as error:
                if self._troubles.due() is not None:
                    log.warning("alarms, events and scores cannot be stored", error=str(error))

    def place(self, at_ns: int) -> Place | None:
        """Return where the strip was at a time of the last seconds; None if nobody knows."""
        seen = self.live.place(at_ns)
        strip = self._status.line.strip if self._status is not None and self._status.line is not None else None
        if seen is not None or strip is None or self._error is not None:
            return seen
        return Place(strip.coil, strip.position_mm)

    def _place_events(self) -> None:
        """Give the events that a command noted without a place the one where the strip was."""
        for event, at_ns in unplaced(self._store):
            place = self.place(at_ns)
            if place is not None:
                place_event(self._store, event, place)

    def _count(self, status: Status) -> None:
        if status.line is not None:
            cameras = status.line.cameras.items()
            self._score_counts.count(
                {name: (each.accepted, each.rejected, each.uninspected) for name, each in cameras}
            )

    def _follow(self, status: Status) -> None:
        """Read the view of the run that answers: `inspector run` has new links for each run."""
        if status.line is None or status.line.out == self._out:
            return
        self._out = status.line.out
        links = self._line.links
        try:
            used = json.loads((Path(self._out) / RUN_CONFIG).read_bytes())
            if Path(used["links"]).is_dir():
                links = Path(used["links"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # a service has no such file: its links are the config's
        self.reader.connect(endpoint(VIEW, links))

    def _add_trend(self, status: Status) -> None:
        line = status.line
        if line is None:
            return
        now_s = time.monotonic()
        counts = {
            name: (camera.captured, camera.rejected, camera.uninspected) for name, camera in line.cameras.items()
        }
        if self._trended is None:
            self._trended = (now_s, counts)
            return
        then_s, before = self._trended
        if now_s - then_s < TREND_EVERY_S:
            return
        self._trended = (now_s, counts)
        captured, rejected, uninspected = (
            sum(max(0, now[n] - before.get(name, now)[n]) for name, now in counts.items()) for n in range(3)
        )
        speeds = [speed for speed in self.live.speeds_mm_s().values() if speed is not None]
        self.trend.append(
            {
                "at_s": round(time.time(), 1),
                "frames_per_second": round(captured / (now_s - then_s), 1),
                "captured": captured,
                "rejected": rejected,
                "uninspected": uninspected,
                "speed_mm_s": round(max(speeds), 1) if speeds else None,
            }
        )
