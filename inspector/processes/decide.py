"""decide: keeps the ledger, judges every frame in order and in time, and hands the verdicts to the sinks."""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

import structlog
import zmq

from inspector.config import LoadedConfig
from inspector.engine.manifest import open_folder
from inspector.errors import WireError, WorkError
from inspector.processes.health import HealthServer, Watch
from inspector.processes.notify import PROGRESS, READY, SETTLED, Notifier
from inspector.processes.stop import StopRequest
from inspector.recipe import load_recipe
from inspector.rules import BoundRecipe
from inspector.sinks import Sinks
from inspector.stages.ledger import CameraLedger
from inspector.stages.meters import Meters
from inspector.stages.tally import Tally
from inspector.stages.verdicts import Outcome, SettledFrame, VerdictMaker
from inspector.values import Announcement, Inspection
from inspector.wire.links import NEWS, RESULTS, VIEW, open_context, open_receiver, open_sender
from inspector.wire.messages import Begin, End, Fault, Idle, Parts, decode_news, decode_result

TURN_MESSAGES: Final = 64
"""Messages taken from one link before the loop turns to the other and to the verdicts."""

DRAIN_S: Final = 1.0
"""After a stop was asked for, results that are on their way have this long."""

PROGRESS_INTERVAL_S: Final = 0.2

SILENT_NS: Final = 1_000_000_000
"""A camera whose ingest says nothing for so long is silent: one that lives would have said so five times."""

STOPPED_REASON: Final = "stopped before a result came"

log = structlog.get_logger()


@dataclass(slots=True)
class Camera:
    """One camera's account."""

    ledger: CameraLedger[Announcement, Inspection]
    maker: VerdictMaker
    total: int | None = None
    ended: bool = False
    heard_ns: int | None = None
    """When its ingest last said anything."""
    first: int = 0
    """The frame id this decide began with."""
    before: int = 0
    """Frames captured before its ingest began again."""
    late_before: int = 0
    last_verdict_ns: int | None = None

    @property
    def captured(self) -> int:
        """Frames it has announced, or failed to, since this decide has started."""
        return self.before + self.ledger.expected - self.first

    @property
    def late(self) -> int:
        """Results that came after their frame's verdict."""
        return self.late_before + self.ledger.late


class Decide:
    """Turns news and results into verdicts; knows no socket. Times are monotonic ns."""

    def __init__(self, cameras: list[str], recipe: BoundRecipe, engine: str, deadline_ns: int) -> None:
        self._recipe, self._engine, self._deadline_ns = recipe, engine, deadline_ns
        self._cameras = {name: self._fresh(name) for name in cameras}
        self.tally = Tally()
        self.meters = Meters(recipe)
        self.unanswered_ns: int | None = None
        """Since when a worker that has frames has given no answer."""
        self.refused = 0

    def _fresh(self, camera: str) -> Camera:
        return Camera(CameraLedger(self._deadline_ns), VerdictMaker(camera, self._recipe, self._engine))

    def resume(self, camera: str, next_frame: int) -> None:
        """An earlier decide has given this camera's verdicts up to a frame: go on from there."""
        if camera in self._cameras:
            self._cameras[camera].ledger.expected = self._cameras[camera].first = next_frame

    def news(self, parts: Parts, now_ns: int) -> list[Outcome]:
        """One message from ingest; raises WireError."""
        message = decode_news(parts)
        camera = self._camera(message.camera)
        outcomes: list[Outcome] = []
        camera.heard_ns = now_ns
        try:
            if isinstance(message, Announcement):
                camera.ledger.announce(message.frame_id, message, message.clock_ns, message.fault)
                if message.fault is None and self.unanswered_ns is None:
                    self.unanswered_ns = now_ns
            elif isinstance(message, Fault):
                camera.ledger.fault(message.frame_id, message.reason)
            elif isinstance(message, End):
                camera.ledger.end(message.captured, now_ns)
                camera.ended = True
            elif not isinstance(message, Idle):
                outcomes = self._begin(message, camera, now_ns)
        except ValueError as error:
            raise WireError(f"camera {message.camera}: {error}") from None
        return outcomes

    def _begin(self, message: Begin, camera: Camera, now_ns: int) -> list[Outcome]:
        """Ingest has started, perhaps again: what its forerunner still owed is closed first."""
        left = camera.ledger.close("ingest started again before a result came")
        outcomes = [self._outcome(camera, settled, now_ns) for settled in left]
        fresh = self._fresh(message.camera)
        fresh.total, fresh.heard_ns = message.total, now_ns
        fresh.before, fresh.late_before = camera.captured, camera.late
        fresh.last_verdict_ns = camera.last_verdict_ns
        self.meters.begins[message.camera] += 1
        self._cameras[message.camera] = fresh
        return outcomes

    def result(self, parts: Parts) -> None:
        """One message from a worker; raises WireError."""
        name, frame_id, inspection = decode_result(parts)
        maps = inspection.segmentation
        if maps is not None and int(maps.kind.max()) >= len(self._recipe.names):
            raise WireError(f"camera {name}: frame {frame_id} has a kind that the recipe's engine lacks")
        self._camera(name).ledger.result(frame_id, inspection)
        self.meters.result(inspection)
        self.unanswered_ns = None

    def settle(self, now_ns: int) -> list[Outcome]:
        """Every verdict that can be given now."""
        return [
            self._outcome(camera, settled, now_ns)
            for camera in self._cameras.values()
            for settled in camera.ledger.settle(now_ns)
        ]

    def close(self, now_ns: int) -> list[Outcome]:
        """The verdicts of all frames that will have no result any more."""
        return [
            self._outcome(camera, settled, now_ns)
            for camera in self._cameras.values()
            for settled in camera.ledger.close(STOPPED_REASON)
        ]

    def next_deadline_ns(self) -> int | None:
        """When the next frame runs out of time."""
        deadlines = [camera.ledger.next_deadline_ns() for camera in self._cameras.values()]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def silent(self, now_ns: int) -> list[str]:
        """Cameras whose ingest has ended, or has not been heard of: nobody vouches for their side of the strip."""
        return [
            name
            for name, camera in self._cameras.items()
            if camera.ended or camera.heard_ns is None or now_ns - camera.heard_ns > SILENT_NS
        ]

    @property
    def owed(self) -> int:
        """Frames announced and without a verdict."""
        return sum(len(camera.ledger) for camera in self._cameras.values())

    @property
    def settled(self) -> bool:
        """Every camera has ended and nothing is owed."""
        return not self.owed and all(camera.ended for camera in self._cameras.values())

    @property
    def late(self) -> int:
        """Results that came after their frame's verdict."""
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
        camera.last_verdict_ns = now_ns
        self.tally.add(outcome.verdict, outcome.total_ms, now_ns)
        self.meters.verdict(outcome)
        return outcome


