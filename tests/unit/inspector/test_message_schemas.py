"""The JSON schemas of the messages that leave the PC."""

import json
from pathlib import Path

import msgspec
import pytest

from inspector.outbound.messages import SCHEMAS

FOLDER = Path(__file__).parents[3] / "docs" / "schemas"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_schema_is_what_is_sent(name: str) -> None:
    """docs/schemas holds the schema of each message as it is; after a change, write it from `expected`."""
    expected = msgspec.json.schema(SCHEMAS[name])
    assert json.loads((FOLDER / f"{name}.schema.json").read_text()) == expected
