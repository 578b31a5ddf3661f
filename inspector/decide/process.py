"""decide: keeps the ledger, judges every frame in order and in time, and passes the verdicts to the sinks."""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Final

import structlog
import zmq

from inspector.config.line import LineConfig, LoadedConfig
from inspector.config.sources import CameraSettings, GenicamSettings
from inspector.core.verdicts import DEFECTS_PER_SECOND, Outcome
from inspector.decide.decide import Decide, no_neighbours
from inspector.decide.monitor import Monitor
from inspector.engine.signature import open_trusted
from inspector.errors import WireError, WorkError
from inspector.folders import make_own_folder
from inspector.repeated import Repeated
from inspector.runtime.lock import hold_place
from inspector.runtime.notify import PROGRESS, READY, SETTLED, Notifier, Pulse
from inspector.runtime.stop import StopRequest
from inspector.sinks.sinks import Sinks
from inspector.wire.captures import captured_by_ingests, confirm, forget_confirmed
from inspector.wire.curve import open_view
from inspector.wire.links import NEWS, RESULTS, open_context, open_receiver
from inspector.wire.messages import End, Parts

TURN_MESSAGES: Final = 64
"""Most messages taken from one link in a turn, so that the other link and the verdicts get their turn."""

DRAIN_S: Final = 1.0
"""How long to wait for results in transit after a stop request, seconds."""

QUIET_S: Final = 0.1
"""After a stop, links without a message for this long have none left."""

LONGEST_DRAIN_S: Final = 10.0
"""How long to wait for announcements sent before a stop request, seconds; systemd waits longer."""

PROGRESS_INTERVAL_S: Final = 0.2

GIVE_WAY_S: Final = 0.0002
"""Python's thread switch interval, seconds: how long a sink's thread (records, pictures, health) may hold the
interpreter while verdicts wait, which happens a dozen times a turn. With Python's default of 5 ms, a retention
sweep delayed verdicts by 0.38 s."""

log = structlog.get_logger()


def main(config: LoadedConfig) -> None:
    """Run until a stop request. Raises InputError before the start, WorkError when verdicts were lost."""
    sys.setswitchinterval(GIVE_WAY_S)
    line = config.line
    make_own_folder(line.links)
    folder = open_trusted(line.engine, line.trusted_keys)
    plans = config.plans()
    recipe = plans.default
    bound = plans.for_sinks(folder.classes)
    scale = recipe.recipe.mm_per_px_across
    beside = no_neighbours if line.strip is None else partial(line.strip.beside, mm_per_px_across=scale)
    engine_px = folder.manifest.height, folder.manifest.width
    notifier = Notifier()
    monitor = Monitor(line.health, config, bound, folder.identity) if line.health is not None else None
    meters = monitor.meters if monitor is not None else None
    decide = Decide(
        list(line.cameras),
        recipe,
        folder.classes,
        int(line.deadline_ms * 1e6),
        meters,
        None if line.replay else DEFECTS_PER_SECOND,
        stated_rates(line),
        (lambda _: []) if line.replay else partial(captured_by_ingests, line.links),
        plans,
        {} if line.strip is None else {camera: line.strip.camera(camera).view() for camera in line.cameras},
        beside,
        engine_px,
    )
    with (
        hold_place("decide", line.links),
        hold_place("decide", line.sinks.out),
        StopRequest() as stop,
        monitor or nullcontext(),
        open_context() as context,
        open_view(context, line.view, line.links) as view,
    ):
        sinks = Sinks(config, bound, view)
        for verdict in sinks.earlier_verdicts():
            decide.tally.add(verdict, None, time.monotonic_ns())
        places, gaps = sinks.places()
        for camera, of_camera in places.items():
            for ingest_epoch, next_frame in of_camera.items():
                decide.resume(camera, ingest_epoch, next_frame)
        if line.resume_frames is not None:
            decide.resume_replay(line.resume_frames)
        for camera, of_camera_gaps in gaps.items():
            decide.resume_gaps(camera, of_camera_gaps)
        forget_confirmed(line.links, list(line.cameras))
        news = open_receiver(context, NEWS, line.links)
        results = open_receiver(context, RESULTS, line.links)
        notifier.tell(**{READY: "1"})
        log.info("decide started", recipe=recipe.identity, engine=folder.identity, out=str(line.sinks.out))
        _serve(decide, news, results, sinks, stop, notifier, monitor, partial(confirm, line.links))
        now_ns = time.monotonic_ns()
        sinks.turn(decide.close(now_ns), pending=0, silent=decide.silent(now_ns))
        lost = sinks.close(decide.tally, late=decide.late, refused=decide.refused, engine=folder)
        log.info("decide ended", captured=decide.tally.captured, late=decide.late, refused=decide.refused)
        if lost:
            raise WorkError(f"{line.sinks.out}: {lost} verdicts could not be written: free some disk space")


