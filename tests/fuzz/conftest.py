"""Whatever the input: no crash, no hang, no unbounded memory."""

from collections.abc import Iterator

import pytest

from tests.fuzz.bounds import bounds


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    with bounds():
        yield
