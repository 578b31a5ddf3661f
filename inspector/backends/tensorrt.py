"""The production engine on NVIDIA GPUs. The manifest is checked before anything is deserialised."""

from typing import Final

from inspector.backends.cuda import Cuda
from inspector.backends.cuda_backend import CudaBackend, Network
from inspector.backends.tensorrt_versions import (
    VERSION_COMPATIBLE,
    check_version,
    installed_version,
    lean_library,
)
from inspector.errors import EngineError

PLAN_NAME: Final = "model.plan"

HARDWARE_COMPATIBLE: Final = "hardware_compatible"
"""Option of the manifest, one of the levels below. Without it, only the GPU model it was built on."""

SAME_CAPABILITY: Final = "same_compute_capability"
AMPERE_PLUS: Final = "ampere_plus"
AMPERE: Final = (8, 0)
"""Compute capability from which an `ampere_plus` engine runs."""


class TensorRtBackend(CudaBackend):
    """A TensorRT plan, deserialised once."""

    def _check(self) -> None:
        self._version = installed_version(self.folder.path)
        self._built_with = self._recorded("tensorrt")
        self._version_compatible = bool(self.manifest.options.get(VERSION_COMPATIBLE, False))
        check_version(
            self.folder.path, self._built_with, self._version, version_compatible=self._version_compatible
        )

    def _check_gpu(self) -> None:
        """Check that the engine was built for this GPU; raises EngineError.

        TensorRT only warns about a plan of another model with the same compute capability. But its kernels were
        chosen for that model's memory and cores, so here they may be slow or fail.
        """
        level = self.manifest.options.get(HARDWARE_COMPATIBLE)
        built_for, here = self._recorded("compute_capability"), self.gpu.compute_capability
        model = self._recorded("gpu")
        fits = {
            None: (model, built_for) == (self.gpu.name, here),
            SAME_CAPABILITY: built_for == here,
            AMPERE_PLUS: built_for == here or _capability(here) >= AMPERE,
        }
        if not fits.get(level, False):
            limit = f", {level}" if level else ""
            raise EngineError(
                f"{self.folder.path}: built for {model} (compute capability {built_for}{limit}), this GPU is "
                f"{self.gpu.name} ({here}): build it on this PC with "
                "`trainer build-engine MODEL --backend tensorrt --out …`"
            )

    def _recorded(self, name: str) -> str:
        version = self.manifest.versions.get(name)
        if version is None:
            raise EngineError(f"{self.folder.path}: the manifest does not state {name}: build the engine again")
        return version

    def _load(self, cuda: Cuda) -> Network:
        from inspector.backends.tensorrt_engine import TensorRtNetwork

        lean = None
        if self._version_compatible:
            lean = lean_library(self.folder.path, self._built_with, self._version)
        return TensorRtNetwork(self.folder, self.folder.path_of(PLAN_NAME), cuda, lean)

    def device(self) -> str:
        """Return the GPU, the precision and TensorRT's version."""
        return f"{super().device()}, TensorRT {self._version}"

    def versions(self) -> dict[str, str]:
        """Return TensorRT's version and the GPU's versions."""
        return {"tensorrt": self._version, **super().versions()}


def _capability(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
