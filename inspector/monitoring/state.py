"""Snapshot of a line's state, and the faults found in it as text."""

from typing import Final

import msgspec

STALE_S: Final = 3.0
"""Age from which a snapshot means that decide hangs, seconds; decide takes five a second."""

WORKER_S: Final = 2.0
"""How long announced frames may go without any result, at least two deadlines, before the worker is a finding."""


REFUSED_S: Final = 60.0
"""How long a refused message stays a finding, seconds."""

UNSEEN_SHARE: Final = 0.1
UNSEEN_FRAMES: Final = 10
UNSEEN_ALL: Final = 3
"""Share and number of a camera's newest frames: more uninspected ones than both are a finding. Fewer can happen
on a healthy line."""


class CameraState(msgspec.Struct, frozen=True):
    """One camera's account since decide started. Ages are in seconds."""

    captured: int
    accepted: int
    rejected: int
    uninspected: int
    owed: int
    """Announced frames without a verdict."""
    late: int
    """Results that arrived after their frame's deadline, or after their ingest was replaced."""
    shed: int
    begins: int
    """How often its ingest has started."""
    frames_per_second: float
    newest: int
    """Verdicts of the last few seconds."""
    newest_uninspected: int
    last_frame: int | None
    last_verdict_s: float | None
    heard_s: float | None
    """Age of the last message from its ingest; None before the first."""
    silent: bool
    ended: bool
    readings: dict[str, float] = {}
    """The camera's newest measurements of itself, by name."""

    @property
    def verdicts(self) -> int:
        """Verdicts given so far."""
        return self.accepted + self.rejected + self.uninspected


class FrameCount(msgspec.Struct, frozen=True):
    """Number of verdicts with the same camera, decision and reason."""

    camera: str
    decision: str
    reason: str
    """Class of the largest defect that rejects, or code of an uninspected frame; empty for an accepted one."""
    count: int


class HistogramState(msgspec.Struct, frozen=True):
    """Counts of values by class; `counts` has one entry more than `ends`, for larger values."""

    ends: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


class WorkerState(msgspec.Struct, frozen=True):
    """The workers as decide knows them from their results."""

    starts: int
    """Different workers seen since decide started."""
    waiting: int
    unanswered_s: float | None
    """How long announced frames have been without any result; None while results arrive."""
    engine: str
    """Engine of the newest result."""


class GateState(msgspec.Struct, frozen=True):
    """State of the gate."""

    taking: bool
    faults: tuple[str, ...]
    sequence: int
    heartbeat: int
    waiting: int
    taken: int
    missed: int
    late: int
    breaks: int
    longest_ms: float
    waits: HistogramState


class SinkState(msgspec.Struct, frozen=True):
    """Backlog and losses of the sinks."""

    pictures_waiting: int
    pictures_lost: int
    pictures_skipped: int
    verdicts_lost: int
    log_unsafe: bool
    """A kill of decide would cost verdicts that are given already."""
    records_waiting: int
    records_lost: int


class LineState(msgspec.Struct, frozen=True):
    """The state of a line. Ages count from `taken_ns`."""

    taken_ns: int
    """Monotonic clock."""
    started_s: float
    """Seconds since 1970."""
    version: str
    config: str
    recipe: str
    engine: str
    """The config's engine; `worker` has the one in use."""
    deadline_ms: float
    out: str
    cameras: dict[str, CameraState]
    frames: tuple[FrameCount, ...]
    stages: dict[str, HistogramState]
    batches: HistogramState
    worker: WorkerState
    refused: int
    """Messages that decide refused."""
    refused_s: float | None
    """Age of the last refused message; None when none was refused."""
    foreign_recipes: dict[str, str]
    """Sender → its recipe, for processes whose recipe differs from this line's."""
    sinks: SinkState
    gate: GateState | None


def findings(state: LineState | None, now_ns: int) -> list[str]:
    """What is wrong, one readable line each; empty for a healthy line. `now_ns` is the monotonic clock."""
    if state is None:
        return ["decide is starting"]
    age_s = (now_ns - state.taken_ns) / 1e9
    if age_s > STALE_S:
        return [f"decide has not moved for {age_s:.1f} s: it hangs, see its log and restart it"]
    found = []
    for name, camera in state.cameras.items():
        found += _camera_findings(name, camera)
    waited_s = state.worker.unanswered_s
    if waited_s is not None and waited_s > max(WORKER_S, 2 * state.deadline_ms / 1000):
        found.append(f"worker: frames are without an answer for {waited_s:.1f} s: see its log and restart it")
    if state.refused_s is not None and state.refused_s < REFUSED_S:
        found.append(
            f"decide: {state.refused} messages refused, the last {state.refused_s:.0f} s ago: frames may lack a "
            "verdict; see its log, and run one version in all stages"
        )
    found += [
        f"{sender} goes by recipe {recipe}, decide by {state.recipe}: no frame is inspected; restart every stage"
        for sender, recipe in state.foreign_recipes.items()
    ]
    if state.gate is not None and not state.gate.taking:
        found.append(f"gate: takes no verdicts, {state.gate.missed} missed: see to the PLC and its network")
    if state.sinks.log_unsafe:
        found.append(
            f"log: a kill of decide would lose verdicts: free some space at {state.out} and in the links folder"
        )
    if state.sinks.verdicts_lost:
        found.append(f"records: {state.sinks.verdicts_lost} verdicts lost: free some space at {state.out}")
    return found


def _camera_findings(name: str, camera: CameraState) -> list[str]:
    found = []
    if camera.captured != camera.verdicts + camera.owed:
        found.append(
            f"camera {name}: the ledger does not balance: captured {camera.captured}, but {camera.verdicts} "
            f"verdicts and {camera.owed} owed: do not rely on this line, keep its log"
        )
    if camera.ended:
        found.append(f"camera {name}: its ingest has ended: nobody looks at its side of the strip")
    elif camera.silent:
        since = "never" if camera.heard_s is None else f"not for {camera.heard_s:.1f} s"
        found.append(f"camera {name}: its ingest was {since} heard of: see its log and restart it")
    elif camera.newest_uninspected > max(UNSEEN_FRAMES, UNSEEN_SHARE * camera.newest) or (
        camera.newest_uninspected == camera.newest >= UNSEEN_ALL
    ):
        found.append(
            f"camera {name}: {camera.newest_uninspected} of its newest {camera.newest} frames were not inspected: "
            "the reasons stand below"
        )
    return found
