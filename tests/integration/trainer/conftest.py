"""Labelled frames, and a network trained on them once for all tests."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from inspector.backends.speed import measure_speed
from tests.support.labelled import write_label_maps
from tests.support.once import Once
from trainer.cli import main


@pytest.fixture(scope="session")
def data(once: Once) -> Path:
    """The labelled frames as label maps."""
    return once.folder("steel", write_label_maps)


TRAINING_NICE = 10


@pytest.fixture(autouse=True, scope="module")
def _give_way() -> Iterator[None]:
    """Trainings give way to the tests beside them that wait for a clock. Only root may take the priority back."""
    if os.geteuid() != 0:
        yield
        return
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, before + TRAINING_NICE)
    yield
    os.setpriority(os.PRIO_PROCESS, 0, before)


TRAIN_OPTIONS = (
    *("--widths", "8,16", "--stem-stride", "2", "--batch", "8", "--lr", "0.01", "--ema", "0.9"),
    *("--val", "0.25", "--threads", "1", "--precision", "fp32", "--device", "cpu"),
)
"""A network of 9,000 weights learns this steel in seconds."""


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Tests share the machine; more threads than cores wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


BRIEFLY_S = 0.1
"""Long enough for a figure, which no test here holds against another."""


@pytest.fixture(scope="session", autouse=True)
def speed_is_measured_briefly() -> Iterator[None]:
    """Each build measures its engine's speed for two seconds on all cores; a build in this process takes less."""
    with patch("trainer.build.build.measure_speed", partial(measure_speed, seconds=BRIEFLY_S)):
        yield


@pytest.fixture(scope="session")
def run_folder(data: Path, once: Once, one_thread: None) -> Path:
    """A finished run."""
    options = ("--epochs", "20", *TRAIN_OPTIONS)
    return once.folder("run", lambda out: made("train", "--data", data, "--out", out, *options))


@pytest.fixture(scope="session")
def model_folder(run_folder: Path, once: Once) -> Path:
    """The export of the run."""
    return once.folder("model", lambda out: made("export", run_folder / "best.ckpt", "--out", out))


@pytest.fixture(scope="session")
def engine_folder(model_folder: Path, once: Once) -> Path:
    """The OpenVINO engine of the model."""
    options = ("--precision", "fp32")
    return once.folder("engine", lambda out: made("build-engine", model_folder, *options, "--out", out))


def made(*command: object) -> None:
    """Run a trainer command, which must succeed."""
    assert main([*map(str, command)]) == 0
