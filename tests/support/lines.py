"""A line for tests: config, recipe and engine in a folder, and the real command as a separate process."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import psutil

from inspector.backends.instant import write_engine
from inspector.core.ledger import MAX_GAP

SCHEMAS = Path(__file__).parents[1] / "contract" / "schemas"

PATIENCE_S = 120.0
"""What a test waits for comes within seconds; on a PC with other work, within this time."""

SPIN_S = 0.2
"""Long enough that the kernel gives other processes their turns."""

NO_HURRY_MS = 20_000
"""A deadline that a busy PC does not miss. With it, a frame that stays uninspected was lost, not late."""


def schema(name: str) -> dict[str, Any]:
    """A contract other programs rely on."""
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text())


_started: list["subprocess.Popen[str]"] = []
"""Processes that `LineUnderTest.start` started in the current test."""


@contextlib.contextmanager
def ended_lines() -> Iterator[None]:
    """Kill every line that still runs at the end, and close the pipes: a failed test must not disturb the next."""
    _started.clear()
    yield
    for process in _started:
        if process.poll() is None:
            process.kill()
            process.communicate()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    _started.clear()


@dataclass
class Run:
    """What a finished run left behind."""

    code: int
    out: Path
    stdout: str
    stderr: str
    seconds: float
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def decisions(self) -> list[str]:
        return [verdict["decision"] for verdict in self.verdicts]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Log lines whose event contains the words."""
        lines = [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{")]
        return [line for line in lines if event in line["event"]]


class LineUnderTest:
    """Writes a line's files and runs its commands."""

    def __init__(self, folder: Path, size: tuple[int, int] = (64, 128), **engine_options: float) -> None:
        self.folder = folder
        self.size = size
        self.config = folder / "line.toml"
        write_engine(folder / "engine", height=size[0], width=size[1], max_batch=4, options=engine_options)
        (folder / "recipe.toml").write_text(
            'name = "test"\nmm_per_px_across = 0.5\nmm_per_px_along = 0.5\n[classes.bright]\nmin_area_mm2 = 4\n'
        )
        self.write_config()

    def write_config(self, text: str = "", **source: Any) -> None:
        """line.toml: top-level keys and tables as text, and the source of camera `top` (default: simulator)."""
        source = source or {"type": "simulator", "height": self.size[0], "width": self.size[1], "frames": 40}
        camera = "\n".join(f"{key} = {json.dumps(value)}" for key, value in source.items())
        head, _, tables = text.partition("\n[")
        self.config.write_text(
            f'name = "test"\nengine = "engine"\nrecipe = "recipe.toml"\n{head}\n[cameras.top]\n{camera}\n'
            + (f"[{tables}" if tables else "")
        )

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        """Start the inspector command as a separate process."""
        command = [sys.executable, "-m", "inspector", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        _started.append(process)
        return process

    def finish(self, process: "subprocess.Popen[str]", out: Path, timeout: float = PATIENCE_S) -> Run:
        """Wait for it and read what it left; the ledger must balance whatever happened."""
        started = time.monotonic()
        stdout, stderr = process.communicate(timeout=timeout)
        run = Run(process.returncode, out, stdout, stderr, time.monotonic() - started)
        if (out / "verdicts.jsonl").exists():
            text = (out / "verdicts.jsonl").read_text()
            assert not text or text.endswith("\n"), "the last line is torn"
            run.verdicts = [json.loads(line) for line in text.splitlines()]
        if (out / "summary.json").exists():
            run.summary = json.loads((out / "summary.json").read_text())
            assert_balanced(run)
        return run

    def run(self, *, out: Path | None = None, timeout: float = PATIENCE_S) -> Run:
        """`inspector run` to its end."""
        out = out or self.folder / "out"
        return self.finish(self.start("run", "--config", self.config, "--out", out), out, timeout)

    def replay(self, source: Path, *arguments: object, out: Path | None = None) -> Run:
        """`inspector replay` to its end."""
        out = out or self.folder / "out"
        command = ("replay", source, "--config", self.config, "--out", out, *arguments)
        return self.finish(self.start(*command), out)


def assert_balanced(run: Run) -> None:
    """captured = accepted + rejected + uninspected = lines, ids without gap, each line as the contract says."""
    summary, verdicts = run.summary, run.verdicts
    jsonschema.validate(summary, schema("summary"))
    counted = summary["accepted"] + summary["rejected"] + summary["uninspected"]
    assert summary["captured"] == counted == len(verdicts)
    validator = jsonschema.Draft202012Validator(schema("verdict"))
    for verdict in verdicts:
        validator.validate(verdict)
    for camera in {verdict["camera"] for verdict in verdicts}:
        of_camera = [verdict for verdict in verdicts if verdict["camera"] == camera]
        ids = [verdict["frame_id"] for verdict in of_camera]
        # The frames of a long gap (`ledger.MAX_GAP`) get their verdicts beside those of later frames.
        assert sorted(ids) == list(range(len(ids)))
        lost = [verdict["frame_id"] for verdict in of_camera if verdict["codes"] == ["announcement_lost"]]
        if len(lost) <= MAX_GAP:
            assert ids == sorted(ids)


def stage(
    process: "subprocess.Popen[str]",
    name: str,
    timeout: float = PATIENCE_S,
    *,
    other_than: psutil.Process | None = None,
) -> psutil.Process:
    """The child that runs a stage; of two workers, the one `other_than` this."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        for child in psutil.Process(process.pid).children():
            try:
                if child != other_than and child.cmdline()[2:4] == ["inspector", name]:
                    return child
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        time.sleep(0.02)
    raise AssertionError(f"no {name} within {timeout} s")


def wait_for_verdicts(out: Path, count: int, timeout: float = PATIENCE_S, *, decision: str | None = None) -> None:
    """Until the log has so many lines, or so many lines with that decision."""
    until = time.monotonic() + timeout
    path = out / "verdicts.jsonl"
    counted = b"\n" if decision is None else f'"decision":"{decision}"'.encode()
    while time.monotonic() < until:
        if path.exists() and path.read_bytes().count(counted) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"fewer than {count} verdicts within {timeout} s")


def slowdown() -> float:
    """How much longer work takes on this PC now than it takes alone: 1 where a core is free.

    A promise in seconds is one for a PC that has time. On a PC with other work a test multiplies it by this.
    """
    started_s, until_cpu_s = time.perf_counter(), time.process_time() + SPIN_S
    while time.process_time() < until_cpu_s:
        pass
    return max(1.0, (time.perf_counter() - started_s) / SPIN_S)


def interrupt(process: "subprocess.Popen[str]") -> None:
    """Ctrl-C, as a terminal sends it to the foreground process."""
    process.send_signal(signal.SIGINT)
