"""Sinks: where verdicts go. The gate first, then records, pictures behind a queue of their own, the view last."""

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Final

import structlog
import zmq

from inspector.config import LoadedConfig
from inspector.engine.manifest import EngineFolder
from inspector.errors import WorkError
from inspector.rules import BoundRecipe
from inspector.sinks.gate_feed import GateFeed
from inspector.sinks.modbus_gate import ModbusGate
from inspector.sinks.pictures import RejectPictures
from inspector.sinks.summary import write_summary
from inspector.sinks.verdict_log import VERDICTS_NAME, VerdictLog, read_verdicts
from inspector.sinks.viewer import Viewer
from inspector.stages.line_state import SinkState
from inspector.stages.tally import Tally
from inspector.stages.verdicts import Outcome
from inspector.values import Decision, Verdict

PICTURE_QUEUE: Final = 32
"""Rejects whose pictures may wait: 26 MB of 256×1600 frames and masks."""

REJECTS_FOLDER: Final = "rejects"

log = structlog.get_logger()


class Sinks:
    """All sinks of one run, in its folder."""

    def __init__(self, config: LoadedConfig, recipe: BoundRecipe, view: "zmq.Socket[bytes] | None") -> None:
        settings = config.line.sinks
        self._config, self._recipe = config, recipe
        self._folder = settings.out
        self.gate = _open_gate(config, recipe)
        self._verdicts = VerdictLog(self._folder)
        self._pictures = PictureQueue(
            RejectPictures(self._folder / REJECTS_FOLDER, max_frames=settings.max_pictures),
            wait=settings.keep_all,
        )
        self._with_pictures = settings.pictures
        self._viewer = Viewer(view) if view is not None else None

    def earlier_verdicts(self) -> Iterator[Verdict]:
        """What an earlier decide of this run has written."""
        return read_verdicts(self._folder / VERDICTS_NAME)

    def give(self, outcomes: Sequence[Outcome]) -> None:
        """Hand verdicts to every sink, in order: all of them to the gate before any is written down."""
        if self.gate is not None:
            self.gate.give(outcomes)
        for outcome in outcomes:
            self._write(outcome)

    def _write(self, outcome: Outcome) -> None:
        verdict = outcome.verdict
        self._verdicts.write(verdict)
        if verdict.decision is Decision.REJECT and self._with_pictures:
            self._pictures.put(outcome)
        if self._viewer is not None:
            self._viewer.show(outcome)

    def state(self) -> SinkState:
        """For those who watch the line."""
        return SinkState(
            pictures_waiting=self._pictures.waiting,
            pictures_lost=self._pictures.sink.lost + self._pictures.failed,
            pictures_skipped=self._pictures.sink.skipped + self._pictures.skipped,
            verdicts_lost=self._verdicts.lost,
        )

    def turn(self, *, owed: int, silent: bool) -> None:
        """Once every turn of the loop: keep the gate's heartbeat, bring the verdict log up to date on disk."""
        if self.gate is not None:
            self.gate.turn(owed=owed, silent=silent)
        self._verdicts.flush()

    def close(self, tally: Tally, *, late: int, refused: int, engine: EngineFolder) -> int:
        """Finish pictures, verdict log and summary; returns how many verdicts could not be written down."""
        if self.gate is not None:
            self.gate.close()
        self._pictures.close()
        self._verdicts.close()
        figures = tally.figures() | {
            "late": late,
            "refused_messages": refused,
            "pictures_lost": self._pictures.sink.lost + self._pictures.failed,
            "pictures_skipped": self._pictures.sink.skipped + self._pictures.skipped,
            "verdicts_lost": self._verdicts.lost,
            "config": self._config.identity,
            "recipe": self._recipe.identity,
            "engine": engine.identity,
            "engines_used": dict(tally.engines),
        }
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
        return self._verdicts.lost


def _open_gate(config: LoadedConfig, recipe: BoundRecipe) -> GateFeed | None:
    line = config.line
    if line.gate is None:
        return None
    late_ms = line.gate.late_ms if line.gate.late_ms is not None else line.deadline_ms
    return GateFeed(ModbusGate(line.gate), list(line.cameras), recipe.rejects, late_ms)


class PictureQueue:
    """Draws and writes pictures in a thread of its own: a reject must not hold up the verdicts behind it."""

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
        """Queue one reject; when the queue is full, wait in a replay, else leave its picture out and count."""
        try:
            self._queue.put(outcome, block=self._wait)
        except queue.Full:
            self.skipped += 1
            if self.skipped.bit_count() == 1:
                log.warning(
                    "picture left out: the disk is slow", frame=outcome.verdict.frame_id, skipped=self.skipped
                )

    def close(self) -> None:
        """Write what is queued, then stop."""
        self._queue.put(None)
        self._thread.join()
        self.sink.close()

    def _serve(self) -> None:
        while (outcome := self._queue.get()) is not None:
            if outcome.pixels is None or outcome.mask is None:
                continue
            try:
                self.sink.write(outcome.verdict, outcome.pixels, outcome.mask)
            except Exception:  # a picture that cannot be drawn must not end the pictures of all others
                self.failed += 1
                log.exception("picture failed", camera=outcome.verdict.camera, frame=outcome.verdict.frame_id)


__all__ = ["REJECTS_FOLDER", "Sinks"]
