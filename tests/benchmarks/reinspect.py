"""How `inspector reinspect` scales from one worker to two, on a load that waits for its engine.

python -m tests.benchmarks.reinspect [COILS [FRAMES [ENGINE_MS]]]
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from inspector.backends.instant import write_engine
from inspector.machine import machine
from inspector.sources.recording.source import RecordingWriter
from inspector.values import Capture

COILS = 8
FRAMES = 600
ENGINE_MS = 200
"""Per batch of four: the engine is the bottleneck, as a network on its own accelerator is."""

SIZE = (64, 160)


def reinspect(folder: Path, workers: int) -> float:
    """Reinspect everything; returns the seconds that it took."""
    began_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "inspector", "reinspect", folder / "archive", "--engine", folder / "engine",
         "--config", folder / "line.toml", "--out", folder / f"{workers}.sqlite",
         "--workers", str(workers), "--json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - began_s
    assert json.loads(done.stdout.splitlines()[-1])["failed"] == {}
    return seconds


def main(coils: int = COILS, frames: int = FRAMES, engine_ms: int = ENGINE_MS) -> None:
    """Print the times of one worker in this process, and of one and two on Ray."""
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_engine(
            folder / "engine", height=SIZE[0], width=SIZE[1], max_batch=4, options={"delay_ms": engine_ms}
        )
        (folder / "recipe.toml").write_text(
            'name = "b"\nmm_per_px_across = 1\nmm_per_px_along = 1\n[classes.bright]\n[picture]\nchecks = false\n'
        )
        (folder / "line.toml").write_text(
            'name = "b"\nengine = "engine"\nrecipe = "recipe.toml"\n[cameras.top]\ntype = "simulator"\n'
            "height = 64\nwidth = 160\n"
        )
        for coil in range(coils):
            with RecordingWriter(folder / "archive" / f"C-{coil}", "top", mm_per_px=1.0) as writer:
                for at in range(frames):
                    pixels = np.full(SIZE, 100, np.uint8)
                    number = coil * frames + at
                    writer.append(
                        Capture(
                            pixels, None, captured_ns=10**18 + number, position_mm=64.0 * number, coil=f"C-{coil}"
                        )
                    )
        one, two = reinspect(folder, 1), reinspect(folder, 2)
    every = coils * frames
    print(f"{coils} coils of {frames} frames, engine {engine_ms} ms a batch of 4")
    print(f"1 worker   {one:7.1f} s   {every / one:7.1f} frames/s")
    print(f"2 workers  {two:7.1f} s   {every / two:7.1f} frames/s   {one / two:.2f} ×")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
