"""Files that are written whole or not at all."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.files import write_whole

MOST_BYTES = 1000


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Every write beyond MOST_BYTES fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    """The old file stays, and nothing beside it."""
    path = tmp_path / "server.der"
    write_whole(path, b"old")
    with pytest.raises(OSError, match=r"too large") as error:
        write_whole(path, b"x" * (MOST_BYTES + 1))
    assert error.value.filename == str(path)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"old"]
