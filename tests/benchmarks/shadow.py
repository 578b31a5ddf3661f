"""What a shadow costs the line: the same run with and without a candidate engine beside it, in turns.

python -m tests.benchmarks.shadow [ROUNDS [SECONDS]]

The line and the candidate run the demo engine. Rounds are paired, and the order of each pair changes, because a PC
with other work is never the same twice.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from inspector.engine.manifest import read_manifest
from inspector.machine import machine
from tests.support.ports import free_port

ROUNDS = 4
SECONDS = 20.0
FRAMES_PER_SECOND = 5

ENGINE = Path(__file__).parents[2] / "configs" / "demo" / "engine"
"""Built by `make demo`."""

CONFIG = """
name = "bench"
engine = "{engine}"
recipe = "recipe.toml"
deadline_ms = 5000
[cameras.top]
type = "simulator"
distinct = 30
defective_share = 0.1
frames_per_second = {pace}
frames = {frames}
[sinks]
out = "out"
[health]
port = {health}
[view]
frames_per_second = 5
"""


def write(folder: Path, engine: Path, seconds: float) -> Path:
    """A line of one simulated camera."""
    rules = "".join(f"[classes.{json.dumps(name)}]\n" for name in read_manifest(engine).classes[1:])
    scale = "mm_per_px_across = 1\nmm_per_px_along = 1\n"
    (folder / "recipe.toml").write_text(f'name = "b"\n{scale}{rules}[picture]\nchecks = false\n')
    config = folder / "line.toml"
    frames = int(seconds * FRAMES_PER_SECOND)
    config.write_text(CONFIG.format(engine=engine, pace=FRAMES_PER_SECOND, frames=frames, health=free_port()))
    return config


def run(config: Path, engine: Path, *, with_shadow: bool) -> dict[str, float]:
    """One run; its figures and those of the shadow."""
    command = [sys.executable, "-m", "inspector"]
    line = subprocess.Popen(
        [*command, "run", "--config", str(config), "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    shadow = None
    if with_shadow:
        time.sleep(3)
        shadow = subprocess.Popen(
            [*command, "shadow", str(engine), "--config", str(config), "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    summary = json.loads(line.communicate()[0])
    figures = {
        "p50_ms": summary["latency_ms"]["p50"],
        "p99_ms": summary["latency_ms"]["p99"],
        "uninspected": summary["uninspected"],
    }
    if shadow is not None:
        shadow.terminate()
        told = json.loads(shadow.communicate()[0] or "{}")
        figures |= {name: told.get(name) or 0.0 for name in ("frames", "shed", "ms_a_frame")}
    return figures


def main(rounds: int = ROUNDS, seconds: float = SECONDS) -> None:
    """Print a line for each run, and the change of the medians."""
    print(f"{machine()}; one camera of {FRAMES_PER_SECOND} frames/s, {seconds:g} s each")
    engine = ENGINE
    found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for number in range(rounds):
        for with_shadow in (False, True) if number % 2 else (True, False):
            with tempfile.TemporaryDirectory() as folder:
                figures = run(write(Path(folder), engine, seconds), engine, with_shadow=with_shadow)
            found[with_shadow].append(figures)
            told = "   ".join(f"{name} {value:.1f}" for name, value in figures.items())
            print(f"{number + 1} {'with a shadow' if with_shadow else 'without      '}   {told}", flush=True)
    for name in ("p50_ms", "p99_ms"):
        ratios = [one[name] / other[name] - 1 for one, other in zip(found[True], found[False], strict=True)]
        print(
            f"{name}: change in pairs {', '.join(f'{each:+.1%}' for each in ratios)}; "
            f"median {statistics.median(ratios):+.1%}"
        )


if __name__ == "__main__":
    main(*(kind(each) for kind, each in zip((int, float), sys.argv[1:], strict=False)))
