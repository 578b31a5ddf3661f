"""Shows TensorRT's progress in nested phases: bars on a terminal, plain lines elsewhere."""

import threading
from typing import TYPE_CHECKING, NoReturn, SupportsInt

import tensorrt as trt

from inspector.runtime.stop import StopRequest
from trainer.artifacts.bar import phase_bar

if TYPE_CHECKING:
    from tqdm import tqdm


class BuildProgress(trt.IProgressMonitor):
    """One bar per phase. TensorRT calls it from several threads, and ends the build once `stop` is true."""

    def __init__(self, stop: StopRequest, *, show: bool) -> None:
        trt.IProgressMonitor.__init__(self)
        self._stop = stop
        self._show = show
        self._lock = threading.Lock()
        self._bars: dict[str, tqdm[NoReturn]] = {}

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: SupportsInt) -> None:
        """Start a phase, possibly inside another."""
        title = f"{parent_phase}: {phase_name}" if parent_phase else phase_name
        with self._lock:
            place, steps = len(self._bars), int(num_steps)
            self._bars[phase_name] = phase_bar(title, total=steps, place=place, show=self._show)

    def step_complete(self, phase_name: str, step: SupportsInt) -> bool:
        """Count a finished step; returns whether the build may continue."""
        with self._lock:
            if bar := self._bars.get(phase_name):
                bar.update(int(step) + 1 - bar.n)
        return not self._stop

    def phase_finish(self, phase_name: str) -> None:
        """End a phase, finished or not."""
        with self._lock:
            if bar := self._bars.pop(phase_name, None):
                bar.close()
