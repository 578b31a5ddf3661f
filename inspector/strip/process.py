"""strip: follows position and coils, passes them to ingest, and judges coils from the verdict log."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from inspector.config.line import LoadedConfig
from inspector.config.plans import PlanSet
from inspector.config.strip import StripSettings, has_counter
from inspector.core.strip.coils import Coil
from inspector.core.strip.odometer import ZEROS, Odometer, Sample
from inspector.core.strip.surface import Surface, gaps_across
from inspector.core.strip.track import place_at
from inspector.errors import ConfigError
from inspector.folders import make_own_folder
from inspector.monitoring.strip import StripState
from inspector.monitoring.strip_file import StripReports
from inspector.repeated import Repeated
from inspector.runtime.lock import hold_place
from inspector.runtime.notify import READY, Notifier, Pulse
from inspector.runtime.stop import StopRequest
from inspector.sources.simulator.mill_source import running_mill
from inspector.strip.coil_events import CoilEvents
from inspector.strip.coil_judge import LEAST_WAIT_S, CoilJudge
from inspector.strip.coil_records import CoilRecords, strip_key
from inspector.strip.coil_registers import CoilRegistersThread
from inspector.strip.http_orders import HttpOrders
from inspector.strip.journal import Journal, RunBegan
from inspector.strip.level2 import Level2Link
from inspector.strip.log_tail import LogTail
from inspector.strip.orders import Orders
from inspector.strip.position import PositionThread, described, open_position
from inspector.strip.reserved import ReservedPosition
from inspector.strip.results import Results
from inspector.strip.roll_events import RollEvents, find_marks
from inspector.strip.simulated_mill import MillCoils
from inspector.strip.views import camera_views
from inspector.values import Motion
from inspector.wire.positions import PlaceFile, newest_place
from inspector.wire.strip_files import TrackWriter, read_track

LAST_READ_S: Final = 0.8
"""Time after a stop request to read decide's last verdicts, seconds; `inspector run` waits longer."""

RECORDED_AGAIN: Final = 50
"""Newest coils that a start writes to the database again, because it may have been unreachable."""

EARLIER_NS: Final = 900_000_000_000
"""Time before a coil's start from which verdicts are read: its head may have passed earlier than reported, at most
`BEHIND_MM`."""

COUNTED: Final = "counted from the frames"

log = structlog.get_logger()


def main(config: LoadedConfig) -> None:
    """Run until a stop request. Raises InputError before the start."""
    settings = config.line.strip
    if settings is None:
        raise ConfigError(f"{config.path}: has no [strip] table: add one, or do not start this process")
    make_own_folder(config.line.links)
    plans = config.plans()
    with (
        hold_place("strip", config.line.links),
        hold_place("strip", settings.folder),
        StopRequest() as stop,
        ExitStack() as stack,
    ):
        strip = Strip(config, settings, plans, stack)
        notifier = Notifier()
        notifier.tell(**{READY: "1"})
        log.info("strip started", folder=str(settings.folder), plans=plans.identity)
        pulse = Pulse(notifier, "readings")
        while not stop:
            strip.turn()
            pulse.turn(strip.readings, pending=False, say=strip.state)
        until_s = time.monotonic() + LAST_READ_S
        while time.monotonic() < until_s:
            strip.turn()


