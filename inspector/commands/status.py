"""`inspector status`: shows the state of the running line in one table."""

import json
import time
from pathlib import Path
from typing import Final

from inspector.commands.units import unit_findings
from inspector.config.line import load_config
from inspector.errors import InputError, WorkError
from inspector.monitoring.client import Status, ask, is_starting
from inspector.monitoring.state import CameraState, HistogramState, LineState

UNANSWERED_S: Final = 1.0
"""Shortest wait for a worker's answer that is reported, seconds; a healthy worker needs less."""


LOOK_AGAIN_S: Final = 0.3

HEALTHY, STARTING, NOT_HEALTHY = "healthy", "starting", "NOT HEALTHY"


def status(config_path: Path, *, wait_s: float = 0.0, as_json: bool) -> int:
    """Ask the line of this config for its state; returns 0 if it is healthy, else 1. Raises InspectorError.

    Asks again for up to `wait_s` until the line is healthy.
    """
    config = load_config(config_path)
    if config.line.health is None:
        raise InputError(
            f"{config_path}: has no [health] table: give it one with a port, and start the line again"
        )
    until_s = time.monotonic() + wait_s
    while True:
        last = time.monotonic() >= until_s
        try:
            raw, answer = ask(config.line.health.port)
        except WorkError as error:
            if last:
                raise WorkError("; ".join([str(error), *unit_findings()])) from None
        else:
            if answer.healthy or last:
                break
        time.sleep(LOOK_AGAIN_S)
    print(
        json.dumps(json.loads(raw), ensure_ascii=False) if as_json else "\n".join(table(answer, unit_findings()))
    )
    return 0 if answer.healthy else 1


def stands(answer: Status) -> str:
    """Return the line's state in one word."""
    if answer.healthy:
        return HEALTHY
    return STARTING if is_starting(answer) else NOT_HEALTHY


def table(answer: Status, units: list[str]) -> list[str]:
    """Return the lines of the table; `units` are findings about systemd's units, empty without any."""
    lines = [stands(answer), *(f"  {finding}" for finding in [*answer.findings, *units])]
    line = answer.line
    if line is None:
        return lines
    lines += [
        "",
        f"config   {line.config}   version {line.version}",
        f"recipe   {line.recipe}",
        f"engine   {line.engine}" + _other_engine(line),
        "",
        *_columns(_camera_rows(line.cameras)),
        "",
        *_reasons(line),
        *_columns(_stage_rows(line.stages)),
        "",
        f"worker   {_worker(line)}",
    ]
    if line.gate is not None:
        gate = line.gate
        faults = ", ".join(gate.faults) or "no fault"
        lines.append(
            f"gate     {'takes verdicts' if gate.taking else 'TAKES NO VERDICTS'}, {faults}; taken {gate.taken}, "
            f"missed {gate.missed}, late {gate.late}, longest wait {gate.longest_ms:.1f} ms"
        )
    sinks = line.sinks
    free = "?" if answer.disk_free_bytes is None else f"{answer.disk_free_bytes / 1e9:.1f} GB"
    lines.append(
        f"disk     {free} free at {line.out}; not written: {sinks.verdicts_lost} verdicts, "
        f"{sinks.pictures_lost} pictures"
    )
    if sinks.records_waiting or sinks.records_lost:
        lines.append(f"records  {sinks.records_waiting} wait for the database, {sinks.records_lost} lost to it")
    if line.refused:
        lines.append(f"refused  {line.refused} messages: see the log of decide")
    return lines


def _other_engine(line: LineState) -> str:
    used = line.worker.engine
    return f"   (the worker uses {used})" if used and used != line.engine else ""


def _reasons(line: LineState) -> list[str]:
    """Reasons of rejected and uninspected frames, the most frequent first."""
    told = sorted((each for each in line.frames if each.reason), key=lambda each: -each.count)
    rows = [[f"{each.decision} {each.reason}", str(each.count), each.camera] for each in told]
    return [*_columns(rows), ""] if rows else []


def _worker(line: LineState) -> str:
    worker = line.worker
    waited_s = worker.unanswered_s
    waited = "answers" if waited_s is None or waited_s < UNANSWERED_S else f"NO ANSWER for {waited_s:.1f} s"
    batches = sum(line.batches.counts)
    mean = f", {line.batches.total / batches:.1f} frames a batch" if batches else ""
    return f"{waited}, {worker.waiting} waiting{mean}; starts seen: {worker.starts}"


def _camera_rows(cameras: dict[str, CameraState]) -> list[list[str]]:
    head = "camera frames/s captured accepted rejected uninspected owed late shed starts"
    rows = [[*head.split(), "last frame"]]
    for name, camera in cameras.items():
        last = (
            "none" if camera.last_verdict_s is None else f"{camera.last_frame}, {camera.last_verdict_s:.1f} s ago"
        )
        counts = (
            camera.captured, camera.accepted, camera.rejected, camera.uninspected, camera.owed, camera.late,
            camera.shed, camera.begins,
        )  # fmt: skip
        rows.append([name, f"{camera.frames_per_second:.1f}", *map(str, counts), last])
    return rows


def _stage_rows(stages: dict[str, HistogramState]) -> list[list[str]]:
    rows = [["stage", "mean ms", "half under", "99 % under"]]
    for stage, histogram in stages.items():
        count = sum(histogram.counts)
        if count:
            half, most = (under(histogram, percent) for percent in (50, 99))
            rows.append([stage, f"{histogram.total / count:.2f}", half, most])
    return rows


def under(histogram: HistogramState, percent: float) -> str:
    """Return the upper end of the histogram class that contains the given percentile."""
    wanted, seen = sum(histogram.counts) * percent / 100, 0
    for end, count in zip(histogram.ends, histogram.counts, strict=False):
        seen += count
        if seen >= wanted:
            return f"{end:g}"
    return f"over {histogram.ends[-1]:g}"


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
