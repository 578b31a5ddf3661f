"""What the archive and a bus with a frozen broker cost the line: the same run without and with them, by turns.

python -m tests.benchmarks.beside [ROUNDS [SECONDS [FRAMES_PER_SECOND]]]
"""

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from inspector.backends.instant import write_engine
from inspector.machine import machine

ROUNDS = 5
SECONDS = 20.0
FRAMES_PER_SECOND = 60

KINDS = ("alone", "archive", "mqtt, broker frozen")

CONFIG = """
name = "bench"
engine = "engine"
recipe = "recipe.toml"
deadline_ms = 2000
[cameras.top]
type = "simulator"
seed = 1
distinct = 30
frames_per_second = {pace}
frames = {frames}
[sinks]
out = "out"
{more}
"""

MORE = {
    "alone": "",
    "archive": '[archive]\nmax_gb = 20\nleast_free_gb = 0.1\nfolder = "archive"\n',
    "mqtt, broker frozen": '[mqtt]\nhost = "127.0.0.1"\nport = {port}\ntls = false\n',
}


@contextlib.contextmanager
def frozen_broker() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def measure(folder: Path, kind: str, seconds: float, pace: int, number: int) -> dict[str, float]:
    """One run of a line with an engine that answers after 4 ms; returns its latencies."""
    with frozen_broker() as port:
        config = folder / f"{number}.toml"
        config.write_text(CONFIG.format(pace=pace, frames=int(seconds * pace), more=MORE[kind].format(port=port)))
        out = folder / f"run-{number}"
        beside = None
        if kind.startswith("mqtt"):
            command = [sys.executable, "-m", "inspector", "mqtt", "--config", str(config)]
            beside = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            subprocess.run(
                [sys.executable, "-m", "inspector", "run", "--config", config, "--out", out],
                check=True, capture_output=True, env=os.environ,
            )  # fmt: skip
        finally:
            if beside is not None:
                beside.send_signal(signal.SIGTERM)
                beside.wait(30)
    latency: dict[str, float] = json.loads((out / "summary.json").read_text())["latency_ms"]
    return latency


def main(rounds: int = ROUNDS, seconds: float = SECONDS, pace: int = FRAMES_PER_SECOND) -> None:
    """Print the median of each kind over all rounds."""
    print(machine())
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_engine(folder / "engine", options={"delay_ms": 4})
        (folder / "recipe.toml").write_text(
            'name = "b"\nmm_per_px_across = 1\nmm_per_px_along = 1\n[classes.bright]\n[picture]\nchecks = false\n'
        )
        for turn in range(rounds):
            for number, kind in enumerate(KINDS):
                found[kind].append(measure(folder, kind, seconds, pace, turn * len(KINDS) + number))
        coils = list((folder / "archive").glob("*/top/*/frames.jsonl"))
        kept = sum(path.read_bytes().count(b"\n") - path.read_bytes().count(b"not archived") for path in coils)
    print(f"{pace} frames/s of 256×1600 px for {seconds:g} s, {rounds} rounds by turns")
    for kind, runs in found.items():
        p50, p99 = (statistics.median(run[name] for run in runs) for name in ("p50", "p99"))
        print(f"{kind:22s} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")
    print(f"archived {kept} of {int(seconds * pace) * rounds} frames")


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((int, float, int), sys.argv[1:], strict=False)))
