"""Labelled frames, written once for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support.labelled import write_label_maps
from tests.support.once import Once


@pytest.fixture(scope="session")
def data(once: Once) -> Path:
    """The labelled frames as label maps."""
    return once.folder("steel", write_label_maps)


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Tests share the machine; more threads than cores wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
