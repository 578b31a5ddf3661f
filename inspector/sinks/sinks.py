"""All sinks of a run: first the log (microseconds), then the gate, records, pictures and the live view."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog
import zmq

from inspector.config.line import LoadedConfig
from inspector.core.rules import BoundRecipe
from inspector.core.tally import Tally
from inspector.core.verdicts import Outcome
from inspector.engine.manifest import EngineFolder
from inspector.errors import WorkError
from inspector.monitoring.state import SinkState
from inspector.results import REJECTS_FOLDER, VERDICTS_NAME, read_verdicts
from inspector.sinks.gate.feed import GateFeed
from inspector.sinks.gate.log import GateLog
from inspector.sinks.gate.modbus import ModbusGate
from inspector.sinks.log.verdict_log import Gaps, Places, Rotation, VerdictLog
from inspector.sinks.pictures import RejectPictures
from inspector.sinks.records import open_records
from inspector.sinks.summary import write_summary
from inspector.sinks.view import Viewer
from inspector.values import Decision, Verdict

PICTURE_QUEUE: Final = 32
"""Longest queue of rejects whose pictures are not written yet: 26 MB of 256×1600 frames and masks."""

KEPT_TURN_MS: Final = 5
"""How often to check whether the disk has the verdicts that the gate waits for, ms."""

NO_HURRY_MS: Final = 60_000
"""Longer than decide ever sleeps."""

log = structlog.get_logger()


class Sinks:
    """All sinks of one run, writing to its folder."""

    def __init__(self, config: LoadedConfig, recipe: BoundRecipe, view: "zmq.Socket[bytes] | None") -> None:
        settings = config.line.sinks
        self._config, self._recipe = config, recipe
        self._folder = settings.out
        self._rotation = (
            Rotation(settings.log_megabytes * 1_000_000, settings.log_files) if settings.log_megabytes else None
        )
        self._verdicts = VerdictLog(self._folder, self._rotation, links=config.line.links, wait=settings.keep_all)
        self.gate = _open_gate(config, recipe, self._rotation, lambda: self._verdicts.unkept)
        self._records = open_records(config, REJECTS_FOLDER)
        self._pictures = PictureQueue(
            RejectPictures(self._folder / REJECTS_FOLDER, max_frames=settings.max_pictures),
            wait=settings.keep_all,
        )
        self._with_pictures = settings.pictures
        self._viewer = Viewer(view) if view is not None else None

    def earlier_verdicts(self) -> Iterator[Verdict]:
        """Verdicts that an earlier decide of this run wrote; none for a service, which counts from its start."""
        return read_verdicts(self._folder / VERDICTS_NAME) if self._rotation is None else iter(())

    def places(self) -> tuple[Places, Gaps]:
        """Next frame id of each camera and ingest, from the verdicts on record."""
        return self._verdicts.places(list(self._config.line.cameras))

    def turn(
        self,
        outcomes: Sequence[Outcome],
        *,
        pending: int,
        silent: bool,
        refused: bool = False,
    ) -> None:
        """Pass the new verdicts to every sink; decide calls this once per turn of its loop.

        The log comes first: after a kill it may hold a verdict that the gate never received, but the gate never
        holds an accept that is not in the log. `pending` is the number of frames without a verdict, `silent`
        whether a camera's ingest has stopped reporting; both decide whether the gate's heartbeat moves. `refused`:
        decide refused a message recently.
        """
        for outcome in outcomes:
            self._verdicts.write(outcome.verdict)
        kept = self._verdicts.flush()
        if self.gate is not None:
            self.gate.turn(outcomes, pending=pending, silent=silent, refused=refused, kept=kept)
        for outcome in outcomes:
            self._write(outcome)
        if self._records is not None:
            self._records.flush()

    @property
    def next_turn_ms(self) -> int:
        """How soon the next turn must start for verdicts that wait for the gate."""
        if self.gate is None or not self.gate.waiting:
            return NO_HURRY_MS
        return 0 if self.gate.ready else KEPT_TURN_MS

    def _write(self, outcome: Outcome) -> None:
        verdict = outcome.verdict
        if self._records is not None:
            self._records.write(verdict)
        if verdict.decision is Decision.REJECT and self._with_pictures:
            self._pictures.put(outcome)
        if self._viewer is not None:
            self._viewer.show(outcome)

    def state(self) -> SinkState:
        """State of the sinks for health and metrics."""
        return SinkState(
            pictures_waiting=self._pictures.waiting,
            pictures_lost=self._pictures.sink.lost + self._pictures.failed,
            pictures_skipped=self._pictures.sink.skipped + self._pictures.skipped,
            verdicts_lost=self._verdicts.lost,
            log_unsafe=self._verdicts.unsafe,
            records_waiting=self._records.waiting if self._records is not None else 0,
            records_lost=self._records.lost if self._records is not None else 0,
        )

    def close(self, tally: Tally, *, late: int, refused: int, engine: EngineFolder) -> int:
        """Close all sinks and write the summary; returns the number of verdicts that are not in the log.

        Raises WorkError if the summary cannot be written.
        """
        if self.gate is not None:
            self.gate.close()
        self._pictures.close()
        self._verdicts.close()
        if self._records is not None:
            self._records.close()
        state = self.state()
        figures = tally.figures() | {
            "late": late,
            "refused_messages": refused,
            "pictures_lost": state.pictures_lost,
            "pictures_skipped": state.pictures_skipped,
            "verdicts_lost": state.verdicts_lost,
            "records_lost": state.records_lost,
            "config": self._config.identity,
            "recipe": self._recipe.identity,
            "engine": engine.identity,
            "engines_used": dict(tally.engines),
        }
        if self.gate is not None:
            gate = self.gate.counts
            figures["gate"] = {
                "taken": gate.taken,
                "missed": gate.missed,
                "late": gate.late,
                "unplaced": gate.unplaced,
                "breaks": gate.breaks,
            }
        if not self._config.line.frames.any_size:
            figures["frame_mm"] = [
                engine.manifest.height * self._recipe.mm_per_px_along,
                engine.manifest.width * self._recipe.mm_per_px_across,
            ]
        try:
            write_summary(self._folder, figures)
        except OSError as error:
            raise WorkError(
                f"{self._folder}: summary cannot be written: {error.strerror}: free some disk space"
            ) from None
        return state.verdicts_lost


def _open_gate(
    config: LoadedConfig, recipe: BoundRecipe, rotation: Rotation | None, unkept: Callable[[], int]
) -> GateFeed | None:
    line = config.line
    if line.gate is None:
        return None
    late_ms = line.gate.late_ms if line.gate.late_ms is not None else line.deadline_ms
    told = GateLog(line.sinks.out, rotation)
    encoder = line.strip is not None and line.strip.position is not None
    return GateFeed(ModbusGate(line.gate), list(line.cameras), recipe, late_ms, told, unkept, encoder=encoder)


class PictureQueue:
    """Draws and writes pictures in a separate thread, so that a reject does not delay the verdicts behind it."""

    def __init__(self, sink: RejectPictures, *, wait: bool) -> None:
        self.sink = sink
        self.skipped = 0
        """Rejects without a picture because the disk was too slow."""
        self.failed = 0
        """Pictures that could not be drawn."""
        self._wait = wait
        self._queue: queue.Queue[Outcome | None] = queue.Queue(PICTURE_QUEUE)
        self._thread = threading.Thread(target=self._serve, name="pictures")
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Rejects whose pictures are not written yet."""
        return self._queue.qsize()

    def put(self, outcome: Outcome) -> None:
        """Queue one reject. If the queue is full, wait (replay) or skip the picture and count it (live)."""
        try:
            self._queue.put(outcome, block=self._wait)
        except queue.Full:
            self.skipped += 1
            if self.skipped.bit_count() == 1:
                log.warning(
                    "picture left out: the disk is slow", frame=outcome.verdict.frame_id, skipped=self.skipped
                )

    def close(self) -> None:
        """Write what is queued, then stop the thread."""
        self._queue.put(None)
        self._thread.join()
        self.sink.close()

    def _serve(self) -> None:
        while (outcome := self._queue.get()) is not None:
            mask = outcome.mask()
            if outcome.pixels is None or mask is None:
                continue
            try:
                self.sink.write(outcome.verdict, outcome.pixels, mask)
            except Exception:  # one picture that cannot be drawn must not stop the others
                self.failed += 1
                log.exception("picture failed", camera=outcome.verdict.camera, frame=outcome.verdict.frame_id)
