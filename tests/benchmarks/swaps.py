"""Another engine for a line at half load, twenty times in a row: what is lost, late or slow.

python -m tests.benchmarks.swaps
"""

import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from inspector.commands.bench import engine_alone, frames_in_memory
from inspector.config.line import load_config
from inspector.config.sources import SimulatorSettings
from inspector.engine.manifest import open_folder, read_manifest, write_manifest
from inspector.machine import machine

DEMO: Final = Path(__file__).parents[2] / "configs" / "demo"
SWAPS: Final = 20
ALONE_S: Final = 3.0
DISTINCT: Final = 64


def main(swaps: int = SWAPS) -> None:
    """A line on the demo engine, and a twin of that engine to swap it with, to and fro."""
    with tempfile.TemporaryDirectory(prefix="swaps-") as name:
        print(_table(*_measure(Path(name), swaps), swaps))


def _measure(folder: Path, swaps: int) -> tuple[float, list[dict[str, float]], dict[str, Any]]:
    engines = [folder / "engine", folder / "twin"]
    for engine in engines:
        shutil.copytree(DEMO / "engine", engine)
    # The same files under another name: another identity, the same answers.
    write_manifest(engines[1], read_manifest(engines[1]).model_copy(update={"name": "twin"}))
    source = SimulatorSettings(type="simulator", defective_share=0.05, distinct=DISTINCT)
    alone = engine_alone(
        load_config(DEMO / "line.toml").line, open_folder(engines[0]), frames_in_memory(source), ALONE_S
    )
    rate = alone.frames_per_second / 2
    config, out = folder / "line.toml", folder / "out"
    config.write_text(
        f'name = "swaps"\nengine = "engine"\nrecipe = "{DEMO / "recipe.toml"}"\nlinks = "{folder / "links"}"\n'
        f'[cameras.top]\ntype = "simulator"\ndistinct = {DISTINCT}\nframes_per_second = {rate:.1f}\n'
    )
    command = [sys.executable, "-m", "inspector"]
    run = subprocess.Popen([*command, "run", "--config", str(config), "--out", str(out)], stderr=subprocess.PIPE)
    try:
        _wait_for_verdicts(out, 2 * rate)
        done = []
        for turn in range(swaps):
            engine = engines[(turn + 1) % 2]
            swap = [*command, "swap", str(engine), "--config", str(config), "--json"]
            done.append(json.loads(subprocess.run(swap, check=True, stdout=subprocess.PIPE).stdout))
            time.sleep(1)
    finally:
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate()
        sys.stderr.write(stderr.decode())
    return rate, done, json.loads((out / "summary.json").read_text())


def _wait_for_verdicts(out: Path, count: float) -> None:
    until_s = time.monotonic() + 60
    while not (out / "verdicts.jsonl").exists() or (out / "verdicts.jsonl").read_bytes().count(b"\n") < count:
        if time.monotonic() > until_s:
            raise SystemExit("the line does not start: run `make demo` first")
        time.sleep(0.1)


def _table(rate: float, done: list[dict[str, float]], summary: dict[str, Any], swaps: int) -> str:
    ready, drained = ([each[key] for each in done] for key in ("ready_s", "drained_s"))
    latency = summary["latency_ms"]
    stopping = {"stopped before a result came", "stopped before the frame was inspected"}
    reasons = summary["uninspected_reasons"]
    lost = {reason: count for reason, count in reasons.items() if reason not in stopping}
    rows = {
        "machine": machine(),
        "line": f"{rate:.0f} frames/s of 256×1600, half of what the demo engine takes alone",
        "swaps": f"{len(done)} of {swaps} done",
        "new worker ready": f"median {statistics.median(ready):.2f} s, longest {max(ready):.2f} s",
        "old worker drained": f"median {statistics.median(drained):.2f} s, longest {max(drained):.2f} s",
        "frames": (
            f"{summary['captured']} captured = {summary['accepted']} accepted + {summary['rejected']} rejected "
            f"+ {summary['uninspected']} uninspected ({sum(reasons.values()) - sum(lost.values())} by the end)"
        ),
        "uninspected by a swap": f"{sum(lost.values())} {lost or ''}".rstrip(),
        "late": str(summary["late"]),
        "capture to verdict": f"p50 {latency['p50']:.1f}, p99 {latency['p99']:.1f}, max {latency['max']:.1f} ms",
    }
    return "\n".join(f"{what:22s} {found}" for what, found in rows.items())


if __name__ == "__main__":
    main()
