"""/metrics in Prometheus' text format, built from the newest snapshot at each request."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from inspector.monitoring.state import GateState, HistogramState, LineState, findings
from inspector.monitoring.strip import STRIP_S, StripState
from inspector.values import PICTURE_BLOCK, Motion

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

GATE_FAULTS: Final = ("missed", "camera_silent", "stopped", "refused")


def exposition(state: LineState | None, now_ns: int, disk_free_bytes: int | None) -> bytes:
    """All metrics as text."""
    registry = CollectorRegistry()
    registry.register(_LineCollector(state, now_ns, disk_free_bytes))
    return generate_latest(registry)


class _LineCollector(Collector):
    def __init__(self, state: LineState | None, now_ns: int, disk_free_bytes: int | None) -> None:
        self._state, self._now_ns, self._disk_free_bytes = state, now_ns, disk_free_bytes

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; most need a snapshot from decide."""
        healthy = not findings(self._state, self._now_ns)
        yield _gauge("healthy", "1 while /healthz answers 200", float(healthy))
        if self._disk_free_bytes is not None:
            yield _gauge("disk_free_bytes", "Free space where the results go", self._disk_free_bytes)
        if self._state is None:
            return
        age_s = (self._now_ns - self._state.taken_ns) / 1e9
        yield _gauge("decide_age_seconds", "Since decide has last moved", age_s)
        yield from _identity(self._state)
        yield from _cameras(self._state)
        yield from _stages(self._state)
        yield from _worker(self._state)
        yield from _sinks(self._state)
        yield from _drift(self._state)
        if self._state.gate is not None:
            yield from _gate(self._state.gate)
        if self._state.has_strip:
            yield from _strip(self._state.strip, self._now_ns)


def _identity(state: LineState) -> Iterator[Metric]:
    names = {"config": state.config, "recipe": state.recipe, "engine": state.engine, "version": state.version}
    yield InfoMetricFamily("inspector", "Config, recipe, engine and version", value=names)
    yield _gauge("start_time_seconds", "When decide started, since 1970", state.started_s)
    yield _gauge("deadline_seconds", "Longest time from capture to verdict", state.deadline_ms / 1000)


def _cameras(state: LineState) -> Iterator[Metric]:
    frames = _counter("frames", "Verdicts", "camera", "decision", "reason")
    for each in state.frames:
        frames.add_metric([each.camera, each.decision, each.reason], each.count)
    yield frames
    captured = _counter("captured", "Frames announced by ingest", "camera")
    pending = GaugeMetricFamily(
        "inspector_pending_frames", "Announced frames without a verdict", labels=["camera"]
    )
    unbalanced = GaugeMetricFamily(
        "inspector_ledger_difference_frames",
        "Captured minus verdicts and pending; anything but 0 is an error",
        labels=["camera"],
    )
    late = _counter("late_results", "Results that came after their frame's verdict", "camera")
    begins = _counter("ingest_starts", "How often a camera's ingest has started", "camera")
    silent = GaugeMetricFamily("inspector_camera_silent", "1: its ingest sends nothing", labels=["camera"])
    last = GaugeMetricFamily("inspector_last_verdict_age_seconds", "Since the newest verdict", labels=["camera"])
    missing = _counter("missing_frames", "Frames too few for the camera's stated rate", "camera")
    for name, camera in state.cameras.items():
        missing.add_metric([name], camera.frames_missing)
        captured.add_metric([name], camera.captured)
        pending.add_metric([name], camera.pending)
        unbalanced.add_metric([name], camera.captured - camera.verdicts - camera.pending)
        late.add_metric([name], camera.late)
        begins.add_metric([name], camera.begins)
        silent.add_metric([name], float(camera.silent))
        if camera.last_verdict_s is not None:
            last.add_metric([name], camera.last_verdict_s)
    yield from (captured, pending, unbalanced, late, begins, silent, last, missing)
    yield from _readings(state)


def _readings(state: LineState) -> Iterator[Metric]:
    temperature = GaugeMetricFamily(
        "inspector_camera_temperature_celsius", "As the camera measures it", labels=["camera"]
    )
    stream = _counter("camera_stream", "What the camera's library counts since ingest started", "camera", "what")
    for name, camera in state.cameras.items():
        for what, value in camera.readings.items():
            if what == "temperature_celsius":
                temperature.add_metric([name], value)
            elif not what.startswith(PICTURE_BLOCK):
                stream.add_metric([name, what], value)
    yield from (temperature, stream)


def _stages(state: LineState) -> Iterator[Metric]:
    latency = HistogramMetricFamily("inspector_stage_seconds", "Time of a frame in each stage", labels=["stage"])
    for stage, histogram in state.stages.items():
        latency.add_metric([stage], *_classes(histogram, 1000.0))
    yield latency
    batches = HistogramMetricFamily("inspector_batch_frames", "Frames in a batch of the worker")
    batches.add_metric([], *_classes(state.batches, 1.0))
    yield batches


def _worker(state: LineState) -> Iterator[Metric]:
    worker = state.worker
    starts = _counter("worker_starts", "Different workers seen")
    starts.add_metric([], worker.starts)
    yield starts
    yield _gauge("worker_waiting_frames", "Frames queued in the worker at its newest message", worker.waiting)
    yield _gauge(
        "worker_unanswered_seconds", "How long frames have waited without any result", worker.unanswered_s or 0.0
    )
    if worker.heard_s is not None:
        yield _gauge("worker_heard_age_seconds", "Since the last message from a worker", worker.heard_s)
    running = GaugeMetricFamily(
        "inspector_worker_engine", "1 for the engine of the newest message", labels=["engine"]
    )
    if worker.engine:
        running.add_metric([worker.engine], 1.0)
    yield running
    refused = _counter("refused_messages", "Messages that did not decode")
    refused.add_metric([], state.refused)
    yield refused


