"""decide without sockets: announcements and results in, verdicts in order out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

import msgspec
import structlog

from inspector.config.plans import PlanSet
from inspector.config.recipe import LoadedRecipe
from inspector.core import flow
from inspector.core.borders import Span
from inspector.core.ledger import CameraLedger
from inspector.core.pace import Pace
from inspector.core.rules import PLAIN, BoundRecipe, CameraView, EngineClasses
from inspector.core.tally import Tally
from inspector.core.verdicts import Outcome, Quota, SettledFrame, VerdictMaker
from inspector.decide.camera import Camera, next_frame
from inspector.errors import ConfigError, WireError
from inspector.monitoring.counters import Meters
from inspector.values import REPLAY_EPOCH, Announcement, Code, Decision, Inspection, Uninspected, Verdict
from inspector.wire.messages import End, News, Parts, Result, decode_news, decode_results

STOPPED_REASON: Final = Uninspected(Code.STOPPED, "stopped before a result came")

RESTARTED_REASON: Final = Uninspected(Code.INGEST_RESTARTED, "ingest started again before a result came")

REFUSED_HOLD_NS: Final = 5_000_000_000
"""How long the gate rejects every frame after a refused message: ten default deadlines."""

TURN_NS: Final = 20_000_000
"""Longest time for which verdicts wait for others of their turn: a frame full of defects takes over 20 ms."""

TURN_FRAMES: Final = 64
"""Most frames of one camera settled in a turn: the gate and new messages wait for the turn to end."""

TURN_LOST_FRAMES: Final = 100
"""Most frames of one camera's long gaps settled in a turn, in addition to its current frames."""

WORKER_SENDER: Final = "worker"

NO_VIEWS: Final[Mapping[str, CameraView]] = MappingProxyType({})


def no_neighbours(camera: str, width_by_camera: Mapping[str, int]) -> tuple[Span, ...]:  # noqa: ARG001
    """No camera sees the same side of the strip."""
    return ()


log = structlog.get_logger()


