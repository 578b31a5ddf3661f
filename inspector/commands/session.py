"""One run of the whole line: its folder, resolved config, progress, summary and report."""

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tqdm import tqdm

from inspector.commands.private_folder import private_folder
from inspector.config.line import LineConfig, LoadedConfig
from inspector.config.plans import PlanSettings
from inspector.config.toml import read_bytes
from inspector.engine.manifest import read_manifest
from inspector.errors import InputError, WorkError
from inspector.files import write_new
from inspector.ingest.process import slots_for
from inspector.logs import STDERR
from inspector.numbers import thousands
from inspector.results import CONFIG_NAME, RECIPE_NAME, VERDICTS_NAME
from inspector.runtime.stop import StopRequest
from inspector.sinks.gate.log import GATE_LOG_NAME
from inspector.sinks.summary import SUMMARY_NAME, read_summary
from inspector.supervisor.line import Line
from inspector.supervisor.table import ARCHIVE, STRIP
from inspector.wire.pixel_ring import stride

LEFT_BEHIND: Final = (".decide.lock", GATE_LOG_NAME)
"""Files that a decide that fails at its start may leave in the folder."""

QUICK_REPORT_FRAMES: Final = 20_000
"""Largest run, frames, that gets a report after Ctrl-C: it takes well under a second."""

PLAIN_INTERVAL_S: Final = 5.0
"""Time between progress lines without a terminal, seconds."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Result of a run."""

    out: Path
    summary: dict[str, Any]
    exit_code: int
    """0 if its sources ended, else 128 + the signal that stopped it, as in shells."""


def run_session(
    config: LoadedConfig,
    line: LineConfig,
    out: Path,
    *,
    report: bool = True,
    quiet: bool = False,
    control: Path | None = None,
    resume: Callable[[LineConfig], LineConfig] | None = None,
) -> Finished:
    """Run `line`, which is `config` with its overrides, into the folder `out`. Raises InspectorError.

    `out` must not hold a run yet, unless `resume` is given: it prepares the folder, once nobody else uses it, and
    returns the line to run. `control` is the path of the socket that accepts an engine swap; None accepts none.
    """
    with (
        claimed(out, may_hold_run=resume is not None),
        private_folder(line.links, _shared_bytes(line)) as links,
        StopRequest() as stop,
    ):
        line = line if resume is None else resume(line)
        # All processes of a run use one copy of the recipe: the file may be edited before a later one starts.
        recipe = out / RECIPE_NAME
        _write(recipe, read_bytes(line.recipe), 0o644)
        sinks = line.sinks.model_copy(update={"out": out})
        line = line.model_copy(
            update={
                "links": links,
                "sinks": sinks,
                "recipe": recipe,
                "plans": _kept_plans(line, out),
                "identity": config.identity,
            }
        )
        _write(out / CONFIG_NAME, f"{line.json_for_people()}\n".encode(), 0o640)
        resolved = links / CONFIG_NAME
        _write(resolved, f"{line.json_for_stages()}\n".encode(), 0o600)
        with Bar(quiet=quiet) as bar:
            process = Line(
                resolved,
                config.identity,
                list(line.cameras),
                links,
                bar.show,
                control,
                beside=[
                    *([ARCHIVE] if line.archive is not None else []),
                    *([STRIP] if line.strip is not None else []),
                ],
            )
            try:
                stopped = process.run(stop)
            finally:
                bar.finish()
                summary = read_summary(out) if (out / SUMMARY_NAME).exists() else {}
                if report and summary and (not stop or summary["captured"] <= QUICK_REPORT_FRAMES):
                    from inspector.report.report import write_report

                    write_report(out)
    return Finished(out, summary, stop.exit_code if stopped else 0)


def _kept_plans(line: LineConfig, out: Path) -> dict[str, PlanSettings]:
    """Copy the plans beside the recipe."""
    kept = {}
    for name, plan in line.plans.items():
        copy = out / f"plan-{name}.toml"
        copy.write_bytes(read_bytes(plan.recipe))
        kept[name] = plan.model_copy(update={"recipe": copy})
    return kept


