"""The request to a builder, and its result."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """Options of GPU backends."""

    max_batch: int = 16
    """Largest batch. It costs memory but no time, because the line sends smaller batches when fewer frames wait."""
    version_compatible: bool = False
    """TensorRT: later versions may run the engine."""
    hardware_compatible: str | None = None
    """TensorRT: which other GPUs may run it; None allows only this GPU model."""
    device: str = "cuda"
    """torch: "cuda" or "cpu"."""


GPU_DEFAULTS: Final = GpuOptions()


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One build."""

    onnx: Path
    """The model; with Q/DQ pairs where `precision` is int8."""
    height: int
    width: int
    folder: Path
    """Folder for the backend's files."""
    beside: Path
    """Folder for files that speed up later builds."""
    precision: str
    gpu: GpuOptions = GPU_DEFAULTS
    show_progress: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """The facts of a build for the manifest."""

    max_batch: int
    options: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of libraries and devices that matter when it is opened, in addition to those of every build."""
