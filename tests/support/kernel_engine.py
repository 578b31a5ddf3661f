"""An engine of the kernel of `cuda_networks`, for whole lines: on a GPU by NVRTC, on the stand-in by numpy.

A batch that begins with four pixels of level POISON makes the kernel write where no memory is.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from inspector.backends.base import BackendSettings
from inspector.engine import golden
from inspector.engine.manifest import GOLDEN_NAME, EngineFolder, file_sha256
from tests.support.cuda_networks import POISON, KernelBackend, StandInKernel, expected_maps, kernel_folder
from tests.support.lines import LineUnderTest, Run

PLAIN = 240
"""Score 15 of 255: no defect."""

DEADLINE_MS = 5000
"""A busy PC must not make uninspected what the kernel answered."""

KERNEL_LINE = Path(__file__).parents[1] / "kernel_line"


def open_kernel(folder: EngineFolder, settings: BackendSettings) -> KernelBackend:
    """The backend of such an engine."""
    from cuda.bindings import runtime

    backend = KernelBackend(folder, settings)
    if hasattr(runtime, "stand_in_launch"):
        backend.make_network = lambda _: StandInKernel(backend, runtime)  # type: ignore[misc,assignment]
    else:
        from tests.support.nvrtc_kernel import NvrtcKernel

        backend.make_network = lambda _: NvrtcKernel(backend)  # type: ignore[misc,assignment]
    return backend


def write_kernel_engine(path: Path, size: tuple[int, int], max_batch: int) -> None:
    """The folder, with golden frames that the kernel answers."""
    kernel_folder(path, size=size, max_batch=max_batch)
    frames = np.random.default_rng(0).integers(20, 256, (2, *size), np.uint8)
    golden.save(path / GOLDEN_NAME, golden.Golden(frames, *expected_maps(frames)))
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"][GOLDEN_NAME] = file_sha256(path / GOLDEN_NAME)
    (path / "manifest.json").write_text(json.dumps(manifest | {"backend": "kernel"}))


class KernelLine(LineUnderTest):
    """A line on that engine, with one camera that shows images from a folder."""

    def __init__(self, folder: Path, size: tuple[int, int], frames: int, poisoned: int | None = None) -> None:
        super().__init__(folder, size)
        write_kernel_engine(folder / "kernel", size, max_batch=4)
        (folder / "images").mkdir()
        for number in range(frames):
            image = np.full(size, PLAIN, np.uint8)
            if number == poisoned:
                image[0, :4] = POISON
            Image.fromarray(image).save(folder / "images" / f"{number:04}.png")
        recipe = folder / "recipe.toml"
        recipe.write_text(recipe.read_text() + "[classes.dark]\nmin_area_mm2 = 4\n")
        # One frame per batch: the kernel looks only at the first frame of a batch.
        self.write_config(
            f"deadline_ms = {DEADLINE_MS}\n[batch]\nmax_frames = 1", type="folder", path=str(folder / "images")
        )
        self.config.write_text(self.config.read_text().replace('engine = "engine"', 'engine = "kernel"'))

    def inspect(self, environment: dict[str, str] | None = None) -> Run:
        """`inspector run` to its end, with that environment."""
        environment = environment or dict(os.environ)
        path = os.pathsep.join(filter(None, (str(KERNEL_LINE), environment.get("PYTHONPATH"))))
        out = self.folder / "out"
        command = [sys.executable, "-m", "inspector", "run", "--config", str(self.config), "--out", str(out)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONPATH": path, "INSPECTOR_LOG_LEVEL": "info"},
        )
        return self.finish(process, out, timeout=120)
