"""Backends, which run engines. One table entry per backend; the engine's manifest selects it."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from inspector.backends.base import Answer, Backend, BackendSettings
from inspector.engine.manifest import EngineFolder
from inspector.errors import EngineError

BACKENDS: Final = {
    "openvino": "inspector.backends.openvino:OpenVinoBackend",
    "tensorrt": "inspector.backends.tensorrt:TensorRtBackend",
    "torch": "inspector.backends.torch:open_torch",
    "instant": "inspector.backends.instant:InstantBackend",
}
"""Backend name → "module:attribute". Each module is imported only when an engine needs it, so importing this
package requires none of their libraries."""


def open_backend(
    folder: EngineFolder,
    *,
    cache_dir: Path | None = None,
    threads: int | None = None,
    slots: int | None = None,
    register_frames: bool = False,
) -> Backend:
    """Create the backend that the manifest names; the caller enters it.

    Raises EngineError for an unknown backend.
    """
    name = folder.manifest.backend
    if name not in BACKENDS:
        raise EngineError(
            f"{folder.path}: its backend is {name!r}, this inspector has {', '.join(BACKENDS)}: "
            f"build it for one of these with `trainer build-engine MODEL --backend …`"
        )
    module, _, attribute = BACKENDS[name].partition(":")
    backend: Callable[[EngineFolder, BackendSettings], Backend] = getattr(import_module(module), attribute)
    return backend(folder, BackendSettings(cache_dir, threads, slots, register_frames))


__all__ = ["BACKENDS", "Answer", "Backend", "BackendSettings", "open_backend"]
