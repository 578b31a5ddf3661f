"""What records cost: handing a verdict over, writing it, and the latency of a line at half load with and without.

python -m tests.benchmarks.records
"""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from inspector.backends.instant import write_engine
from inspector.commands.session import run_session
from inspector.config.line import load_config
from inspector.machine import machine
from inspector.sinks.records.rows import Entry
from inspector.sinks.records.session import Session
from inspector.values import Verdict
from tests.support.recorded import RunOnRecord, defect, verdict

VERDICTS = 20_000
DEFECTIVE_EVERY = 20
"""Every twentieth verdict has a defect, as on the demo strip."""
TURN_VERDICTS = 8
"""Verdicts of one turn of decide's loop, a batch."""
BATCH_VERDICTS = 200

LINE = """
name = "records"
engine = "engine"
recipe = "recipe.toml"
[cameras.top]
type = "simulator"
distinct = 64
frames = {frames}
frames_per_second = {rate}
[sinks]
out = "runs"
pictures = false
[records]
enabled = {enabled}
"""
FRAMES, RATE, ROUNDS = 5_000, 500, 3
"""Frames per run, frames per second, and runs with and without records, in turns."""


def main() -> None:
    """Hand over, write, and run."""
    with tempfile.TemporaryDirectory() as name:
        _hand_over(Path(name) / "hand-over")
        _write(Path(name) / "write")
        _line(Path(name))
    print(machine())


def _verdicts() -> list[Verdict]:
    return [verdict(n, *([defect(f"top-{n}-1")] if n % DEFECTIVE_EVERY == 0 else [])) for n in range(VERDICTS)]


def _hand_over(folder: Path) -> None:
    """As decide does: verdict by verdict, flushed once a turn, while the writer writes."""
    run, verdicts = RunOnRecord(folder), _verdicts()
    spent_ns = []
    for start in range(0, VERDICTS, TURN_VERDICTS):
        turn = verdicts[start : start + TURN_VERDICTS]
        begun_ns = time.perf_counter_ns()
        for each in turn:
            run.records.write(each)
        run.records.flush()
        spent_ns.append((time.perf_counter_ns() - begun_ns) / len(turn))
        time.sleep(TURN_VERDICTS / (4 * RATE))
    run.settle()
    run.close()
    p99_ns = statistics.quantiles(spent_ns, n=100)[98]
    print(
        f"handing over: {statistics.median(spent_ns) / 1e3:.2f} µs a verdict in the median, mean "
        f"{statistics.mean(spent_ns) / 1e3:.2f}, p99 {p99_ns / 1e3:.2f}, {run.records.lost} lost"
    )


def _write(folder: Path) -> None:
    run = RunOnRecord(folder)
    run.close()
    entries = [Entry(each, 0, {one.id: 0 for one in each.defects}) for each in _verdicts()]
    with run.database.writing() as connection:
        session = Session(connection, run.run)
        begun_s, cpu_s = time.perf_counter(), time.process_time()
        for start in range(0, VERDICTS, BATCH_VERDICTS):
            session.write(entries[start : start + BATCH_VERDICTS])
        seconds, cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
    print(f"writing: {VERDICTS / seconds:.0f} verdicts/s into SQLite, {cpu_s / VERDICTS * 1e6:.1f} µs of CPU each")


def _line(folder: Path) -> None:
    write_engine(folder / "engine")
    (folder / "recipe.toml").write_text('name="r"\nmm_per_px_across=1\nmm_per_px_along=1\n[classes.bright]\n')
    summaries: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for round_ in range(ROUNDS):
        for enabled, runs in summaries.items():
            text = LINE.format(frames=FRAMES, rate=RATE, enabled=json.dumps(enabled))
            (folder / "line.toml").write_text(text)
            config = load_config(folder / "line.toml")
            out = folder / "runs" / f"{enabled}-{round_}"
            runs.append(run_session(config, config.line, out, report=False, quiet=True).summary)
    for enabled, runs in summaries.items():
        p50, p99 = (statistics.median(each["latency_ms"][p] for each in runs) for p in ("p50", "p99"))
        print(
            f"line at {RATE} frames/s, records {'on ' if enabled else 'off'}: p50 {p50:.2f} ms, p99 {p99:.2f} ms "
            f"(median of {ROUNDS} runs), {sum(each['records_lost'] for each in runs)} lost"
        )


if __name__ == "__main__":
    main()
