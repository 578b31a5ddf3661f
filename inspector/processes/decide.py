"""decide: keeps the ledger, judges every frame in order and in time, and hands the verdicts to the sinks."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
import zmq

from inspector.config import LoadedConfig
from inspector.engine.signature import open_trusted
from inspector.errors import WireError, WorkError
from inspector.processes.notify import PROGRESS, READY, SETTLED, Notifier, Pulse
from inspector.processes.stop import StopRequest
from inspector.recipe import load_recipe
from inspector.rules import BoundRecipe
from inspector.sinks import Sinks
from inspector.stages.ledger import CameraLedger
from inspector.stages.tally import Tally
from inspector.stages.verdicts import Outcome, SettledFrame, VerdictMaker
from inspector.values import Announcement, Decision, Inspection, Verdict
from inspector.wire.curve import open_view
from inspector.wire.links import NEWS, RESULTS, open_context, open_receiver
from inspector.wire.messages import Begin, End, Fault, News, Parts, Result, decode_news, decode_results

TURN_MESSAGES: Final = 64
"""Messages taken from one link before the loop turns to the other and to the verdicts."""

DRAIN_S: Final = 1.0
"""After a stop was asked for, results that are on their way have this long."""

PROGRESS_INTERVAL_S: Final = 0.2

STOPPED_REASON: Final = "stopped before a result came"

log = structlog.get_logger()


@dataclass(slots=True)
class Camera:
    """One camera's account."""

    ledger: CameraLedger[Announcement, Inspection]
    maker: VerdictMaker
    ingest_ns: int | None = None
    """Which ingest its frame ids are counted by; None until one was heard of."""
    total: int | None = None
    ended: bool = False


class Decide:
    """Turns news and results into verdicts; knows no socket. Times are monotonic ns."""

    def __init__(self, cameras: list[str], recipe: BoundRecipe, engine: str, deadline_ns: int) -> None:
        self._recipe, self._engine, self._deadline_ns = recipe, engine, deadline_ns
        self._cameras = {name: self._fresh(name) for name in cameras}
        self.tally = Tally()
        self._last: Verdict | None = None
        self._given: list[Outcome] = []
        """Verdicts that a message with a refused entry brought about."""
        self.late_before = 0
        self.refused = 0

    def _fresh(self, camera: str) -> Camera:
        return Camera(CameraLedger(self._deadline_ns), VerdictMaker(camera, self._recipe, self._engine))

    def resume(self, camera: str, next_frame: int) -> None:
        """An earlier decide has given this camera's verdicts up to a frame: go on from there."""
        if camera in self._cameras:
            self._cameras[camera].ledger.expected = next_frame

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
        return outcomes

    def _hear(self, message: News, now_ns: int) -> None:
        camera = self._camera(message.camera)
        if isinstance(message, Announcement):
            if not math.isfinite(message.position_mm):
                # JSON has no word for it, so nobody could read the verdict again.
                raise WireError(
                    f"camera {message.camera}: frame {message.frame_id} is at {message.position_mm} mm"
                )
            camera.ledger.announce(message.frame_id, message, message.clock_ns, message.fault)
        elif isinstance(message, Fault):
            camera.ledger.fault(message.frame_id, message.reason)
        elif isinstance(message, End):
            camera.ledger.end(message.captured, now_ns)
            camera.ended = True
        else:
            camera.total = message.total

    def _start_over(self, name: str, camera: Camera, now_ns: int) -> list[Outcome]:
        """Another ingest counts from 0: what its forerunner still owed is closed first."""
        left = camera.ledger.close("ingest started again before a result came", now_ns)
        outcomes = [self._outcome(camera, settled, now_ns) for settled in left]
        self.late_before += camera.ledger.late
        self._cameras[name] = self._fresh(name)
        return outcomes

    def results(self, parts: Parts) -> None:
        """One message from a worker; raises WireError, after the rest was taken, for what must be refused."""
        refused: WireError | None = None
        for result in decode_results(parts):
            try:
                self._take(result)
            except WireError as error:
                refused = error
        if refused is not None:
            raise refused

    def _take(self, result: Result) -> None:
        camera = self._camera(result.camera)
        maps = result.inspection.segmentation
        if maps is not None and int(maps.kind.max()) >= len(self._recipe.names):
            raise WireError(
                f"camera {result.camera}: frame {result.frame_id} has a kind that the recipe's engine lacks"
            )
        if camera.ingest_ns is not None and result.ingest_ns != camera.ingest_ns:
            # An ingest before this one gave a frame the same id: its verdict was given when this one began.
            self.late_before += 1
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

    @property
    def owed(self) -> int:
        """Frames announced and without a verdict."""
        return sum(len(camera.ledger) for camera in self._cameras.values())

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
        return self.late_before + sum(camera.ledger.late for camera in self._cameras.values())

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
        return outcome