class Decide:
    """Turns announcements and results into verdicts, without sockets. Times are monotonic ns."""

    def __init__(
        self,
        cameras: list[str],
        recipe: LoadedRecipe,
        engine: EngineClasses,
        deadline_ns: int,
        meters: Meters | None = None,
        defects_per_second: float | None = None,
        rates: Mapping[str, float] = MappingProxyType({}),
        captured_before: Callable[[str], list[End]] = lambda _: [],
        plans: PlanSet | None = None,
        seen: Mapping[str, CameraView] = NO_VIEWS,
        beside: Callable[[str, Mapping[str, int]], Sequence[Span]] = no_neighbours,
        engine_px: tuple[int, int] = (0, 0),
    ) -> None:
        """`defects_per_second` limits the defects that verdicts list: see `Quota`. `rates` are the stated frame
        rates of free-running cameras. `captured_before` returns what a camera's ingests have captured. `plans` are
        all plans, `recipe` is the default one; `seen` says how each camera sees the strip, and `beside` what the
        others of its side see, by the widths of their frames. `engine_px` is the height and width of the engine's
        frames."""
        self._beside, self._engine_px = beside, engine_px
        self._width_by_camera = dict.fromkeys(cameras, engine_px[1])
        """Width of each camera's newest frame, px; the engine's before the first one."""
        self._captured_before = captured_before
        self._defects_per_second = defects_per_second
        self._plans = plans or PlanSet(recipe, {}, ())
        self._engine, self._deadline_ns = engine.engine, deadline_ns
        self._seen = {camera: seen.get(camera, PLAIN) for camera in cameras}
        self._recipes: dict[str, dict[str, dict[str, BoundRecipe]]] = {camera: {} for camera in cameras}
        """By camera, engine and plan: several workers may run at once, and one may replace another."""
        self._lowest_steps: dict[str, int] = {}
        """By engine."""
        self._names = engine.names
        self._bind(engine)
        self._cameras = {
            name: Camera(self._fresh(), self._maker(name), Pace(rates[name]) if name in rates else None)
            for name in cameras
        }
        self.ended: list[End] = []
        """Ends heard since the caller last emptied this list."""
        self.tally = Tally()
        self._meters = meters
        """None when the health server is off."""
        self.unanswered_ns: int | None = None
        """When the first frame to inspect was announced since the last result; None if none was."""
        self.worker_heard_ns: int | None = None
        """When the last message from a worker arrived; a worker without frames sends empty ones."""
        self._last: Verdict | None = None
        self._given: list[Outcome] = []
        """Verdicts that the next `settle` returns first."""
        self.refused = 0
        """Messages refused so far."""
        self.refused_ns: int | None = None
        """When the last refused message arrived."""
        self.foreign_recipes: dict[str, str] = {}
        """Sender → its recipe, for senders whose recipe differs from this decide's."""

        self.newest_captured_ns = 0
        """Capture time of the newest announced frame, monotonic ns."""
        self.behind = False
        """Whether the last turn ended before all possible verdicts were given."""

    def refuse(self, now_ns: int) -> None:
        """Count a refused message; the frames in it may never get a verdict."""
        self.refused += 1
        self.refused_ns = now_ns

    def refused_lately(self, now_ns: int) -> bool:
        """Whether the gate must reject because a message was refused recently."""
        return self.refused_ns is not None and now_ns - self.refused_ns < REFUSED_HOLD_NS

    def _bind(self, engine: EngineClasses) -> None:
        for camera, of_camera in self._recipes.items():
            of_camera[engine.engine] = self._plans.bind(engine, self._seen[camera])
        self._lowest_steps[engine.engine] = self._plans.lowest_step(engine)

    def _fresh(self) -> CameraLedger[Announcement, Inspection]:
        return CameraLedger(self._deadline_ns)

    def _maker(self, camera: str) -> VerdictMaker:
        quota = Quota(self._defects_per_second)
        beside = partial(self._beside, camera, self._width_by_camera)
        return VerdictMaker(camera, self._recipes[camera], self._engine, quota, beside, self._engine_px)

    def resume_gaps(self, camera: str, gaps: list[tuple[int, int, int]]) -> None:
        """Settle frames, (ingest epoch, first id, one past the last), that an earlier decide left out."""
        if camera in self._cameras:
            self._cameras[camera].left_gaps = list(gaps)

    def resume(self, camera: str, ingest_epoch: int, next_frame: int) -> None:
        """Continue an ingest whose frames before `next_frame` have verdicts from an earlier decide."""
        if camera in self._cameras:
            self._cameras[camera].next_frames[ingest_epoch] = next_frame

    def resume_replay(self, first_frame: int) -> None:
        """Expect the frames from `first_frame` on; those with a verdict get no second one."""
        for camera in self._cameras.values():
            camera.known_frames = camera.next_frames.get(REPLAY_EPOCH, 0)
            camera.next_frames[REPLAY_EPOCH] = min(first_frame, camera.known_frames)

    def news(self, parts: Parts, now_ns: int) -> None:
        """Apply one message from ingest; raises WireError for a refused part, after applying the rest."""
        refused: WireError | None = None
        for message in decode_news(parts):
            try:
                self._hear(message, now_ns)
            except WireError as error:
                refused = error
            except ValueError as error:
                refused = WireError(f"camera {message.camera}: {error}")
        if refused is not None:
            raise refused

    def _hear(self, message: News, now_ns: int) -> None:
        camera = self._camera(message.camera)
        current = camera.ingest_epoch
        if isinstance(message, End):
            self.ended.append(message)
        if current is not None and message.ingest_epoch < current:
            self._straggle(camera, message, now_ns)
            return
        if message.ingest_epoch != current:
            self._replace_ingest(message.camera, camera, message.ingest_epoch, now_ns)
        fault = None
        if isinstance(message, Announcement):
            sender = f"ingest of camera {message.camera}"
            fault = self._foreign_recipe(sender, message.recipe) or self._foreign_recipe(
                sender, message.next_recipe
            )
            if message.width:
                self._width_by_camera[message.camera] = message.width
            self.newest_captured_ns = max(self.newest_captured_ns, message.captured_monotonic_ns)
        camera.hear(message, now_ns, fault)
        if self.unanswered_ns is None and isinstance(message, Announcement) and message.fault is None:
            self.unanswered_ns = now_ns

    def _replace_ingest(self, name: str, camera: Camera, epoch: int, now_ns: int) -> None:
        for end in camera.missed_ends(self._captured_before(name), epoch):
            if end.ingest_epoch != camera.ingest_epoch:
                self._enter(name, camera, end.ingest_epoch, now_ns)
            missed = camera.close_missed(end, now_ns)
            if missed:
                log.error("frames of an ended ingest were never announced", camera=name, frames=missed)
        self._enter(name, camera, epoch, now_ns)
        if self._meters is not None:
            self._meters.begins[name] += 1

    def _enter(self, name: str, camera: Camera, epoch: int, now_ns: int) -> None:
        """Close the previous ingest's pending frames first, because the new ingest counts frame ids from 0."""
        self._given += self._outcomes(camera, camera.ledger.close(RESTARTED_REASON, now_ns), now_ns)
        camera.replace_ingest(epoch, self._fresh(), self._maker(name))

    def _straggle(self, camera: Camera, message: News, now_ns: int) -> None:
        """Handle a message from a replaced ingest: its ledger is closed, so new frames end UNINSPECTED."""
        if not isinstance(message, (Announcement, End)) or message.ingest_epoch in camera.counted:
            return
        shown_by = message if isinstance(message, Announcement) else next_frame(message, now_ns)
        maker = self._maker(message.camera)
        for frame_id in camera.straggle(message):
            known = message if isinstance(message, Announcement) and frame_id == message.frame_id else None
            settled = SettledFrame(frame_id, known, None, RESTARTED_REASON, shown_by)
            self._given.append(self._counted(camera, maker.make(settled, now_ns), now_ns))

    def _foreign_recipe(self, sender: str, recipe: str) -> Uninspected | None:
        """Why a frame that passed `sender` cannot be judged; None when sender and decide use the same recipe."""
        own = self._plans.identity
        if recipe in ("", own) or (sender != WORKER_SENDER and recipe in self._plans.identities):
            self.foreign_recipes.pop(sender, None)
            return None
        self.foreign_recipes[sender] = recipe
        return Uninspected(
            Code.RECIPE_MISMATCH, f"{sender} uses recipe {recipe}, decide uses {own}: restart every stage"
        )

    def results(self, parts: Parts, now_ns: int) -> None:
        """Apply one message from a worker; raises WireError for a refused part, after applying the rest."""
        refused: WireError | None = None
        answers = decode_results(parts)
        engine = answers.engine
        if engine.engine not in self._lowest_steps:
            self._meet(engine)
        self._engine = engine.engine
        self.worker_heard_ns = now_ns
        if answers.results:
            self.unanswered_ns = None
        if self._meters is not None:
            self._meters.worker(engine.engine, answers.worker)
        # One name for all workers: one that is gone cannot leave the line unhealthy.
        fault = self._foreign_recipe(WORKER_SENDER, answers.filter.recipe)
        lowest = self._lowest_steps[engine.engine]
        if fault is None and answers.filter.lowest_step > lowest:
            # The same recipe and engine give the same step, so one of the two computes it differently.
            fault = Uninspected(
                Code.RECIPE_MISMATCH,
                f"the worker drops scores below {answers.filter.lowest_step}, the recipe wants {lowest} and more: "
                "run the same version in every stage",
            )
        for result in answers.results:
            try:
                self._take(result, fault)
            except WireError as error:
                refused = error
        if refused is not None:
            raise refused

    def _meet(self, engine: EngineClasses) -> None:
        """Accept a new engine's results; raises WireError when its classes differ from the line's."""
        if engine.names != self._names:
            raise WireError(
                f"results of {engine.engine}, whose classes are {', '.join(engine.names)}: "
                f"this line's are {', '.join(self._names)}"
            )
        try:
            self._bind(engine)
        except ConfigError as error:
            raise WireError(f"results of {engine.engine}, which does not fit the recipe: {error}") from None
        log.info("results come from another engine", engine=engine.engine)

    def _take(self, result: Result, fault: Uninspected | None) -> None:
        camera = self._camera(result.camera)
        inspection = result.inspection
        maps = inspection.segmentation
        if maps is not None and not 1 <= int(maps.kind.min()) <= int(maps.kind.max()) < len(self._names):
            raise WireError(f"camera {result.camera}: frame {result.frame_id} has a kind that its engine lacks")
        if fault is not None and inspection.fault is None:
            inspection = msgspec.structs.replace(inspection, segmentation=None, pixels=None, fault=fault)
        camera.result(result.ingest_epoch, result.frame_id, inspection)

    def settle(self, now_ns: int, clock: Callable[[], int] | None = None) -> list[Outcome]:
        """Return the verdicts that can be given now.

        At most TURN_FRAMES frames and TURN_LOST_FRAMES lost frames per camera. Cameras take turns frame by frame,
        so one with many defects delays the others by one frame. With `clock`, which returns monotonic ns, each
        verdict has its own time, and a turn with many defects ends after TURN_NS.
        """
        given, self._given = self._given, []
        waiting = list(self._cameras.values())
        until_ns = now_ns + TURN_NS
        for _ in range(TURN_FRAMES):
            if not waiting or now_ns > until_ns:
                break
            for camera in tuple(waiting):
                settled = camera.ledger.settle(now_ns)
                if settled is None:
                    waiting.remove(camera)
                    continue
                given += self._outcomes(camera, [settled], now_ns)
                now_ns = clock() if clock is not None else now_ns
        self.behind = bool(waiting)
        for camera in self._cameras.values():
            lost = camera.ledger.lost(TURN_LOST_FRAMES)
            self.behind |= bool(lost)
            given += self._outcomes(camera, lost, now_ns)
        return given

    def close(self, now_ns: int) -> list[Outcome]:
        """Close all ledgers and return the verdicts of the remaining frames."""
        given, self._given = self._given, []
        for camera in self._cameras.values():
            given += self._outcomes(camera, camera.ledger.close(STOPPED_REASON, now_ns), now_ns)
        return given

    def next_deadline_ns(self) -> int | None:
        """The earliest deadline of an open frame; None when no frame is open."""
        deadlines = [camera.ledger.next_deadline_ns() for camera in self._cameras.values()]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def overdue(self, now_ns: int) -> bool:
        """Whether a frame's deadline has passed and `settle` has not closed it."""
        deadline_ns = self.next_deadline_ns()
        return deadline_ns is not None and deadline_ns <= now_ns

    def silent(self, now_ns: int) -> bool:
        """Whether any camera is silent, so that nothing inspects its side of the strip."""
        return any(camera.silent(now_ns) for camera in self._cameras.values())

    @property
    def pending(self) -> int:
        """Announced frames without a verdict."""
        return sum(len(camera.ledger) for camera in self._cameras.values())

    @property
    def coalesce_ms(self) -> int:
        """How long announcements may wait for the next results message: each wake-up pays for cold caches."""
        return flow.coalesce_ms(self._deadline_ns / 1e9) if self.pending else 0

    def state(self) -> str:
        """The ledger as one line of text."""
        counts = self.tally.decisions
        last = "no frame yet" if self._last is None else f"last {self._last.camera} frame {self._last.frame_id}"
        return (
            f"{last}, captured {self.tally.captured} = accepted {counts[Decision.ACCEPT]} + rejected "
            f"{counts[Decision.REJECT]} + uninspected {counts[Decision.UNINSPECTED]}, {self.pending} pending, "
            f"{self.late} late"
        )

    @property
    def settled(self) -> bool:
        """Whether every camera has ended and no frame is pending."""
        return not self.pending and all(camera.ended for camera in self._cameras.values())

    @property
    def late(self) -> int:
        """Late results of all cameras: see `Camera.late`."""
        return sum(camera.late for camera in self._cameras.values())

    @property
    def cameras(self) -> Mapping[str, Camera]:
        """The cameras' accounts, for reading."""
        return self._cameras

    @property
    def total(self) -> int | None:
        """Total number of frames; None unless every camera's source knows it."""
        totals = [camera.total for camera in self._cameras.values()]
        return None if None in totals else sum(total for total in totals if total is not None)

    def _camera(self, name: str) -> Camera:
        try:
            return self._cameras[name]
        except KeyError:
            raise WireError(f"camera {name!r} is not in the config") from None

    def _outcomes(self, camera: Camera, frames: Iterable[SettledFrame], now_ns: int) -> list[Outcome]:
        made = [camera.maker.make(settled, now_ns) for settled in frames]
        return [
            self._counted(camera, outcome, now_ns)
            for outcome in made
            if outcome.verdict.frame_id >= camera.known_frames
        ]

    def _counted(self, camera: Camera, outcome: Outcome, now_ns: int) -> Outcome:
        self.tally.add(outcome.verdict, outcome.total_ms, now_ns)
        self._last = outcome.verdict
        camera.last_verdict_ns = now_ns
        if self._meters is not None:
            self._meters.verdict(outcome)
        return outcome
