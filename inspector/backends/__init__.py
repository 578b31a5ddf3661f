"""Backends: what runs an engine. One line a backend; the engine's manifest picks it."""

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
"""Imported only when an engine asks for it: none of their libraries is needed to import this package."""


def open_backend(
    folder: EngineFolder,
    *,
    cache_dir: Path | None = None,
    threads: int | None = None,
    slots: int | None = None,
    register_frames: bool = False,
) -> Backend:
    """The backend the manifest names, not yet entered; raises EngineError for one this version does not have."""
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
