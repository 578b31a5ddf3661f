"""Differences between TensorRT 10 and 11, and between the installed version and the one that built an engine."""

from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inspector.errors import EngineError

if TYPE_CHECKING:
    import tensorrt as trt

PIP: Final = "pip install --extra-index-url https://pypi.nvidia.com"
"""Only NVIDIA's own index has the library."""

INSTALL: Final = (
    f"{PIP} 'strip-inspector[tensorrt]'; without it this PC can "
    "use `trainer build-engine MODEL --backend torch` or `--backend openvino`"
)

MAJORS: Final = (10, 11)
"""Major versions that this package was checked against."""

VERSION_COMPATIBLE: Final = "version_compatible"
"""Option of the manifest: later TensorRT versions may run the engine, through the lean runtime of its version."""


def installed_version(folder: Path) -> str:
    """Return the installed version; raises EngineError if TensorRT is missing or its major version unchecked."""
    try:
        version = str(import_module("tensorrt").__version__)
    except (ImportError, OSError, AttributeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EngineError(f"{folder}: needs TensorRT, which cannot be imported ({reason}): {INSTALL}") from None
    if _major(version) not in MAJORS:
        wanted = " or ".join(map(str, MAJORS))
        raise EngineError(f"{folder}: TensorRT here is {version}, this inspector knows {wanted}: {INSTALL}")
    return version


def check_version(folder: Path, built_with: str, here: str, *, version_compatible: bool) -> None:
    """Raise EngineError when the installed TensorRT cannot run an engine of `built_with`."""
    if built_with == here:
        return
    if not version_compatible:
        raise EngineError(
            f"{folder}: built with TensorRT {built_with}, here is {here}, but an engine runs on its own "
            "version only: build it again on this PC (`trainer build-engine MODEL --backend tensorrt --out …`) or "
            f"`{PIP} 'tensorrt-cu13=={built_with}'`"
        )
    if _release(built_with) > _release(here):
        raise EngineError(
            f"{folder}: built with TensorRT {built_with}, here is the older {here}: build it again on this PC "
            "with `trainer build-engine MODEL --backend tensorrt --out …`"
        )


def lean_library(folder: Path, built_with: str, here: str) -> Path | None:
    """Return the lean runtime of the version that built a version-compatible engine; None when it is not needed.

    The plan does not contain that runtime, so TensorRT loads it from where it is installed. Without it, only the
    version that built the engine can open the plan; raises EngineError for any other.
    """
    try:
        found = metadata.version("tensorrt-lean-cu13-libs")
        libraries = Path(str(import_module("tensorrt_lean_libs").__file__)).parent
    except (ImportError, metadata.PackageNotFoundError):
        found, libraries = "none", folder
    library = libraries / f"libnvinfer_lean.so.{_major(built_with)}"
    if found == built_with and library.is_file():
        return library
    if built_with == here:
        return None
    raise EngineError(
        f"{folder}: built with TensorRT {built_with} for later versions, which run it through its lean "
        f"runtime {built_with} (found {found}): `pip install tensorrt-lean-cu13-libs=={built_with}`"
    )


def network_flags(tensorrt: "type[trt.NetworkDefinitionCreationFlag]", version: str) -> int:
    """Return the flags of a strongly typed network. TensorRT 10 needs one; 11 has no other networks."""
    return 1 << int(tensorrt.STRONGLY_TYPED) if _major(version) == 10 else 0


def _major(version: str) -> int:
    return _release(version)[0]


def _release(version: str) -> tuple[int, ...]:
    """ "10.14.1.48.post1" → (10, 14, 1, 48)."""
    return tuple(int(part) for part in version.split(".") if part.isdigit()) or (0,)
