"""decide without sockets: news and results in, verdicts in order out."""

from collections.abc import Mapping
from typing import Final

import structlog

from inspector.errors import WireError
from inspector.processes.account import Camera
from inspector.processes.intake import lump_s
from inspector.recipe import LoadedRecipe
from inspector.rules import EngineClasses
from inspector.stages.ledger import CameraLedger
from inspector.stages.meters import Meters
from inspector.stages.tally import Tally
from inspector.stages.verdicts import Outcome, SettledFrame, VerdictMaker
from inspector.values import Announcement, Code, Decision, Uninspected, Verdict
from inspector.wire.messages import Begin, News, Parts, Result, decode_news, decode_results

STOPPED_REASON: Final = Uninspected(Code.STOPPED, "stopped before a result came")

RESTARTED_REASON: Final = Uninspected(Code.INGEST_RESTARTED, "ingest started again before a result came")

LUMPS_OF_PATIENCE: Final = 1.5
"""Results that travel together come so far apart at the most, with something to spare."""

log = structlog.get_logger()


class Decide:
    """Turns news and results into verdicts; knows no socket. Times are monotonic ns."""

    def __init__(
        self,
        cameras: list[str],
        recipe: LoadedRecipe,
        engine: EngineClasses,
        deadline_ns: int,
        meters: Meters | None = None,
    ) -> None:
        self._recipe, self._engine, self._deadline_ns = recipe, engine.engine, deadline_ns
        self._recipes = {engine.engine: recipe.bind(engine)}
        """By engine: more than one worker may be at work, and one may take over from another."""
        self._names = engine.names
        self._cameras = {name: self._fresh(name) for name in cameras}
        self.tally = Tally()
        self._meters = meters
        """None where nobody can ask."""
        self.unanswered_ns: int | None = None
        """Since when a worker that has frames has given no answer."""
        self._last: Verdict | None = None
        self._given: list[Outcome] = []
        """Verdicts that a message with a refused entry brought about."""
        self.refused = 0

    def _fresh(self, camera: str) -> Camera:
        return Camera(CameraLedger(self._deadline_ns), VerdictMaker(camera, self._recipes, self._engine))

    def resume(self, camera: str, next_frame: int) -> None:
        """An earlier decide has given this camera's verdicts up to a frame: go on from there."""
        if camera in self._cameras:
            self._cameras[camera].resume(next_frame)

    def news(self, parts: Parts, now_ns: int) -> list[Outcome]:
        """One message from ingest; raises WireError, after the rest of it was heard, for what must be refused."""
        outcomes: list[Outcome] = []
        refused: WireError | None = None
        for message in decode_news(parts):
            try:
                outcomes += self._begin_anew(message, now_ns)
                self._hear(message, now_ns)
            except WireError as error:
                refused = error
            except ValueError as error:
                refused = WireError(f"camera {message.camera}: {error}")
        if refused is not None:
            # Verdicts that the rest of the message brought about are counted already: `settle` hands them over.
            self._given += outcomes
            raise refused
        return outcomes

    def _begin_anew(self, message: News, now_ns: int) -> list[Outcome]:
        """Notice an ingest that is another than before; the verdicts that the one before still owed."""
        camera = self._camera(message.camera)
        outcomes: list[Outcome] = []
        if isinstance(message, (Announcement, Begin)) and message.ingest_ns != camera.ingest_ns:
            # A decide that was started again hears no Begin of an ingest that runs: that one's ids go on.
            if camera.ingest_ns is not None or (isinstance(message, Begin) and camera.ledger.expected):
                outcomes = self._start_over(message.camera, camera, now_ns)
            self._cameras[message.camera].ingest_ns = message.ingest_ns
            if self._meters is not None:
                self._meters.begins[message.camera] += 1
        return outcomes

    def _hear(self, message: News, now_ns: int) -> None:
        self._camera(message.camera).hear(message, now_ns)
        if self.unanswered_ns is None and isinstance(message, Announcement) and message.fault is None:
            self.unanswered_ns = now_ns

    def _start_over(self, name: str, camera: Camera, now_ns: int) -> list[Outcome]:
        """Another ingest counts from 0: what its forerunner still owed is closed first."""
        left = camera.ledger.close(RESTARTED_REASON, now_ns)
        outcomes = [self._outcome(camera, settled, now_ns) for settled in left]
        self._cameras[name] = self._fresh(name)
        self._cameras[name].succeed(camera)
        return outcomes

    def results(self, parts: Parts) -> None:
        """One message from a worker; raises WireError, after the rest was taken, for what must be refused."""
        refused: WireError | None = None
        engine, working, results = decode_results(parts)
        if engine.engine not in self._recipes:
            self._meet(engine)
        self._engine = engine.engine
        self.unanswered_ns = None
        if self._meters is not None:
            self._meters.worker(engine.engine, working)
        for result in results:
            try:
                self._take(result)
            except WireError as error:
                refused = error
        if refused is not None:
            raise refused

    def _meet(self, engine: EngineClasses) -> None:
        """Results of an engine that is new here; raises WireError for one that this line cannot judge by."""
        if engine.names != self._names:
            raise WireError(
                f"results of {engine.engine}, whose classes are {', '.join(engine.names)}: "
                f"this line's are {', '.join(self._names)}"
            )
        self._recipes[engine.engine] = self._recipe.bind(engine)
        log.info("another engine answers", engine=engine.engine)

    def _take(self, result: Result) -> None:
        camera = self._camera(result.camera)
        maps = result.inspection.segmentation
        if maps is not None and int(maps.kind.max()) >= len(self._names):
            raise WireError(f"camera {result.camera}: frame {result.frame_id} has a kind that its engine lacks")
        if camera.ingest_ns is not None and result.ingest_ns != camera.ingest_ns:
            # An ingest before this one gave a frame the same id: its verdict was given when this one began.
            camera.late_before += 1
            return
        camera.ledger.result(result.frame_id, result.inspection)

    def settle(self, now_ns: int) -> list[Outcome]:
        """Every verdict that can be given now."""
        given, self._given = self._given, []
        return given + [
            self._outcome(camera, settled, now_ns)
            for camera in self._cameras.values()
            for settled in camera.ledger.settle(now_ns)
        ]

    def close(self, now_ns: int) -> list[Outcome]:
        """The verdicts of all frames that will have no result any more."""
        return [
            self._outcome(camera, settled, now_ns)
            for camera in self._cameras.values()
            for settled in camera.ledger.close(STOPPED_REASON, now_ns)
        ]

    def next_deadline_ns(self) -> int | None:
        """When the next frame runs out of time."""
        deadlines = [camera.ledger.next_deadline_ns() for camera in self._cameras.values()]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def overdue(self, now_ns: int) -> bool:
        """Whether a frame waits that `settle` should have closed by then."""
        deadline_ns = self.next_deadline_ns()
        return deadline_ns is not None and deadline_ns <= now_ns

    def silent(self, now_ns: int) -> bool:
        """Whether a camera is not heard of: nobody vouches for its side of the strip."""
        return any(camera.silent(now_ns) for camera in self._cameras.values())

    @property
    def owed(self) -> int:
        """Frames announced and without a verdict."""
        return sum(len(camera.ledger) for camera in self._cameras.values())

    @property
    def patience_ms(self) -> int:
        """So long news may wait for the next results while some are owed: each wake pays for cold caches anew."""
        return int(1e3 * LUMPS_OF_PATIENCE * lump_s(self._deadline_ns / 1e9)) if self.owed else 0

    def state(self) -> str:
        """The ledger in one line."""
        counts = self.tally.decisions
        last = "no frame yet" if self._last is None else f"last {self._last.camera} frame {self._last.frame_id}"
        return (
            f"{last}, captured {self.tally.captured} = accepted {counts[Decision.ACCEPT]} + rejected "
            f"{counts[Decision.REJECT]} + uninspected {counts[Decision.UNINSPECTED]}, {self.owed} owed, "
            f"{self.late} late"
        )

    @property
    def settled(self) -> bool:
        """Every camera has ended and nothing is owed."""
        return not self.owed and all(camera.ended for camera in self._cameras.values())

    @property
    def late(self) -> int:
        """Results that came after their frame's deadline."""
        return sum(camera.late for camera in self._cameras.values())

    @property
    def cameras(self) -> Mapping[str, Camera]:
        """The accounts, to look at."""
        return self._cameras

    @property
    def total(self) -> int | None:
        """Frames expected in all, where every camera's source knows."""
        totals = [camera.total for camera in self._cameras.values()]
        return None if None in totals else sum(total for total in totals if total is not None)

    def _camera(self, name: str) -> Camera:
        try:
            return self._cameras[name]
        except KeyError:
            raise WireError(f"camera {name!r} is not in the config") from None

    def _outcome(self, camera: Camera, settled: SettledFrame, now_ns: int) -> Outcome:
        outcome = camera.maker.make(settled, now_ns)
        self.tally.add(outcome.verdict, outcome.total_ms, now_ns)
        self._last = outcome.verdict
        camera.last_verdict_ns = now_ns
        if self._meters is not None:
            self._meters.verdict(outcome)
        return outcome
