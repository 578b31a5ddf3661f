"""What we call exists: backend, builder and stand-in against NVIDIA's genuine bindings of TensorRT 10 and 11."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stub_signatures import signatures, stand_in_signatures

ROOT = Path(__file__).parents[2]
BINDINGS = ROOT / "out" / "bindings"
MAJORS = ("10", "11")

USERS = (
    "inspector/backends/tensorrt.py",
    "inspector/backends/tensorrt_engine.py",
    "inspector/backends/tensorrt_messages.py",
    "inspector/backends/tensorrt_versions.py",
    "trainer/build/tensorrt.py",
    "trainer/build/tensorrt_parser.py",
    "trainer/build/tensorrt_plan.py",
    "trainer/build/tensorrt_progress.py",
)
"""Everything that speaks to TensorRT."""


@pytest.fixture(params=MAJORS)
def bindings(request: pytest.FixtureRequest) -> Path:
    folder = BINDINGS / request.param
    if not (folder / "stubs" / "tensorrt" / "__init__.pyi").is_file():
        pytest.skip(f"no bindings of TensorRT {request.param}: `make bindings` fetches them from PyPI")
    return folder


def with_bindings(folder: Path, program: str) -> str:
    """What the program prints in a process that has the genuine bindings."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_call_has_the_bindings_types(bindings: Path) -> None:
    """mypy --strict of backend and builder against stubs made from the wheel: a changed signature fails here.

    The stubs never say None, so what we do where TensorRT returns None counts as unreachable: not warned of.
    """
    command = [sys.executable, "-m", "mypy", "--no-warn-unreachable", "--follow-imports=silent"]
    cache = bindings / "mypy-cache"
    environment = {**os.environ, "MYPYPATH": str(bindings / "stubs")}
    done = subprocess.run(
        [*command, "--cache-dir", str(cache), *USERS], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    ours = [line for line in done.stdout.splitlines() if line.startswith(("inspector/", "trainer/"))]
    assert ours == []
    assert "error: " not in done.stderr


def test_the_type_check_can_fail(bindings: Path, tmp_path: Path) -> None:
    """Held against itself: a flag TensorRT 11 dropped, a misspelt method and a wrong argument are all found."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import tensorrt as trt\n\n\ndef use(context: trt.IExecutionContext) -> None:\n"
        "    context.set_tensor_adress('frames', 1)\n    context.execute_async_v3('0')\n"
        "    print(trt.BuilderFlag.NO_SUCH_FLAG)\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--follow-imports=silent"]
    environment = {**os.environ, "MYPYPATH": str(bindings / "stubs")}
    done = subprocess.run([*command, str(wrong)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    found = [line for line in done.stdout.splitlines() if "wrong.py" in line and "error" in line]
    for word in ("set_tensor_adress", "execute_async_v3", "NO_SUCH_FLAG"):
        assert any(word in line for line in found), word


def test_every_name_we_use_exists(bindings: Path) -> None:
    """Each `trt.…` in the sources, looked up in the genuine module, not only in what was generated from it."""
    names = sorted({name for user in USERS for name in names_used(ROOT / user)})
    assert "BuilderFlag.VERSION_COMPATIBLE" in names
    program = (
        f"import operator, tensorrt\nfor name in {names}:\n    operator.attrgetter(name)(tensorrt)\nprint('all')"
    )
    assert with_bindings(bindings, program) == "all\n"


def test_our_callbacks_are_taken_by_the_bindings(bindings: Path) -> None:
    """Logger, error recorder and progress monitor derive from the genuine classes and answer as they must."""
    program = """
import tensorrt as trt
from inspector.backends.tensorrt_messages import TensorRtErrors, TensorRtLog
from trainer.build.tensorrt_plan import _LEVELS
from trainer.build.tensorrt_progress import BuildProgress
log, errors, progress = TensorRtLog(keep=True), TensorRtErrors(), BuildProgress(False, show=False)
assert isinstance(log, trt.ILogger) and isinstance(errors, trt.IErrorRecorder)
log.log(trt.ILogger.INFO, "built")
assert log.lines == ["INFO: built"]
assert errors.report_error(trt.ErrorCodeTRT.INVALID_STATE, "no\\nmemory") is False
assert (errors.get_num_errors(), errors.num_errors(), errors.get_error_code(0), errors.has_overflowed()) == (
    1, 1, trt.ErrorCodeTRT.INVALID_STATE, False)
assert errors.told() == "INVALID_STATE: no memory"
progress.phase_start("tactics", None, 3)
assert progress.step_complete("tactics", 0) is True
progress.phase_finish("tactics")
assert trt.Dims((1, 2, 3))[1:] == (2, 3)
print(len(_LEVELS))
"""
    assert with_bindings(bindings, program).endswith("\n2\n")


def test_a_library_that_returns_nothing_is_one_line(bindings: Path, tmp_path: Path) -> None:
    """The empty library gives no runtime and no builder: the bindings' TypeError is caught."""
    program = f"""
from pathlib import Path
from types import SimpleNamespace
from inspector.backends.tensorrt_engine import TensorRtNetwork
from inspector.errors import DeviceError, EngineError
from trainer.build.tensorrt_plan import build_plan
path = Path({str(tmp_path)!r})
try:
    folder = SimpleNamespace(manifest=None, read=lambda name: (path / name).read_bytes())
    TensorRtNetwork(folder, path / "model.plan", SimpleNamespace(works=lambda: True))
except EngineError as error:
    print(error)
try:
    build_plan(None, path / "model.onnx", "11", path / "cache")
except DeviceError as error:
    print(error)
"""
    said = with_bindings(bindings, program).splitlines()
    assert ["does not start (" in line for line in said] == [True, True]


def test_the_stand_in_has_the_bindings_signatures(bindings: Path) -> None:
    """Class for class, method for method, parameter for parameter; and the numbers of its enumerations."""
    genuine = signatures(bindings / "stubs" / "tensorrt" / "__init__.pyi")
    wrong = []
    for (owner, method), parameters in stand_in_signatures().items():
        if method == "__init__" and (owner, method) not in genuine:
            continue  # only the library makes one
        if parameters not in genuine.get((owner, method), []):
            wrong.append(f"{owner}.{method}{parameters}, genuine {genuine.get((owner, method), 'has none')}")
    assert wrong == []


def test_the_stand_in_has_the_bindings_numbers(bindings: Path) -> None:
    """Flags are used as numbers, too."""
    program = """
import enum, sys, tensorrt
sys.path.insert(0, "tests/stand_in/tensorrt")
import values
for name, kind in vars(values).items():
    if isinstance(kind, type) and issubclass(kind, values._Flag) and kind is not values._Flag:
        for member in kind:
            genuine = getattr(tensorrt, name).__members__[member.name]
            if int(genuine) != member.value:
                print(name, member.name, int(genuine), member.value)
"""
    if bindings.name == MAJORS[-1]:  # the generation it plays by default
        assert with_bindings(bindings, program) == ""


def names_used(source: Path) -> set[str]:
    """ "BuilderFlag.TF32" for each trt.BuilderFlag.TF32."""
    tree = ast.parse(source.read_text())
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        parts: list[str] = []
        at: ast.expr = node
        while isinstance(at, ast.Attribute):
            parts.insert(0, at.attr)
            at = at.value
        if isinstance(at, ast.Name) and at.id == "trt":
            found.add(".".join(parts))
    return found
