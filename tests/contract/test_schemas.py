"""The contracts other programs read by are the published ones."""

from pathlib import Path

import pytest

from tests.support.lines import SCHEMAS
from tests.support.steel import SHARED


@pytest.mark.parametrize("path", sorted(SCHEMAS.iterdir()), ids=lambda path: path.name)
def test_schema_is_the_published_one(path: Path) -> None:
    """The copies here equal the originals, if these are available."""
    original = SHARED.parent / "contracts" / path.name
    if not original.exists():
        pytest.skip("the published schemas are not on this machine")
    assert path.read_bytes() == original.read_bytes()
