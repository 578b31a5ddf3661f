"""Fault injection: the stages of a line as separate processes, as systemd runs them.

Every frame of the source shows its own number, so that a verdict from another frame's pixels is seen.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import numpy as np

from inspector.backends.instant import write_engine

HEIGHT, WIDTH = 64, 128
PLACES = 28
"""Places in which a block may stand, 4 px apart: the frame's number modulo this."""


def numbered_frame(number: int, look: str) -> np.ndarray:
    """uint8 [64, 128]. `clean`: nothing; `coded`: a block whose place is the number; `odd`: the same on odd
    frames; `spots`: as many spots as find room."""
    pixels = np.full((HEIGHT, WIDTH), 100, np.uint8)
    pixels[0, :8] = [8 * int(bit) + 90 for bit in f"{number % 256:08b}"]
    if look == "coded" or (look == "odd" and number % 2):
        x = 4 * (number % PLACES)
        pixels[8:24, x : x + 16] = 255
    if look == "spots":
        pixels[::8, ::8] = 255
    return pixels


ROOT = Path(__file__).resolve().parents[2]

INGEST = """
import os, sys, time
import inspector.ingest.process as ingest
from inspector.sources.base import WhenBehind
from inspector.values import Capture
from tests.support.stages import numbered_frame

class Numbered:
    when_behind = WhenBehind.SHED_OLDEST
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def total(self): return None
    def sizes(self): return iter(())
    def captures(self):
        number, due_s = 0, time.monotonic()
        while True:
            while os.path.exists(os.environ["STANDSTILL"]):
                yield None
                time.sleep(0.02)
                due_s = time.monotonic()
            while (early_s := due_s - time.monotonic()) > 0:
                time.sleep(min(early_s, 0.1))
                yield None
            due_s += 1 / float(os.environ["RATE"])
            yield Capture(numbered_frame(number, os.environ["LOOK"]))
            number += 1

ingest.open_camera = lambda *_: Numbered()
from inspector.cli import main
sys.exit(main(["ingest", *sys.argv[1:]]))
"""


