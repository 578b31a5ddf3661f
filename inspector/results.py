"""A run's results on disk: the names of its files, and how its verdicts are read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from inspector.values import Verdict

VERDICTS_NAME: Final = "verdicts.jsonl"

REJECTS_FOLDER: Final = "rejects"
"""Pictures of rejected frames."""

CONFIG_NAME: Final = "line.json"
"""The config as used, with every override and default."""

RECIPE_NAME: Final = "recipe.toml"
"""The recipe as used."""


def read_verdicts(path: Path) -> Iterator[Verdict]:
    """Read the verdicts of a log, in order. Raises msgspec.DecodeError for a line that is not a verdict."""
    decoder = msgspec.json.Decoder(Verdict)
    with path.open("rb") as lines:
        for line in lines:
            yield decoder.decode(line)
