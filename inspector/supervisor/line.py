"""Runs the whole line as children of one process, for a desk, a test or a replay; a plant's PC uses systemd.

It starts, watches and stops the processes. If one dies, the line ends, and every announced frame still gets a
verdict. It restarts none, except a dead decide, once, to settle the remaining frames.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from inspector.errors import InputError, InspectorError, WorkError
from inspector.runtime.notify import PROGRESS, SETTLED
from inspector.runtime.stop import StopRequest
from inspector.supervisor.children import Child, Children
from inspector.supervisor.swap import Swaps
from inspector.supervisor.table import DECIDE, INGEST, PROCESSES, WORKER, Process

START_TIMEOUT_S: Final = 120.0
"""Longest start of a process, seconds: a large engine compiles for tens of seconds the first time."""

SETTLE_S: Final = 0.4
"""How long to wait for results in transit after Ctrl-C, before the worker and decide are stopped, seconds."""

STOP_S: Final = 1.3
"""How long a process may take to stop before it is killed, seconds: Ctrl-C ends the line within two seconds."""

FINISH_S: Final = 60.0
"""How long a run that ends by itself may take for the last pictures, seconds; enough for a slow disk."""

CLOSE_BOOKS_S: Final = 10.0
"""How long a restarted decide may take to account for the announced frames, seconds."""

log = structlog.get_logger()

OnProgress = Callable[[int, int | None], None]


class Line:
    """Runs a line from start to end.

    `config` is a resolved config file; `identity` is the name and hash of the original. `folder` is private to
    this run. `control` is the socket for `inspector swap`; None takes no orders. `beside` are the processes that
    the line inspects without.
    """

    def __init__(
        self,
        config: Path,
        identity: str,
        cameras: list[str],
        folder: Path,
        on_progress: OnProgress,
        control: Path | None = None,
        *,
        beside: Sequence[Process] = (),
    ) -> None:
        self._beside = tuple(beside)
        self._cameras, self._on_progress = cameras, on_progress
        self._children = Children(config, identity, folder)
        self._swaps = None if control is None else Swaps(self._children, control, START_TIMEOUT_S)
        self._failure: str | None = None

    def run(self, stop: StopRequest) -> bool:
        """Start all processes, run until the sources end or a stop is requested, and stop all.

        Returns whether the line was stopped before its sources ended. Raises InputError when a process refuses to
        start, WorkError when one dies.
        """
        self._children.wake_once(stop)
        try:
            for process in self._beside:
                self._start_ready([process], stop)
                self._children.of(process)[0].vital = False
            self._start_ready([DECIDE, WORKER], stop)
            if not stop:
                self._start_ready([INGEST], stop)
            self._watch(stop)
        finally:
            self._finish(stop)
        if self._failure is not None:
            raise WorkError(f"{self._failure}: the line was stopped; every announced frame has its verdict")
        return bool(stop)

    def _start_ready(self, processes: list[Process], stop: StopRequest) -> None:
        started = [
            self._children.start(process, camera=camera)
            for process in processes
            for camera in (self._cameras if process.per_camera else [None])
        ]
        until_s = time.monotonic() + START_TIMEOUT_S
        while not stop and not all(child.ready for child in started):
            self._children.listen()
            for child in started:
                if not child.ready and child.ended:
                    code = child.popen.returncode
                    failed: type[InspectorError] = InputError if code == InputError.exit_code else WorkError
                    raise failed(f"{child.name} did not start: see its error above")
            if time.monotonic() > until_s:
                raise WorkError(
                    f"the line was not ready within {START_TIMEOUT_S:.0f} s: see the log of its stages"
                )

    def _watch(self, stop: StopRequest) -> None:
        """Wait until all sources have ended and all frames are settled, a stop is requested, or a process dies."""
        while not stop:
            self._children.listen()
            self._show_progress()
            for child in self._children.all:
                how = child.died()
                if how is None and child.ended and child.process is not INGEST:
                    how = f"{child.name} ended by itself"
                if how is not None and child.vital:
                    self._failure = how
                    return
                if how is not None and child.process in self._beside and not child.asked_to_stop:
                    child.asked_to_stop = True
                    log.error("the line goes on without a process", process_name=child.process.name, how=how)
            if self._swaps is not None:
                self._swaps.turn()
            if self._children.ended(INGEST) and self._settled():
                return

    def _show_progress(self) -> None:
        decide: Child = self._children.of(DECIDE)[-1]
        done, _, total = decide.told.get(PROGRESS, "0/").partition("/")
        self._on_progress(int(done), int(total) if total else None)

    def _finish(self, stop: StopRequest) -> None:
        """Stop ingest first, so that no new frames come, then the worker, then decide."""
        children = self._children
        if self._swaps is not None:
            self._swaps.close()
        children.terminate(INGEST)
        decides = children.of(DECIDE)
        if any(child.died() for child in decides) and self._failure is not None:
            self._close_books()
        elif decides:
            if stop:
                children.wait_until(lambda: children.ended(INGEST) and self._settled(), SETTLE_S)
            children.terminate(WORKER)
            children.wait_until(lambda: children.ended(WORKER) and children.ended(INGEST), STOP_S / 2)
        for process in reversed(PROCESSES):
            children.terminate(process)
        # Only a run that ends by itself waits for the last pictures.
        children.wait_until(lambda: children.ended() or bool(stop) or self._failure is not None, FINISH_S)
        children.wait_until(children.ended, STOP_S)
        killed = [child for child in children.all if not child.ended]
        for child in killed:
            # A process that is not ready holds no frame, and an engine that compiles handles no signal.
            child.vital = child.vital and child.ready
            if child.vital:
                log.error("stage did not stop: killed", stage=child.name)
            child.popen.kill()
            child.popen.wait()
        if any(child.vital and child.process is DECIDE for child in killed):
            self._close_books()
        for child in children.all:
            child.popen.wait()
            if self._failure is None and child.vital:
                self._failure = child.died()
        if decides:
            self._show_progress()
        children.close()

    def _close_books(self) -> None:
        """decide died: start another, which reads the written verdicts and takes the remaining announcements."""
        log.error("decide died: restarted, so that every announced frame gets its verdict")
        self._children.terminate(WORKER)
        successor = self._children.start(DECIDE)
        self._children.wait_until(
            lambda: successor.ended or (self._children.ended(INGEST) and successor.told.get(SETTLED) == "1"),
            CLOSE_BOOKS_S,
        )
        successor.terminate()
        self._children.wait_until(lambda: successor.ended, STOP_S)
        if not successor.ended:
            successor.popen.kill()

    def _settled(self) -> bool:
        return self._children.of(DECIDE)[-1].told.get(SETTLED) == "1"
