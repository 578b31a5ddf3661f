"""Resident memory of each stage over 50,000 frames of 256×1600, with an engine that answers at once.

python -m tests.benchmarks.memory [FRAMES]
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from inspector.backends.instant import write_engine
from inspector.machine import machine

FRAMES = 50_000
SETTLED_SHARE = 0.1
"""Growth counts from here on: buffers and caches have found their size."""

CONFIG = """
name = "memory"
engine = "engine"
recipe = "recipe.toml"
[cameras.top]
type = "simulator"
distinct = 64
frames = {frames}
[sinks]
pictures = false
"""


def main(frames: int = FRAMES) -> None:
    """Run a line, and read /proc while it runs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_engine(folder / "engine")
        (folder / "recipe.toml").write_text('name="m"\nmm_per_px_across=1\nmm_per_px_along=1\n[classes.bright]\n')
        (folder / "line.toml").write_text(CONFIG.format(frames=frames))
        out = folder / "out"
        command = [sys.executable, "-m", "inspector", "run", "--config", folder / "line.toml", "--out", out]
        with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            samples = _sample(process, out / "verdicts.jsonl", frames)
        print(f"{'stage':8s} {'settled':>9s} {'highest':>9s} {'growth':>9s}   MB resident")
        for stage, values in samples.items():
            settled = [mb for done, mb in values if done >= SETTLED_SHARE * frames]
            first = sum(settled[:5]) / len(settled[:5])
            last = sum(settled[-5:]) / len(settled[-5:])
            highest = max(mb for _, mb in values)
            print(f"{stage:8s} {first:9.1f} {highest:9.1f} {last - first:+9.1f}")
        print(f"{frames} frames, {machine()}")


def _sample(process: "subprocess.Popen[bytes]", log: Path, frames: int) -> dict[str, list[tuple[float, float]]]:
    """Stage → (verdicts so far, MB resident), five times a second until the line has ended."""
    samples: dict[str, list[tuple[float, float]]] = {}
    done = 0.0
    bytes_each = 0.0
    while process.poll() is None:
        time.sleep(0.2)
        if log.exists() and not bytes_each:
            head = log.read_bytes()[:100_000].splitlines()
            bytes_each = sum(map(len, head)) / len(head) + 1 if len(head) > 100 else 0.0
        done = log.stat().st_size / bytes_each if bytes_each else 0.0
        for child in psutil.Process(process.pid).children():
            try:
                stage, mb = child.cmdline()[3], child.memory_info().rss / 1e6
            except (psutil.NoSuchProcess, psutil.ZombieProcess, IndexError):
                continue
            samples.setdefault(stage, []).append((min(done, frames), mb))
    return samples


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