def main(config: LoadedConfig) -> None:
    """Run until a stop is asked for. Raises InputError before the start, WorkError when verdicts were lost."""
    line = config.line
    folder = open_folder(line.engine)
    recipe = load_recipe(line.recipe).bind(folder.manifest)
    notifier = Notifier()
    health = HealthServer(line.health, line.sinks.out) if line.health is not None else None
    decide = Decide(list(line.cameras), recipe, folder.identity, int(line.deadline_ms * 1e6))
    with StopRequest() as stop, health or nullcontext(), open_context() as context:
        view = open_sender(context, VIEW, line.links, linger_ms=0) if line.view.frames_per_second else None
        sinks = Sinks(config, recipe, view)
        for verdict in sinks.earlier_verdicts():
            decide.tally.add(verdict, None, time.monotonic_ns())
            decide.resume(verdict.camera, verdict.frame_id + 1)
        news = open_receiver(context, NEWS, line.links)
        results = open_receiver(context, RESULTS, line.links)
        watch = Watch(config, recipe.identity, folder.identity, health)
        notifier.tell(**{READY: "1"})
        log.info("decide started", recipe=recipe.identity, engine=folder.identity, out=str(line.sinks.out))
        _serve(decide, news, results, sinks, stop, Progress(decide, notifier), watch)
        sinks.give(decide.close(time.monotonic_ns()))
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
    progress: "Progress",
    watch: Watch,
) -> None:
    poller = zmq.Poller()
    for end in (news, results, stop.fileno()):
        poller.register(end, zmq.POLLIN)
    stop_s: float | None = None
    while True:
        ready = dict(poller.poll(_timeout_ms(decide, stopping=stop_s is not None)))
        if news in ready:
            _drain(news, lambda parts: sinks.give(decide.news(parts, time.monotonic_ns())), decide)
        if results in ready:
            _drain(results, decide.result, decide)
        now_ns = time.monotonic_ns()
        sinks.give(decide.settle(now_ns))
        sinks.turn(owed=decide.owed, silent=bool(decide.silent(now_ns)))
        progress.tell()
        watch.look(decide, sinks, now_ns)
        if stop:
            if stop_s is None:
                stop_s = time.monotonic()
                poller.unregister(stop.fileno())
            quiet = news not in ready and results not in ready
            if (quiet and not decide.owed) or time.monotonic() - stop_s > DRAIN_S:
                return


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
                "STATUS": f"{tally.captured} verdicts, {self._decide.owed} frames owed, {self._decide.late} late",
            }
        )
