"""Snapshots of the line for the health server, stored a few times a second by decide's loop."""

import time
from collections import deque
from typing import Final, NamedTuple, Self

import msgspec

from inspector import __version__
from inspector.config.line import LoadedConfig
from inspector.config.sinks import HealthSettings
from inspector.core.rules import BoundRecipe
from inspector.decide.camera import Camera
from inspector.decide.decide import Decide
from inspector.decide.drift import Drifts
from inspector.monitoring.counters import Meters
from inspector.monitoring.http import HealthServer
from inspector.monitoring.state import CameraState, FrameCount, GateState, LineState, WorkerState
from inspector.sinks.gate.feed import GateFeed
from inspector.sinks.sinks import Sinks
from inspector.values import Decision

LOOK_NS: Final = 200_000_000

NEWEST_LOOKS: Final = 25
"""Snapshots that rates and shares are computed over: five seconds."""


class CameraCounts(NamedTuple):
    """A camera's counts in one snapshot."""

    captured: int
    verdicts: int
    uninspected: int


class Monitor:
    """Holds decide's counters and builds the snapshots. Raises InputError when the health server cannot start."""

    def __init__(self, settings: HealthSettings, config: LoadedConfig, recipe: BoundRecipe, engine: str) -> None:
        self._config, self._recipe, self._engine = config, recipe.identity, engine
        self.meters = Meters(recipe)
        line, window = config.line, settings.drift_frames
        self._drifts = Drifts(line.sinks.out, window, self._recipe, engine) if window else None
        self._health = HealthServer(settings, line.sinks.out, line.links if line.strip is not None else None)
        self._started_s = time.time()
        self._next_ns = 0
        self._looks: dict[str, deque[tuple[int, CameraCounts]]] = {}
        self._gate_looks: deque[tuple[int, int, int]] = deque(maxlen=NEWEST_LOOKS)
        """Time, verdicts sent, and those of them that were late or missed."""

    def __enter__(self) -> Self:
        """Start the health server."""
        self._health.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the health server."""
        self._health.__exit__()

    def look(self, decide: Decide, sinks: Sinks, now_ns: int) -> None:
        """Call once per turn of the loop; stores a snapshot when one is due."""
        if now_ns >= self._next_ns:
            self._next_ns = now_ns + LOOK_NS
            self._health.state = self.state(decide, sinks, now_ns)

    def state(self, decide: Decide, sinks: Sinks, now_ns: int) -> LineState:
        """The state of the line now."""
        line, meters = self._config.line, self.meters
        frames = tuple(FrameCount(*key, count) for key, count in meters.frames.items())
        return LineState(
            taken_ns=now_ns,
            started_s=self._started_s,
            version=__version__,
            config=self._config.identity,
            recipe=self._recipe,
            engine=self._engine,
            deadline_ms=line.deadline_ms,
            out=str(line.sinks.out),
            cameras={name: self._camera(name, camera, now_ns) for name, camera in decide.cameras.items()},
            frames=frames,
            stages={stage: histogram.state() for stage, histogram in meters.stages.items()},
            batches=meters.batches.state(),
            worker=WorkerState(
                starts=meters.worker_starts,
                waiting=meters.worker_waiting,
                unanswered_s=_age_s(decide.unanswered_ns, now_ns),
                heard_s=_age_s(decide.worker_heard_ns, now_ns),
                engine=meters.engine,
            ),
            refused=decide.refused,
            refused_s=_age_s(decide.refused_ns, now_ns),
            foreign_recipes=dict(decide.foreign_recipes),
            sinks=sinks.state(),
            gate=self._gate(sinks.gate, now_ns) if sinks.gate is not None else None,
            drift=self._drifts.look(decide.cameras, meters) if self._drifts is not None else (),
        )

    def _camera(self, name: str, camera: Camera, now_ns: int) -> CameraState:
        counts = dict.fromkeys(Decision, 0)
        shed = 0
        for (of, decision, reason), count in self.meters.frames.items():
            if of == name:
                counts[decision] += count
                shed += count if reason == "shed" else 0
        uninspected = counts[Decision.UNINSPECTED]
        looks = self._looks.setdefault(name, deque(maxlen=NEWEST_LOOKS))
        looks.append((now_ns, CameraCounts(camera.captured, sum(counts.values()), uninspected)))
        pace = camera.pace
        (then_ns, then), (_, now) = looks[0], looks[-1]
        rate = (now.captured - then.captured) / ((now_ns - then_ns) / 1e9) if now_ns > then_ns else 0.0
        return CameraState(
            captured=camera.captured,
            accepted=counts[Decision.ACCEPT],
            rejected=counts[Decision.REJECT],
            uninspected=uninspected,
            pending=len(camera.ledger),
            late=camera.late,
            shed=shed,
            begins=self.meters.begins[name],
            frames_per_second=round(rate, 2),
            newest=now.verdicts - then.verdicts,
            newest_uninspected=now.uninspected - then.uninspected,
            last_frame=camera.ledger.expected - 1 if camera.ledger.expected else None,
            last_verdict_s=_age_s(camera.last_verdict_ns, now_ns),
            heard_s=_age_s(camera.heard_ns, now_ns),
            silent=camera.silent(now_ns),
            ended=camera.ended,
            stated_per_second=pace.stated_per_s if pace is not None else None,
            measured_per_second=pace.measured_per_s if pace is not None else None,
            wrong_rate_s=_age_s(pace.wrong_ns, now_ns) if pace is not None else None,
            frames_missing=round(pace.missing) if pace is not None else 0,
            readings=dict(camera.readings),
        )

    def _gate(self, feed: GateFeed, now_ns: int) -> GateState:
        """The gate's state, with its counts of the last few seconds."""
        state = feed.state()
        self._gate_looks.append((now_ns, state.taken + state.missed, state.late + state.missed))
        _, then, then_bad = self._gate_looks[0]
        _, now, now_bad = self._gate_looks[-1]
        return msgspec.structs.replace(state, newest=now - then, newest_late=min(now_bad - then_bad, now - then))


def _age_s(since_ns: int | None, now_ns: int) -> float | None:
    return None if since_ns is None else round(max(0, now_ns - since_ns) / 1e9, 3)
