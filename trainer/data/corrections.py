"""corrections.json: from which reviews of a line the labels of a data set come.

`inspector dataset export` writes it, `trainer combine` joins several, and the card of an engine shows it.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from inspector.errors import InputError
from inspector.files import write_whole

CORRECTIONS_NAME: Final = "corrections.json"
CORRECTIONS: Final = "corrections"
"""Key in that file, in the facts of a checkpoint, and on the card."""

SCHEMA_VERSION: Final = 1
IMAGES: Final = "images"


def read_corrections(root: Path) -> list[dict[str, Any]]:
    """The entries of a data set's corrections.json; empty without the file. Raises InputError for a broken one."""
    path = root / CORRECTIONS_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = content[CORRECTIONS]
        if content["schema_version"] != SCHEMA_VERSION:
            raise InputError(
                f"{path}: schema version {content['schema_version']}, this program reads {SCHEMA_VERSION}"
            )
        for entry in entries:
            if not all(isinstance(name, str) for name in entry[IMAGES]):
                raise InputError(f"{path}: {IMAGES} must be a list of file names: export the frames again")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not written by `inspector dataset export` ({error}): export again") from None
    return list(entries)


def write_corrections(root: Path, entries: list[dict[str, Any]]) -> None:
    """Write corrections.json; nothing without entries."""
    if entries:
        content = {"schema_version": SCHEMA_VERSION, CORRECTIONS: entries}
        write_whole(root / CORRECTIONS_NAME, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def learned_from(root: Path, trained: Collection[str], chose: Collection[str]) -> list[dict[str, Any]]:
    """The entries for a card: without the names of images, with how many `trained` the network and how many
    `chose` its checkpoint and thresholds."""
    training, choosing = set(trained), set(chose)
    return [
        {
            **{key: value for key, value in entry.items() if key != IMAGES},
            "trained": len(training.intersection(entry[IMAGES])),
            "chose": len(choosing.intersection(entry[IMAGES])),
        }
        for entry in read_corrections(root)
    ]
