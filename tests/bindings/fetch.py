"""NVIDIA's genuine Python bindings of TensorRT, made importable without the library, with stubs for mypy.

`python tests/bindings/fetch.py FOLDER` downloads the wheels from PyPI, puts empty libraries beside them that
export the symbols they look for, and writes stubs. Every class, flag and signature is then there to check calls
against; nothing can be computed. The lean runtime, which runs plans and builds none, comes with its library, and
so does TensorRT-RTX, whose genuine parser and builder need no GPU.
Where pip, the network or a C compiler is missing it says so and leaves with 0: tests that need the folder skip.
"""

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

VERSIONS: Final = ("10.16.1.11", "11.4.0.106")
"""The newest of each generation that is served; a release is added here first, and CI says what it breaks."""

LIBRARIES: Final = ("nvinfer", "nvinfer_plugin", "nvonnxparser")

SYMBOLS: Final = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getPluginRegistry",
    "initLibNvInferPlugins",
    "getNvOnnxParserVersion",
)

LEAN: Final = VERSIONS[-1]
"""NVIDIA's runtime without a builder is on PyPI, library and all: how it refuses can be seen on any PC."""

RTX: Final = "1.7.1.116"
"""TensorRT-RTX, parser and builder included: the same Python interface, and it builds on a CPU alone."""

TIMEOUT_S: Final = 240


class NotHad(Exception):  # noqa: N818 (nothing went wrong: it cannot be had here)
    """What is missing."""


def main(folder: Path) -> int:
    """Make what is not there yet."""
    for version in VERSIONS:
        _once(f"bindings of TensorRT {version}", version, folder / version.partition(".")[0], _make)
    _once(f"TensorRT's lean runtime {LEAN}", LEAN, folder / "lean", _unpack_lean)
    _once(f"TensorRT-RTX {RTX}", RTX, folder / "rtx", _unpack_rtx)
    return 0


def _once(what: str, version: str, done: Path, make: Callable[[str, Path], None]) -> None:
    """`make` writes the folder; a file named as its version is the last of it."""
    if (done / version).is_file():
        return
    shutil.rmtree(done, ignore_errors=True)
    done.mkdir(parents=True)
    try:
        make(version, done)
    except NotHad as missing:
        shutil.rmtree(done, ignore_errors=True)
        print(f"{what} cannot be had here: {missing}; the checks against it skip")
    else:
        (done / version).touch()
        print(f"{what}: {done}")


def _make(version: str, folder: Path) -> None:
    _unpack(folder, f"tensorrt-cu13-bindings=={version}")
    _link(version.partition(".")[0], folder / "tensorrt_bindings")
    _alias(folder, "tensorrt_bindings")
    program = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); from pybind11_stubgen import main; "
        f"main(['tensorrt_bindings.tensorrt', '--ignore-all-errors', '-o', {str(folder / 'raw')!r}])"
    )
    _run("pybind11-stubgen", sys.executable, "-c", program)
    raw = (folder / "raw" / "tensorrt_bindings" / "tensorrt.pyi").read_text()
    target = folder / "stubs" / "tensorrt" / "__init__.pyi"
    target.parent.mkdir(parents=True)
    target.write_text(_readable(raw))


def _unpack_lean(version: str, folder: Path) -> None:
    _unpack(folder, f"tensorrt-lean-cu13-bindings=={version}", f"tensorrt-lean-cu13-libs=={version}")
    _alias(folder, "tensorrt_lean_bindings")


def _unpack_rtx(version: str, folder: Path) -> None:
    _unpack(folder, f"tensorrt-rtx-cu13-bindings=={version}", f"tensorrt-rtx-cu13-libs=={version}")
    # It counts its own versions; its interface is that of the newest TensorRT.
    module = "tensorrt_rtx_bindings"
    (folder / "tensorrt.py").write_text(f'from {module} import *\n\n__version__ = "{VERSIONS[-1]}"\n')


def _unpack(folder: Path, *requirements: str) -> None:
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    _run("pip", *download, "--dest", str(folder), *requirements)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        wheel.unlink()


def _alias(folder: Path, module: str) -> None:
    """What the `tensorrt` wheel is."""
    (folder / "tensorrt.py").write_text(f"from {module} import *\nfrom {module} import __version__\n")


def _link(major: str, beside: Path) -> None:
    """Empty libraries where the wheel's own search path finds them: beside its extension module."""
    source = beside / "empty.c"
    source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in SYMBOLS))
    for library in LIBRARIES:
        name = f"lib{library}.so.{major}"
        _run(
            "a C compiler (cc)",
            "cc",
            "-shared",
            "-fPIC",
            f"-Wl,-soname,{name}",
            "-o",
            str(beside / name),
            str(source),
        )


def _readable(stub: str) -> str:
    """Return a stub that mypy can read: invalid signatures become untyped, and two gaps are closed."""
    lines = stub.splitlines()
    while True:
        try:
            ast.parse("\n".join(lines))
            break
        except SyntaxError as error:
            at = (error.lineno or 1) - 1
            found = re.match(r"(\s*)def (\w+)\(", lines[at])
            if found is None:
                raise
            indent, name = found.groups()
            lines[at] = f"{indent}def {name}(self, *args: typing.Any, **kwargs: typing.Any) -> typing.Any:"
    text = "\n".join(lines)
    # The buffer protocol of IHostMemory cannot be seen in Python 3.11, and the version is set outside the module.
    buffer = "    def __buffer__(self, flags: int, /) -> memoryview: ...\n"
    text = text.replace("class IHostMemory:\n", f"class IHostMemory:\n{buffer}")
    return f"{text}\n__version__: str\n"


def _run(what: str, *command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHad(f"{what}: {error}") from None
    if done.returncode:
        raise NotHad(f"{what}: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