def stated_rates(line: LineConfig) -> dict[str, float]:
    """Stated frame rates of the free-running cameras; the rate of a triggered one follows the strip."""
    return {
        name: camera.frames_per_second
        for name, camera in line.cameras.items()
        if isinstance(camera, CameraSettings | GenicamSettings) and camera.trigger == "free"
    }


def _serve(
    decide: Decide,
    news: "zmq.Socket[bytes]",
    results: "zmq.Socket[bytes]",
    sinks: Sinks,
    stop: StopRequest,
    notifier: Notifier,
    monitor: Monitor | None,
    confirm_end: Callable[[End], None],
) -> None:
    poller, answers = zmq.Poller(), zmq.Poller()
    for end in (news, results, stop.fileno()):
        poller.register(end, zmq.POLLIN)
        if end is not news:
            answers.register(end, zmq.POLLIN)
    drain = _Drain(decide)
    progress, pulse, refusals = Progress(decide, notifier), Pulse(notifier, "verdicts"), Repeated()
    given: list[Outcome] = []
    while True:
        timeout_ms = 0 if decide.behind else _timeout_ms(decide, stopping=drain.begun)
        timeout_ms = int(min(timeout_ms, sinks.next_turn_ms))
        coalesce_ms = min(timeout_ms, decide.coalesce_ms) if not drain.begun else 0
        if coalesce_ms:
            answers.poll(coalesce_ms)
            timeout_ms = 0
        ready = dict(poller.poll(timeout_ms))
        if news in ready:
            _drain(news, lambda parts: decide.news(parts, time.monotonic_ns()), decide, refusals)
        if results in ready:
            _drain(results, lambda parts: decide.results(parts, time.monotonic_ns()), decide, refusals)
        now_ns = time.monotonic_ns()
        given.extend(decide.settle(now_ns, time.monotonic_ns))
        refused = decide.refused_lately(now_ns)
        sinks.turn(given, pending=decide.pending, silent=decide.silent(now_ns), refused=refused)
        given.clear()
        while decide.ended:
            confirm_end(decide.ended.pop())
        progress.tell()
        if monitor is not None:
            monitor.look(decide, sinks, now_ns)
        pulse.turn(decide.tally.captured, pending=decide.overdue(now_ns), say=decide.state)
        if stop:
            if not drain.begun:
                poller.unregister(stop.fileno())
            if drain.turn(time.monotonic(), heard=news in ready or results in ready):
                return


class _Drain:
    """Decides after a stop request when the links have no more messages."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self._stop_s = self._quiet_since_s = 0.0
        self.begun = False

    def turn(self, now_s: float, *, heard: bool) -> bool:
        """Call once per turn after the request; `heard`: this turn had messages. Returns whether to end now."""
        if not self.begun:
            self.begun = True
            self._stop_s = self._quiet_since_s = now_s
        if heard:
            self._quiet_since_s = now_s
        # A link that was full is empty for a moment while its next messages are on their way.
        quiet = now_s - self._quiet_since_s > QUIET_S
        # A link full of announcements is read up to frames captured since the stop: each needs a verdict.
        heard_all = quiet or self._decide.newest_captured_ns >= self._stop_s * 1e9
        waited_s = now_s - self._stop_s
        done = quiet and not self._decide.pending
        return done or (waited_s > DRAIN_S and heard_all) or waited_s > LONGEST_DRAIN_S


def _timeout_ms(decide: Decide, *, stopping: bool) -> int:
    """Time until the next deadline, capped so that progress and stop requests are noticed."""
    longest = 20 if stopping else int(PROGRESS_INTERVAL_S * 1000)
    deadline_ns = decide.next_deadline_ns()
    if deadline_ns is None:
        return longest
    return max(0, min(longest, -(-(deadline_ns - time.monotonic_ns()) // 1_000_000)))


def _drain(socket: "zmq.Socket[bytes]", take: Callable[[Parts], None], decide: Decide, refusals: Repeated) -> None:
    """Pass up to TURN_MESSAGES waiting messages to `take`; refuse, log and count those that do not decode."""
    for _ in range(TURN_MESSAGES):
        try:
            parts = socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return
        try:
            take([part.buffer for part in parts])
        except WireError as error:
            decide.refuse(time.monotonic_ns())
            if refusals.due() is not None:
                log.warning("message refused", error=str(error), refused=decide.refused)


class Progress:
    """Reports progress to the process that started the line."""

    def __init__(self, decide: Decide, notifier: Notifier) -> None:
        self._decide, self._notifier = decide, notifier
        self._next_s = 0.0
        self._told_settled = False

    def tell(self) -> None:
        """Report at most every PROGRESS_INTERVAL_S, and at once when `settled` changes."""
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
