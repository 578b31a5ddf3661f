"""What is imported when: the line runs without training libraries, and heavy ones load only when needed."""

import subprocess
import sys

import pytest

TRAINING = ("torch", "lightning", "torchmetrics", "onnx", "onnxruntime")


def loaded_by(code: str) -> set[str]:
    """Modules a fresh interpreter has after running the code."""
    program = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import inspector.cli",
        "import inspector.ingest.process, inspector.worker.process, inspector.decide.process",
        "import inspector.commands.replay, inspector.commands.bench, inspector.commands.check",
        "import trainer.cli, trainer.data.simulate, trainer.build.build",
    ],
)
def test_no_training_library_is_loaded(code: str) -> None:
    """The demo installs none of them."""
    assert not loaded_by(code) & set(TRAINING)


def test_openvino_is_loaded_only_by_an_engine_that_needs_it() -> None:
    """Every backend's library is optional until an engine asks for it."""
    loaded = loaded_by("import inspector.worker.process, inspector.decide.process, inspector.backends")
    assert "openvino" not in loaded


def test_a_tensorrt_engine_is_built_without_torch() -> None:
    """The extra `tensorrt` brings onnx alone: a model is rewritten for TensorRT on a PC that trains nothing."""
    assert not loaded_by("import trainer.build.tensorrt, trainer.build.gpu_onnx") & (set(TRAINING) - {"onnx"})


def test_a_database_library_is_loaded_only_where_records_are_asked_for() -> None:
    """A line without records runs without the extra that brings it."""
    loaded = loaded_by("import inspector.decide.process, inspector.commands.run, inspector.commands.check")
    assert not loaded & {"sqlalchemy", "psycopg", "pyarrow"}


def test_what_speaks_to_a_plc_or_to_prometheus_is_loaded_only_where_it_is_asked_for() -> None:
    """A line without a gate and without metrics runs without the extra that brings them."""
    loaded = loaded_by("import inspector.decide.process, inspector.commands.status, inspector.commands.check")
    assert not loaded & {"pymodbus", "prometheus_client"}


@pytest.mark.parametrize(
    "missing",
    [
        *TRAINING,
        "openvino",
        "sqlalchemy",
        "pyarrow",
        "pymodbus",
        "prometheus_client",
        "fastapi",
        "uvicorn",
        "argon2",
        "paho",
        "asyncua",
        "ray",
    ],
)
def test_help_works_without(missing: str) -> None:
    """`--help` needs no optional library."""
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom inspector.cli import main\nmain(['--help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "replay" in done.stdout