class Strip:
    """Everything that the process owns."""

    def __init__(self, config: LoadedConfig, settings: StripSettings, plans: PlanSet, stack: ExitStack) -> None:
        """`stack` closes everything opened here. Raises InputError, OSError."""
        line = config.line
        self._config, self._settings = config, settings
        self._journal = Journal(settings.folder)
        stack.callback(self._journal.close)
        self._track = TrackWriter(line.links)
        stack.callback(self._track.close)
        self._unwritten = Repeated()
        self._reserved = ReservedPosition(settings.folder)
        self._start_mm = max(_start_mm(self._journal), self._reserved.mm)
        self._mill = None if line.mill is None else partial(running_mill, line.mill, line.links)
        self._position = self._follow(stack)
        stack.callback(lambda: self._reserved.close(self.position_mm()))
        self._began: RunBegan | None = RunBegan(str(line.sinks.out), time.time_ns(), self.position_mm())
        """Entry of this start that the journal lacks yet."""
        self._note_start()
        self.results = Results(settings.folder, self._journal)
        self.coil_events = CoilEvents(
            self._journal,
            self._track,
            self.position_mm,
            plans.choices,
            plans.default.identity,
            settings.head_offset_mm,
        )
        rolls, marks = find_marks(settings, camera_views(config, plans))
        self._rolls = RollEvents(self._journal, rolls, marks, settings.roll_alarm_turns, self.position_mm)
        self._coil_judge = self._open_coil_judge(plans)
        stack.callback(self._coil_judge.close)
        self._records = CoilRecords(config, strip_key(settings.folder)) if line.records.enabled else None
        if self._records is not None:
            stack.callback(self._records.close)
        self._recorded: dict[int, tuple[object, ...]] = {}
        self._reports = StripReports(line.links)
        self._orders = Orders(settings.folder, self.coil_events, self._rolls, self.status)
        stack.callback(self._orders.close)
        if settings.http_port is not None:
            http = HttpOrders(settings.http_port, self.coil_events, self.status)
            http.start()
            stack.callback(http.close)
        self._level2: Level2Link | None = None
        if settings.level2 is not None:
            if unknown := settings.level2.without_codes(plans.default.recipe.classes):
                log.error("results tell Level 2 kind 0 for classes without a code", classes=unknown)
            self._level2 = Level2Link(settings.level2, self.coil_events, self.results)
            self._level2.start()
            stack.callback(self._level2.close)
        if self._mill is not None and line.mill is not None and line.mill.coil_m is not None:
            coils = MillCoils(line.mill, line.mill.coil_m, self._mill, self.coil_events)
            coils.start()
            stack.callback(coils.close)
        if settings.coil_registers is not None:
            registers = CoilRegistersThread(settings.coil_registers, self.coil_events)
            registers.start()
            stack.callback(registers.close)

    def _follow(self, stack: ExitStack) -> PositionThread | None:
        """Start reading the encoder; without one, tell ingest where to start counting."""
        settings, links = self._settings, self._config.line.links
        before = read_track(links)
        if settings.position is None:
            cameras = list(self._config.line.cameras)
            if self._start_mm and newest_place(links, cameras, time.monotonic_ns()) is None:
                place = PlaceFile(links, cameras[0], cameras)
                place.keep(self._start_mm, time.monotonic_ns())
                place.close()
            return None
        if self._config.line.gate is not None and not has_counter(settings.position):
            log.warning(
                "positions come from a speed alone and drift, by about 1 %: the gate finds other steel; give the "
                "encoder's counter",
                source=described(settings.position),
            )
        # Positions do not continue those of an earlier process whose track is gone: the time gives another zero.
        now_ns = time.monotonic_ns()
        start: Sample | None = Sample(now_ns, self._start_mm, 0.0, now_ns // 100_000_000 % ZEROS)
        count = None
        if before is not None and before.samples:
            start, count = before.samples[-1], before.count
        odometer = Odometer(settings.position.scale(), settings.speeds(), start, count)
        thread = PositionThread(
            open_position(settings.position, self._config.line, self._mill),
            odometer,
            self._track,
            described(settings.position),
        )
        thread.start()
        stack.callback(thread.close)
        return thread

    def _open_coil_judge(self, plans: PlanSet) -> CoilJudge:
        settings, line = self._settings, self._config.line
        views = camera_views(self._config, plans)
        for side, from_mm, to_mm in gaps_across(views):
            log.warning(
                "no camera sees part of the strip: see offset_across_mm in strip.cameras",
                side=side, from_mm=round(from_mm, 1), to_mm=round(to_mm, 1),
            )  # fmt: skip
        wait_s = max(settings.result_wait_s, line.deadline_ms / 1000 + LEAST_WAIT_S)
        return CoilJudge(
            self._tails(),
            Surface(views, settings.join_along_mm),
            self._rolls.marks,
            views,
            plans,
            self.results,
            wait_s,
            settings.centre_across_mm,
            max(settings.camera(name).offset_along_mm for name in line.cameras),
        )

    def _due(self) -> list[Coil]:
        """Coils without a result. The files of old ones may have been moved away."""
        newest = max(self.results.numbers, default=0)
        return [
            coil
            for coil in self.coil_events.coils
            if coil.number > newest - RECORDED_AGAIN
            and not self.results.has(coil.number)
            and coil.number not in self._journal.taken
        ]

    def _tails(self) -> list[LogTail]:
        """Return the logs since the head of the oldest coil without a result."""
        due = self._due()
        now_folder = self._config.line.sinks.out
        if not due:
            return [LogTail(now_folder, None)]
        since_ns = due[0].start.at_ns - EARLIER_NS
        folders: list[Path] = []
        for begun, following in zip(self._journal.runs, self._journal.runs[1:], strict=False):
            if following.at_ns > since_ns and Path(begun.folder) not in (*folders, now_folder):
                folders.append(Path(begun.folder))
        return [LogTail(folder, since_ns) for folder in (*folders, now_folder)]

    @property
    def readings(self) -> int:
        """Number of readings so far."""
        return self._position.readings if self._position is not None else 0

    def position_mm(self) -> float:
        """Return the strip's current position; the last known one if no source answers.

        With an encoder it is never counted from frames: a free-running camera counts on while the strip stands,
        and a coil that starts then would lie far ahead.
        """
        now_ns = time.monotonic_ns()
        samples = self._track.samples
        if samples:
            found = place_at(samples, now_ns)
            if found is not None:
                return found.position_mm
            return samples[-1].position_mm
        if self._settings.position is not None:
            return self._start_mm
        place = newest_place(self._config.line.links, list(self._config.line.cameras), now_ns)
        return self._start_mm if place is None else place.at(now_ns)

    def _note_start(self) -> None:
        """Write this start into the journal; a full disk must not keep the position from the line."""
        if self._began is None:
            return
        try:
            self._journal.write(self._began)
            self._began = None
        except OSError as error:
            if self._unwritten.due() is not None:
                log.error("the start cannot be noted in the coils' journal: retrying", error=error.strerror)

    def turn(self) -> None:
        """Run one turn: an order, a piece of the log, coils that are due."""
        self._note_start()
        busy = self._coil_judge.read()
        if not busy:
            self._orders.turn()
            try:
                self._rolls.look()
                self.coil_events.turn()
                judged = self._coil_judge.conclude(self._due(), self.position_mm())
                for result in judged:
                    log.info("coil judged", coil=result.id, verdict=result.verdict, reasons=len(result.reasons))
            except OSError as error:
                log.error("a coil's result or a roll mark cannot be written: retrying", error=error.strerror)
                time.sleep(1.0)
        self._reserved.keep(self.position_mm())
        self._reports.turn(self._stands)
        if self._records is not None:
            self._record(self.coil_events.coils[-RECORDED_AGAIN:], self._records)

    def _record(self, coils: Sequence[Coil], records: CoilRecords) -> None:
        for coil in coils:
            state = (coil.end_mm, self.results.has(coil.number))
            if self._recorded.get(coil.number) != state:
                result = self.results.read(coil.number)
                if result is None and self.results.has(coil.number):
                    continue  # its file cannot be read now: the next turn tries again
                self._recorded[coil.number] = state
                records.put(coil, result)

    def state(self) -> str:
        """Return one line for `systemctl status`."""
        coils = self.coil_events.coils
        newest = coils[-1] if coils else None
        coil = "no coil" if newest is None or newest.end_mm is not None else f"coil {newest.id}"
        return f"at {self.position_mm() / 1000:.3f} m, {coil}, {self.results.unsent} results not sent"

    def _stands(self, now_ns: int) -> StripState:
        at_mm, position, level2 = self.position_mm(), self._position, self._level2
        coils = self.coil_events.coils
        coil = coils[-1] if coils and coils[-1].end_mm is None else None
        place = None if position is None else place_at(self._track.samples, now_ns)
        speeds = self._settings.speeds()
        return StripState(
            taken_ns=now_ns,
            position_mm=round(at_mm, 1),
            speed_mm_s=None if place is None else round(place.speed_mm_s, 1),
            motion=(Motion.UNKNOWN if place is None else speeds.motion(place.speed_mm_s)).value,
            source=COUNTED if self._settings.position is None else described(self._settings.position),
            source_answers=None if position is None else position.answers,
            source_age_s=None if position is None else position.age_s(),
            coil=None if coil is None else coil.id,
            coil_mm=None if coil is None else round(at_mm - coil.start_mm, 1),
            plan="" if coil is None else coil.start.plan,
            plan_why="" if coil is None else coil.start.plan_why,
            level2=None if level2 is None else level2.address,
            level2_connected=level2 is not None and level2.connected,
            results_waiting=0 if level2 is None else self.results.unsent,
            roll_marks=tuple(self._rolls.texts),
        )

    def _source(self) -> str:
        if self._position is None or self._settings.position is None:
            return COUNTED
        stands = "answers" if self._position.answers else "DOES NOT ANSWER"
        return f"{described(self._settings.position)}: {stands}"

    def status(self) -> dict[str, Any]:
        """Return the answer for `inspector coil status`."""
        told = self.coil_events.status()
        for coil in told["coils"]:
            if (result := self.results.read(coil["number"])) is not None:
                coil |= {"verdict": result.verdict, "reasons": list(result.reasons), "defects": result.count}
        told["position_source"] = self._source()
        if self._level2 is not None:
            told["level2"] = (
                f"{self._level2.address}: {'connected' if self._level2.connected else 'NOT CONNECTED'}"
            )
            told["results_not_sent"] = self.results.unsent
        told["roll_marks"] = self._rolls.texts
        return told


def _start_mm(journal: Journal) -> float:
    """Return the last known position, from which positions continue after a restart of the PC."""
    places = [run.position_mm for run in journal.runs]
    places += [coil.start_mm if coil.end_mm is None else coil.end_mm for coil in journal.book.coils[-1:]]
    return max(places, default=0.0)