def _shared_bytes(line: LineConfig) -> int:
    """Size of the memory in which ingest and worker share frames. Raises EngineError."""
    manifest = read_manifest(line.engine)
    slot_bytes = stride(manifest.height * manifest.width)
    batch = line.batch.frames(manifest.max_batch)
    return len(line.cameras) * slot_bytes * slots_for(manifest.height * manifest.width, batch)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write a new file that has `mode` from the start. Raises WorkError."""
    try:
        path.unlink(missing_ok=True)
        write_new(path, data, mode)
    except OSError as error:
        raise WorkError(f"{path}: cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def claimed(out: Path, *, may_hold_run: bool = False) -> Iterator[None]:
    """Create a run's folder and lock it; a run that fails before its first process leaves nothing in it.

    Raises InputError if the folder already holds a run, unless it may, if another run uses it, or if it cannot be
    written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"{out}: cannot be made: {error.strerror}: give another --out") from None
    try:
        if not os.access(out, os.W_OK | os.X_OK):
            raise InputError(f"{out}: cannot be written to: give another --out")
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{out}: another run uses it: give another --out") from None
        if (out / VERDICTS_NAME).exists() and not may_hold_run:
            raise InputError(
                f"{out}: already holds a run: give another --out, or remove it first; `inspector replay --resume "
                f"{out}` continues an interrupted replay"
            )
        try:
            yield
        finally:
            if not may_hold_run and not (out / VERDICTS_NAME).exists():
                for name in (CONFIG_NAME, RECIPE_NAME, *LEFT_BEHIND):
                    (out / name).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # not empty
                    out.rmdir()
    finally:
        os.close(folder)


def new_folder(parent: Path, name: str) -> Path:
    """Make a folder with this name, or with name-2, name-3, … if it exists.

    If it cannot be created, returns the path all the same; `claimed` reports the error.
    """
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError:
            return folder
        else:
            return folder


class Bar:
    """A progress bar on a terminal, elsewhere a plain line every PLAIN_INTERVAL_S."""

    def __init__(self, *, quiet: bool) -> None:
        self._bar: tqdm[Any] | None = None
        self._quiet = quiet
        self._done = 0
        self._shown: tuple[float, int] | None = None
        """Time of the last plain line, and its frame count."""

    def __enter__(self) -> Self:
        """Without a terminal, write a first line at once: an engine may take minutes to compile."""
        if not self._quiet and not sys.stderr.isatty():
            print("starting", file=sys.stderr, flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the bar."""
        self.finish()

    def show(self, done: int, total: int | None) -> None:
        """Show `done` of `total` verdicts; None if the total is unknown."""
        if self._quiet or not (done or total):
            return
        if not sys.stderr.isatty():
            self._show_line(done, total)
            return
        if self._bar is None:
            self._bar = tqdm(total=total, unit=" frames", desc="inspecting", file=STDERR)
        self._bar.update(done - self._done)
        self._done = done

    def _show_line(self, done: int, total: int | None) -> None:
        now_s = time.monotonic()
        if self._shown is None:
            self._shown = (now_s, done)
        then_s, then_done = self._shown
        self._done = done
        if now_s - then_s >= PLAIN_INTERVAL_S:
            self._shown = (now_s, done)
            of = f"{thousands(done)} of {thousands(total)}" if total else thousands(done)
            rate = (done - then_done) / (now_s - then_s)
            print(f"inspecting: {of} frames, {rate:.1f} frames/s", file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Close the bar and leave its last state on the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def print_summary(finished: Finished) -> None:
    """Print the summary for a person."""
    figures = finished.summary
    latency = figures["latency_ms"]
    print(
        f"captured {thousands(figures['captured'])} = accepted {thousands(figures['accepted'])} "
        f"+ rejected {thousands(figures['rejected'])} + uninspected {thousands(figures['uninspected'])}   "
        f"(late {thousands(figures['late'])})"
    )
    for reason, count in figures["uninspected_reasons"].items():
        print(f"  uninspected {thousands(count):>7s}   {reason}")
    for name, count in sorted(figures["defects"].items(), key=lambda item: -item[1]):
        print(f"  defects     {thousands(count):>7s}   {name}")
    print(
        f"{thousands(figures['frames_per_second'], 1)} frames/s, "
        f"capture to verdict p50 {thousands(latency['p50'], 1)} ms, "
        f"p99 {thousands(latency['p99'], 1)} ms, max {thousands(latency['max'], 1)} ms"
    )
    print(f"recipe {figures['recipe']}   engine {figures['engine']}")
    for key, what in (
        ("pictures_lost", "pictures lost: the disk refused them"),
        ("pictures_skipped", "rejects without a picture (limit or slow disk)"),
        ("verdicts_lost", "verdicts lost: the disk refused them"),
        (
            "records_lost",
            f"verdicts not in the database: `inspector records import {finished.out}` copies them from the log",
        ),
    ):
        if figures[key]:
            print(f"  {thousands(figures[key])} {what}")
    report = finished.out / "report.html"
    print(f"verdicts {finished.out / VERDICTS_NAME}")
    if report.exists():
        print(f"report   {report}")
    else:
        print(f"report   none yet: inspector report {finished.out}")