def main(config: LoadedConfig) -> None:
    """Run until a stop is asked for. Raises InputError before the start, WorkError when verdicts were lost."""
    line = config.line
    folder = open_trusted(line.engine, line.trusted_keys)
    recipe = load_recipe(line.recipe).bind(folder.manifest)
    notifier = Notifier()
    decide = Decide(list(line.cameras), recipe, folder.identity, int(line.deadline_ms * 1e6))
    with StopRequest() as stop, open_context() as context, open_view(context, line.view, line.links) as view:
        sinks = Sinks(config, recipe, view)
        for verdict in sinks.earlier_verdicts():
            decide.tally.add(verdict, None, time.monotonic_ns())
        for camera, frame_id in sinks.last_frames().items():
            decide.resume(camera, frame_id + 1)
        news = open_receiver(context, NEWS, line.links)
        results = open_receiver(context, RESULTS, line.links)
        notifier.tell(**{READY: "1"})
        log.info("decide started", recipe=recipe.identity, engine=folder.identity, out=str(line.sinks.out))
        _serve(decide, news, results, sinks, stop, notifier)
        for outcome in decide.close(time.monotonic_ns()):
            sinks.write(outcome)
        lost = sinks.close(decide.tally, late=decide.late, refused=decide.refused, engine=folder)
        log.info("decide ended", captured=decide.tally.captured, late=decide.late, refused=decide.refused)
        if lost:
            raise WorkError(f"{line.sinks.out}: {lost} verdicts could not be written down: free some disk space")


def _serve(
    decide: Decide,
    news: "zmq.Socket[bytes]",
    results: "zmq.Socket[bytes]",
    sinks: Sinks,
    stop: StopRequest,
    notifier: Notifier,
) -> None:
    poller = zmq.Poller()
    for end in (news, results, stop.fileno()):
        poller.register(end, zmq.POLLIN)
    stop_s: float | None = None
    progress, pulse = Progress(decide, notifier), Pulse(notifier, "verdicts")
    while True:
        ready = dict(poller.poll(_timeout_ms(decide, stopping=stop_s is not None)))
        if news in ready:
            _drain(news, lambda parts: _write_all(sinks, decide.news(parts, time.monotonic_ns())), decide)
        if results in ready:
            _drain(results, decide.results, decide)
        now_ns = time.monotonic_ns()
        _write_all(sinks, decide.settle(now_ns))
        sinks.flush()
        progress.tell()
        pulse.turn(decide.tally.captured, owed=decide.overdue(now_ns), say=decide.state)
        if stop:
            if stop_s is None:
                stop_s = time.monotonic()
                poller.unregister(stop.fileno())
            quiet = news not in ready and results not in ready
            if (quiet and not decide.owed) or time.monotonic() - stop_s > DRAIN_S:
                return


def _write_all(sinks: Sinks, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        sinks.write(outcome)


def _timeout_ms(decide: Decide, *, stopping: bool) -> int:
    """Until the next deadline, and never so long that progress or a stop go unnoticed."""
    longest = 20 if stopping else int(PROGRESS_INTERVAL_S * 1000)
    deadline_ns = decide.next_deadline_ns()
    if deadline_ns is None:
        return longest
    return max(0, min(longest, -(-(deadline_ns - time.monotonic_ns()) // 1_000_000)))


def _drain(socket: "zmq.Socket[bytes]", take: Callable[[Parts], None], decide: Decide) -> None:
    """Take what has come, up to a turn's worth; what does not decode is refused, logged and counted."""
    for _ in range(TURN_MESSAGES):
        try:
            parts = socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return
        try:
            take([part.buffer for part in parts])
        except WireError as error:
            decide.refused += 1
            log.warning("message refused", error=str(error), refused=decide.refused)


class Progress:
    """Tells whoever started the line how far it is."""

    def __init__(self, decide: Decide, notifier: Notifier) -> None:
        self._decide, self._notifier = decide, notifier
        self._next_s = 0.0
        self._told_settled = False

    def tell(self) -> None:
        """At most every PROGRESS_INTERVAL_S, and at once when all is settled."""
        settled = self._decide.settled
        now_s = time.monotonic()
        if now_s < self._next_s and settled == self._told_settled:
            return
        self._next_s, self._told_settled = now_s + PROGRESS_INTERVAL_S, settled
        tally = self._decide.tally
        self._notifier.tell(
            **{
                PROGRESS: f"{tally.captured}/{self._decide.total or ''}",
                SETTLED: "1" if settled else "0",
            }
        )
