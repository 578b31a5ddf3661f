"""What a builder is asked for, and what it hands back."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """What only GPU backends ask about."""

    max_batch: int = 16
    """Largest batch; the line fills batches as frames come, so it costs memory, not time."""
    version_compatible: bool = False
    """TensorRT: later versions may run the engine."""
    hardware_compatible: str | None = None
    """TensorRT: which other GPUs may run it; None: this GPU model only."""
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
    """Where the backend's files go."""
    beside: Path
    """Where what helps later builds is kept."""
    precision: str
    gpu: GpuOptions = GPU_DEFAULTS
    show_progress: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """What the manifest must hold of it."""

    max_batch: int
    options: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    """Of libraries and devices that matter when it is opened, beside those of every build."""
