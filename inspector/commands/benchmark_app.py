"""Runs OpenVINO's own benchmark_app, to compare the line with what OpenVINO says of the same engine."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from inspector.backends.openvino import MODEL_NAME
from inspector.engine.manifest import EngineFolder

PROGRAM: Final = "benchmark_app"

START_S: Final = 120.0
"""Longest time for a compilation before the measurement, seconds."""

_THROUGHPUT: Final = re.compile(r"Throughput:\s+([\d.]+) FPS")
_MEDIAN: Final = re.compile(r"Median:\s+([\d.]+) ms")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class BenchmarkApp:
    """The program, and the model that it measures."""

    program: Path
    model: Path
    precision: str

    @classmethod
    def of(cls, folder: EngineFolder, threads: int | None) -> "BenchmarkApp | None":
        """Return the benchmark of an OpenVINO engine; None for another one, or where the program is missing.

        None as well for a line whose `threads` are set: the program takes no number of threads with its hints.
        """
        program = Path(sys.executable).parent / PROGRAM
        if folder.manifest.backend != "openvino" or not program.is_file() or threads is not None:
            return None
        return cls(program, folder.path / MODEL_NAME, folder.manifest.precision)

    def frames_per_second(self, length_s: float) -> float | None:
        """Return its speed with the hint `throughput`; None if it fails."""
        return self._measure("throughput", length_s, _THROUGHPUT)

    def latency_ms(self, length_s: float) -> float | None:
        """Return the median time of one frame with the hint `latency`, ms; None if it fails."""
        return self._measure("latency", length_s, _MEDIAN)

    def _measure(self, hint: str, length_s: float, wanted: re.Pattern[str]) -> float | None:
        seconds = max(1, round(length_s))
        command = [self.program, "-m", self.model, "-d", "CPU", "-hint", hint, "-t", seconds]
        if self.precision == "fp32":  # others use the fastest that the CPU has, as the backend does
            command += ["-infer_precision", "f32"]
        try:
            done = subprocess.run(
                [*map(str, command)], capture_output=True, text=True, timeout=seconds + START_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("benchmark_app cannot be run", error=str(error))
            return None
        found = wanted.search(done.stdout)
        if found is None:
            log.warning("benchmark_app gave no figure", exit_code=done.returncode, said=done.stdout[-300:])
        return None if found is None else float(found[1])