def _sinks(state: LineState) -> Iterator[Metric]:
    sinks = state.sinks
    yield _gauge("pictures_waiting", "Rejects whose pictures are not written yet", sinks.pictures_waiting)
    lost = _counter("pictures_lost", "Pictures that were not kept", "why")
    lost.add_metric(["disk"], sinks.pictures_lost)
    lost.add_metric(["slow_or_limit"], sinks.pictures_skipped)
    yield lost
    verdicts = _counter("verdicts_lost", "Verdicts that could not be written to the log")
    verdicts.add_metric([], sinks.verdicts_lost)
    yield verdicts
    yield _gauge("records_waiting", "Verdicts that are not in the database yet", sinks.records_waiting)
    records = _counter("records_lost", "Verdicts in the log that the database did not take")
    records.add_metric([], sinks.records_lost)
    yield records


def _drift(state: LineState) -> Iterator[Metric]:
    labels = ["camera", "figure"]
    change = GaugeMetricFamily(
        "inspector_drift_ratio", "Change against the commissioning window: 0.1 is 10 % more", labels=labels
    )
    limit = GaugeMetricFamily("inspector_drift_limit_ratio", "Largest change without an alarm", labels=labels)
    alarm = GaugeMetricFamily("inspector_drift_alarm", "1 while a figure has drifted", labels=labels)
    learned = GaugeMetricFamily("inspector_drift_learned_ratio", "Share of the window that is over", labels=labels)
    for each in state.drift:
        names = [each.camera, each.figure]
        alarm.add_metric(names, float(each.alarming))
        learned.add_metric(names, each.learned)
        if each.change is not None:
            change.add_metric(names, each.change)
        if each.limit is not None:
            limit.add_metric(names, each.limit)
    yield from (change, limit, alarm, learned)


def _gate(gate: GateState) -> Iterator[Metric]:
    yield _gauge("gate_taking", "1 while the gate takes verdicts", float(gate.taking))
    faults = GaugeMetricFamily("inspector_gate_fault", "1 while this fault is set at the gate", labels=["fault"])
    for fault in GATE_FAULTS:
        faults.add_metric([fault], float(fault in gate.faults))
    yield faults
    yield _gauge("gate_waiting", "Verdicts that wait to be sent", gate.waiting)
    verdicts = _counter("gate_verdicts", "Verdicts sent to the gate", "outcome")
    verdicts.add_metric(["taken"], gate.taken)
    verdicts.add_metric(["missed"], gate.missed)
    yield verdicts
    late = _counter("gate_late", "Verdicts marked late at the gate")
    late.add_metric([], gate.late)
    yield late
    unplaced = _counter("gate_unplaced", "Verdicts rejected at the gate because their position was unknown")
    unplaced.add_metric([], gate.unplaced)
    yield unplaced
    breaks = _counter("gate_breaks", "How often the gate has stopped taking")
    breaks.add_metric([], gate.breaks)
    yield breaks
    waits = HistogramMetricFamily(
        "inspector_gate_seconds", "How long the oldest verdict of each write waited for the gate"
    )
    waits.add_metric([], *_classes(gate.waits, 1000.0))
    yield waits


def _strip(strip: StripState | None, now_ns: int) -> Iterator[Metric]:
    fresh = strip is not None and (now_ns - strip.taken_ns) / 1e9 <= STRIP_S
    yield _gauge("strip_up", "1 while the strip process reports", float(fresh))
    if strip is None:
        return
    yield _gauge(
        "strip_report_age_seconds", "Since the strip process has reported", (now_ns - strip.taken_ns) / 1e9
    )
    yield _gauge("strip_position_metres", "Where the strip is", strip.position_mm / 1000)
    if strip.speed_mm_s is not None:
        yield _gauge("strip_speed_metres_per_second", "Negative in reverse travel", strip.speed_mm_s / 1000)
    motions = GaugeMetricFamily("inspector_strip_motion", "1 for what the strip does", labels=["motion"])
    for motion in Motion:
        motions.add_metric([motion.value], float(strip.motion == motion.value))
    yield motions
    if strip.source_answers is not None:
        yield _gauge("strip_source_answers", "1 while the position source answers", float(strip.source_answers))
    if strip.source_age_s is not None:
        yield _gauge(
            "strip_source_age_seconds", "Age of the newest reading at the last report", strip.source_age_s
        )
    yield InfoMetricFamily(
        "inspector_strip_coil",
        "The coil on the line and its plan",
        value={"coil": strip.coil or "", "plan": strip.plan},
    )
    if strip.coil_mm is not None:
        yield _gauge("strip_coil_metres", "Way from the coil's head", strip.coil_mm / 1000)
    yield _gauge("strip_roll_marks", "Roll-mark alarms that stand", len(strip.roll_marks))
    if strip.level2 is not None:
        yield _gauge("level2_connected", "1 while Level 2 is connected", float(strip.level2_connected))
        yield _gauge("level2_results_waiting", "Results that Level 2 does not have", strip.results_waiting)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"inspector_{name}", what, value=value)


def _counter(name: str, what: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"inspector_{name}", what, labels=labels)


def _classes(histogram: HistogramState, per_unit: float) -> tuple[list[tuple[str, float]], float]:
    """Cumulative buckets and sum, as Prometheus requires; in seconds when `per_unit` is 1000."""
    ends = [f"{end / per_unit:g}" for end in histogram.ends] + ["+Inf"]
    return list(zip(ends, accumulate(histogram.counts), strict=True)), histogram.total / per_unit
