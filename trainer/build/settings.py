"""The settings of `build-engine`, and the table of builders."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inspector.errors import InputError
from trainer.build.cost import MAX_LOSS_POINTS
from trainer.build.openvino import build_openvino
from trainer.build.request import GPU_DEFAULTS, BuildRequest, Built, GpuOptions
from trainer.build.tensorrt import build_tensorrt
from trainer.build.torch import build_torch

MOST_FRAMES: Final = 256
"""Highest allowed `max_batch`: a larger batch takes longer than a line waits."""


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """The engine to build."""

    model: Path
    out: Path
    backend: str
    precision: str
    name: str
    calibration: Path | None = None
    """Folder of labelled frames; int8 needs one."""
    max_loss: float = MAX_LOSS_POINTS
    """Largest loss of mIoU and of defect IoU against the fp32 model, points of 100."""
    gpu: GpuOptions = GPU_DEFAULTS


Builder = Callable[[BuildRequest], Built]
"""Writes the backend's files; raises EngineError if it cannot run on this PC, WorkError if it fails."""

BUILDERS: Final[dict[str, tuple[Builder, tuple[str, ...]]]] = {
    "openvino": (build_openvino, ("bf16", "fp32", "int8")),
    "tensorrt": (build_tensorrt, ("fp16", "fp32", "int8")),
    "torch": (build_torch, ("fp16", "fp32")),
}
"""Backend → builder and its precisions, the default first."""


def check_settings(settings: BuildSettings) -> None:
    """Raise InputError for settings that cannot be built."""
    _, precisions = BUILDERS[settings.backend]
    if settings.precision not in precisions:
        raise InputError(
            f"--precision {settings.precision}: {settings.backend} is built as {', '.join(precisions)}"
        )
    if settings.precision == "int8" and settings.calibration is None:
        raise InputError(
            "--precision int8 needs --calibration DIR: a folder of labelled frames, to measure ranges on and to "
            "show what it costs"
        )
    if not 1 <= settings.gpu.max_batch <= MOST_FRAMES:
        raise InputError(f"--max-batch must be 1 to {MOST_FRAMES}, got {settings.gpu.max_batch}")
    if settings.max_loss < 0:
        raise InputError(f"--max-loss must be at least 0 points, got {settings.max_loss:g}")