class Stages:
    """A line's files, and its stages as processes."""

    def __init__(
        self, folder: Path, *, cameras: tuple[str, ...] = ("top",), max_batch: int = 1, **engine: float
    ) -> None:
        self.folder, self.cameras = folder, cameras
        self.config, self.links, self.out = folder / "line.toml", folder / "links", folder / "out"
        self.standstill = folder / "standstill"
        """While this file exists, the cameras give no frame."""
        write_engine(folder / "engine", height=HEIGHT, width=WIDTH, max_batch=max_batch, options=engine)
        self.max_batch = max_batch
        self.recipe()
        self.write()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._all: list[subprocess.Popen[bytes]] = []

    def recipe(self, threshold: float = 0.5, min_area_mm2: float = 4.0) -> None:
        """recipe.toml."""
        (self.folder / "recipe.toml").write_text(
            f'name = "test"\nmm_per_px_across = 0.5\nmm_per_px_along = 0.5\n'
            f"[classes.bright]\nthreshold = {threshold}\nmin_area_mm2 = {min_area_mm2}\n"
        )

    def write(
        self, head: str = "", tables: str = "", sinks: str = "", sources: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """line.toml; `sources` are settings by camera, which decide reads: ingest takes numbered frames anyway."""
        simulator = f'type = "simulator"\nheight = {HEIGHT}\nwidth = {WIDTH}\n'
        cameras = "".join(f"[cameras.{name}]\n{sources.get(name, simulator)}\n" for name in self.cameras)
        self.config.write_text(
            f'name = "test"\nengine = "engine"\nrecipe = "recipe.toml"\nlinks = "{self.links}"\n{head}\n{cameras}'
            f'[batch]\nmax_frames = {self.max_batch}\n[sinks]\nout = "{self.out}"\npictures = false\n'
            f"log_megabytes = 64\n{sinks}\n{tables}\n"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._all:
            process.kill()
            process.wait()
        if error is not None:
            for path in sorted(self.folder.glob("*.log")):
                print(f"--- {path.name}\n{path.read_text()[-2000:]}")

    def start(
        self,
        stage: str,
        *,
        camera: str = "top",
        rate: float = 50,
        look: str = "clean",
        wait: bool = True,
        real: bool = False,
    ) -> None:
        """Start a stage; `ingest` with the numbered source, unless it is `real`. Returns once it is ready."""
        name = f"ingest-{camera}" if stage == "ingest" else stage
        path = self.folder / f"{name}.log"
        command = [sys.executable, "-m", "inspector", stage, "--config", str(self.config)]
        if stage == "ingest" and real:
            command += ["--camera", camera]
        elif stage == "ingest":
            command = [sys.executable, "-c", INGEST, "--config", str(self.config), "--camera", camera]
        environment = os.environ | {
            "RATE": str(rate), "LOOK": look, "STANDSTILL": str(self.standstill),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }  # fmt: skip
        before = path.stat().st_size if path.exists() else 0
        with path.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        self._processes[name] = process
        self._all.append(process)
        if wait:
            ready = f"{stage} started".encode()
            until(lambda: ready in path.read_bytes()[before:] or process.poll() is not None, f"{name} ready", 60)
            assert process.poll() is None, path.read_text()

    def send(self, name: str, which: signal.Signals) -> None:
        """Send a stage a signal."""
        self._processes[name].send_signal(which)

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> int:
        """End a stage; returns its exit code."""
        process = self._processes[name]
        process.send_signal(how)
        return process.wait(30)

    def stop(self) -> None:
        """End all that run, in order: ingests, worker, decide."""
        for name in [
            *(name for name in self._processes if name.startswith("ingest")),
            "worker",
            "decide",
            "strip",
        ]:
            if name in self._processes and self._processes[name].poll() is None:
                self.end(name)

    def captured(self) -> int:
        """Frames that all ingests which ended in order say they captured."""
        lines = [line for path in self.folder.glob("ingest-*.log") for line in path.read_text().splitlines()]
        return sum(json.loads(line)["captured"] for line in lines if '"ingest ended"' in line)

    def verdicts(self) -> list[dict[str, Any]]:
        """Return all verdicts of the log; an invalid line fails the test."""
        path = self.out / "verdicts.jsonl"
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    def count(self) -> int:
        """Lines of the log."""
        path = self.out / "verdicts.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def wait(self, more: int, timeout_s: float = 60) -> int:
        """Until so many verdicts more are in the log; how many there were before."""
        before = self.count()
        until(lambda: self.count() >= before + more, f"{more} verdicts more", timeout_s)
        return before


def until(condition: Callable[[], object], what: str, timeout_s: float = 30) -> None:
    """Wait for it."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.02)


def decisions(verdicts: list[dict[str, Any]]) -> Counter[str]:
    """How many of each."""
    return Counter(verdict["decision"] for verdict in verdicts)


def wrong(verdicts: list[dict[str, Any]], look: str) -> list[dict[str, Any]]:
    """Inspected frames whose verdict is not what their own pixels show."""
    found = []
    for verdict in verdicts:
        number = verdict["frame_id"]
        shows = look == "coded" or (look == "odd" and number % 2 == 1)
        if verdict["decision"] == "uninspected":
            continue
        moved = shows and abs(verdict["defects"][0]["box"][0] - 4 * (number % PLACES)) > 4
        if shows != (verdict["decision"] == "reject") or moved:
            found.append(verdict)
    return found


def once_each(verdicts: list[dict[str, Any]]) -> bool:
    """Every frame of every ingest has one verdict, its ids without a gap."""
    frames: dict[tuple[str, int], list[int]] = {}
    for verdict in verdicts:
        frames.setdefault((verdict["camera"], verdict["ingest_epoch"]), []).append(verdict["frame_id"])
    return all(sorted(ids) == list(range(len(ids))) for ids in frames.values())
