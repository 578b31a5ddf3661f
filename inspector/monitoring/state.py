"""Snapshot of a line's state, and the faults found in it as text."""

from typing import Final

import msgspec

from inspector.monitoring.strip import StripState, strip_findings
from inspector.numbers import thousands
from inspector.values import PICTURE_FIGURES

STALE_S: Final = 3.0
"""Age from which a snapshot means that decide hangs, seconds; decide takes five a second."""

WORKER_S: Final = 2.0
"""How long announced frames may go without any result, at least two deadlines, before the worker is a finding."""


REFUSED_S: Final = 60.0
"""How long a refused message stays a finding, seconds."""

WRONG_RATE_S: Final = 60.0
"""How long a wrong frame rate stays a finding, seconds: a camera may lose frames now and then only."""

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
    pending: int
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
    stated_per_second: float | None = None
    """Stated frame rate of a free-running camera; None for every other source."""
    measured_per_second: float | None = None
    """Measured over five seconds."""
    wrong_rate_s: float | None = None
    """Age of the last five seconds in which the rate was not the stated one."""
    frames_missing: int = 0
    """Frames that the camera should have given by its stated rate, and that no source reported as lost."""
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
    """Engine of the newest message."""
    heard_s: float | None = None
    """Age of the last message from a worker; None before the first."""


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
    newest: int = 0
    """Verdicts of the last few seconds."""
    newest_late: int = 0
    """Those of them that were late or missed."""
    unplaced: int = 0
    """Verdicts that the gate got as reject because their position was unknown."""


class SinkState(msgspec.Struct, frozen=True):
    """Backlog and losses of the sinks."""

    pictures_waiting: int
    pictures_lost: int
    pictures_skipped: int
    verdicts_lost: int
    log_unsafe: bool
    """Whether killing decide now would lose verdicts that were already given."""
    records_waiting: int
    records_lost: int


class DriftState(msgspec.Struct, frozen=True):
    """One figure of a camera against its commissioning window."""

    camera: str
    figure: str
    alarming: bool
    change: float | None
    """Of the newest blocks: 0.1 is 10 % more than in the window; None while it is learned."""
    limit: float | None
    """Largest change without an alarm; None while it is learned."""
    learned: float
    """Share of the window that is over."""


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
    drift: tuple[DriftState, ...] = ()
    has_strip: bool = False
    """Whether the line has a strip process."""
    strip: StripState | None = None
    """What that process said last; None before it has said anything."""


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
    found += _worker_findings(state.worker, state.deadline_ms)
    if state.refused_s is not None and state.refused_s < REFUSED_S:
        found.append(
            f"decide: {thousands(state.refused)} messages refused, the last {state.refused_s:.0f} s ago: frames "
            "may lack a verdict; see its log, and run one version in all stages"
        )
    found += [
        f"{sender} uses recipe {recipe}, decide uses {state.recipe}: no frame is inspected; restart every stage"
        for sender, recipe in state.foreign_recipes.items()
    ]
    if state.gate is not None:
        found += _gate_findings(state.gate)
    found += [_drift_finding(each) for each in state.drift if each.alarming]
    if state.has_strip:
        found += strip_findings(state.strip, now_ns)
    if state.sinks.log_unsafe:
        found.append(
            f"log: verdicts reach the disk only: free some space at {state.out} and in the links folder; the gate "
            "waits for the disk"
        )
    if state.sinks.verdicts_lost:
        found.append(f"log: {thousands(state.sinks.verdicts_lost)} verdicts lost: free some space at {state.out}")
    if state.sinks.records_lost:
        found.append(
            f"records: {thousands(state.sinks.records_lost)} verdicts are not in the database: see decide's log, "
            "then `inspector records import`"
        )
    return found


def _camera_findings(name: str, camera: CameraState) -> list[str]:
    found = []
    if camera.captured != camera.verdicts + camera.pending:
        found.append(
            f"camera {name}: the ledger does not balance: captured {thousands(camera.captured)}, but "
            f"{thousands(camera.verdicts)} verdicts and {thousands(camera.pending)} pending: do not rely on this "
            "line, keep its log"
        )
    if camera.ended:
        found.append(f"camera {name}: its ingest has ended: its side of the strip is not inspected: restart it")
    elif camera.silent:
        since = "sent nothing yet" if camera.heard_s is None else f"sent nothing for {camera.heard_s:.1f} s"
        found.append(f"camera {name}: its ingest has {since}: see its log and restart it")
    elif _too_many(camera.newest_uninspected, camera.newest):
        found.append(
            f"camera {name}: {camera.newest_uninspected} of its newest {camera.newest} frames were not inspected: "
            "see the reasons of uninspected frames"
        )
    if camera.wrong_rate_s is not None and camera.wrong_rate_s < WRONG_RATE_S:
        found.append(
            f"camera {name}: gives {camera.measured_per_second or 0:.1f} frames/s, its config says "
            f"{camera.stated_per_second:g}; {thousands(camera.frames_missing)} missing so far: strip positions "
            "are wrong; set frames_per_second, or check the camera and its network"
        )
    return found


def _drift_finding(drift: DriftState) -> str:
    """What has drifted, and where to look."""
    change, limit = drift.change or 0.0, drift.limit or 0.0
    way = "above" if change > 0 else "below"
    picture = drift.figure in PICTURE_FIGURES
    advice = "check lamp, lens and exposure" if picture else "look at the newest rejects; is it other steel?"
    return (
        f"camera {drift.camera}: {drift.figure} is {abs(change):.1%} {way} its commissioning window (limit "
        f"{limit:.1%}): {advice}"
    )


def _worker_findings(worker: WorkerState, deadline_ms: float) -> list[str]:
    longest_s = max(WORKER_S, 2 * deadline_ms / 1000)
    if worker.unanswered_s is not None and worker.unanswered_s > longest_s:
        return [f"worker: no result for {worker.unanswered_s:.1f} s: see its log and restart it"]
    if worker.heard_s is None:
        return ["worker: none has reported yet: start it, or see its log"]
    if worker.heard_s > longest_s:
        return [f"worker: none has reported for {worker.heard_s:.1f} s: see its log and restart it"]
    return []


def _gate_findings(gate: GateState) -> list[str]:
    if not gate.taking:
        return [f"gate: takes no verdicts, {thousands(gate.missed)} missed: check the PLC and its network"]
    if _too_many(gate.newest_late, gate.newest):
        late = f"{gate.newest_late} of the newest {gate.newest} verdicts were late or missed"
        return [f"gate: {late}, so the PLC rejects the steel: see the stages' times below, or raise late_ms"]
    return []


def _too_many(bad: int, newest: int) -> bool:
    return bad > max(UNSEEN_FRAMES, UNSEEN_SHARE * newest) or bad == newest >= UNSEEN_ALL
