"""Show the state of the running line in one table; exit code 0 if it is healthy, else 1."""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from inspector.commands.limits import learned_limits, limits_text
from inspector.commands.options import add_config, add_json, config_path, seconds
from inspector.commands.units import unit_findings
from inspector.config.line import LineConfig, load_config
from inspector.config.recipe import LoadedRecipe, load_recipe
from inspector.errors import InputError, InspectorError, WorkError
from inspector.monitoring.client import Status, ask, is_starting
from inspector.monitoring.state import CameraState, HistogramState, LineState
from inspector.monitoring.strip import StripState
from inspector.numbers import thousands
from inspector.results import CONFIG_NAME

EXAMPLE: Final = "example: inspector status --config line.toml"

UNANSWERED_S: Final = 1.0
"""Shortest wait for a worker's answer that is reported, seconds; a healthy worker needs less."""

LOOK_AGAIN_S: Final = 0.3

HEALTHY, STARTING, NOT_HEALTHY = "healthy", "starting", "NOT HEALTHY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_config(parser, installed=True)
    parser.add_argument(
        "--wait", type=seconds, default=0.0, metavar="S", help="ask again for up to S seconds until it is healthy"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the state of the config's line; returns the exit code. Raises InspectorError."""
    return status(config_path(arguments), wait_s=arguments.wait, as_json=arguments.json)


def status(path: Path, *, wait_s: float = 0.0, as_json: bool) -> int:
    """Ask the line of this config for its state; returns 0 if it is healthy, else 1. Raises InspectorError.

    Asks again for up to `wait_s` until the line is healthy.
    """
    config = load_config(path)
    if config.line.health is None:
        raise InputError(f"{path}: has no [health] table: add it with a port, and restart the line")
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
    limits = _limits(config.line, answer.line)
    if as_json:
        print(json.dumps(json.loads(raw) | {"picture_limits": limits}, ensure_ascii=False))
    else:
        recipe = _recipe(config.line, answer.line)
        shown = {camera: limits_text(each, recipe) for camera, each in limits.items()}
        print("\n".join(table(answer, unit_findings(), shown)))
    return 0 if answer.healthy else 1


def _limits(line: LineConfig, state: LineState | None) -> dict[str, dict[str, float] | None]:
    """Return each camera's limits of fit pictures; a line of `inspector run` has its own links folder."""
    if state is None:
        return {}
    try:
        links = Path(json.loads((Path(state.out) / CONFIG_NAME).read_bytes())["links"])
    except (OSError, ValueError, KeyError):  # a service, which writes no such file
        links = line.links
    return learned_limits(links, state.cameras, state.recipe)


def _recipe(line: LineConfig, state: LineState | None) -> LoadedRecipe | None:
    """Return the line's recipe; None if the file has changed since."""
    try:
        recipe = load_recipe(line.recipe)
    except InspectorError:
        return None
    return recipe if state is not None and recipe.identity == state.recipe else None


def stands(answer: Status) -> str:
    """Return the line's state in one word."""
    if answer.healthy:
        return HEALTHY
    return STARTING if is_starting(answer) else NOT_HEALTHY


def table(answer: Status, units: list[str], limits: Mapping[str, str]) -> list[str]:
    """Return the lines of the table.

    `units` are findings about systemd's units; `limits` describes each camera's limits of fit pictures.
    """
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
    lines += [f"picture  {camera}: {text}" for camera, text in limits.items()]
    if line.gate is not None:
        gate = line.gate
        faults = ", ".join(gate.faults) or "no fault"
        lines.append(
            f"gate     {'takes verdicts' if gate.taking else 'TAKES NO VERDICTS'}, {faults}; "
            f"taken {thousands(gate.taken)}, missed {thousands(gate.missed)}, late {thousands(gate.late)}, "
            f"without position {thousands(gate.unplaced)}, "
            f"longest wait {gate.longest_ms:.1f} ms"
        )
    if line.strip is not None:
        lines += _strip(line.strip)
    sinks = line.sinks
    free = "?" if answer.disk_free_bytes is None else f"{answer.disk_free_bytes / 1e9:.1f} GB"
    lines.append(
        f"disk     {free} free at {line.out}; not written: {thousands(sinks.verdicts_lost)} verdicts, "
        f"{thousands(sinks.pictures_lost)} pictures"
    )
    if sinks.records_waiting or sinks.records_lost:
        lines.append(
            f"records  {thousands(sinks.records_waiting)} wait for the database, "
            f"{thousands(sinks.records_lost)} did not reach it"
        )
    if line.refused:
        lines.append(f"refused  {thousands(line.refused)} messages: see the log of decide")
    return lines


def _strip(strip: StripState) -> list[str]:
    speed = "" if strip.speed_mm_s is None else f", {strip.speed_mm_s / 1000:.2f} m/s"
    lines = [f"strip    {strip.position_mm / 1000:.3f} m{speed}, {strip.motion}; {strip.source}: {_source(strip)}"]
    if strip.coil is None:
        lines.append("coil     none on the line")
    else:
        plan = strip.plan or "default"
        way = f"{(strip.coil_mm or 0.0) / 1000:.1f} m"
        lines.append(f"coil     {strip.coil}, {way} from its head, plan {plan} ({strip.plan_why})")
    if strip.level2 is not None:
        stands = "connected" if strip.level2_connected else "NOT CONNECTED"
        lines.append(f"level 2  {strip.level2}: {stands}; {thousands(strip.results_waiting)} results wait")
    return lines + [f"rolls    {text}" for text in strip.roll_marks]


def _source(strip: StripState) -> str:
    if strip.source_answers is None:
        return "no encoder"
    age = "no reading yet" if strip.source_age_s is None else f"newest reading {strip.source_age_s:.2f} s old"
    return f"{'answers' if strip.source_answers else 'DOES NOT ANSWER'}, {age}"


def _other_engine(line: LineState) -> str:
    used = line.worker.engine
    return f"   (the worker uses {used})" if used and used != line.engine else ""


def _reasons(line: LineState) -> list[str]:
    """Reasons of rejected and uninspected frames, the most frequent first."""
    told = sorted((each for each in line.frames if each.reason), key=lambda each: -each.count)
    rows = [[f"{each.decision} {each.reason}", thousands(each.count), each.camera] for each in told]
    return [*_columns(rows), ""] if rows else []


def _worker(line: LineState) -> str:
    worker = line.worker
    waited_s = worker.unanswered_s
    waited = "answers" if waited_s is None or waited_s < UNANSWERED_S else f"NO ANSWER for {waited_s:.1f} s"
    batches = sum(line.batches.counts)
    mean = f", {line.batches.total / batches:.1f} frames a batch" if batches else ""
    return f"{waited}, {thousands(worker.waiting)} waiting{mean}; restarts: {max(0, worker.starts - 1)}"


def _camera_rows(cameras: dict[str, CameraState]) -> list[list[str]]:
    head = "camera frames/s captured accepted rejected uninspected pending late shed starts"
    rows = [[*head.split(), "last frame"]]
    for name, camera in cameras.items():
        last = (
            "none" if camera.last_verdict_s is None else f"{camera.last_frame}, {camera.last_verdict_s:.1f} s ago"
        )
        counts = (
            camera.captured, camera.accepted, camera.rejected, camera.uninspected, camera.pending, camera.late,
            camera.shed, camera.begins,
        )  # fmt: skip
        rows.append([name, f"{camera.frames_per_second:.1f}", *map(thousands, counts), last])
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
