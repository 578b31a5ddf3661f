"""summary.json: the totals of a run, for other programs."""

import json
from pathlib import Path
from typing import Any, Final

from inspector.files import write_whole

SUMMARY_NAME: Final = "summary.json"


def write_summary(folder: Path, figures: dict[str, Any]) -> None:
    """Write the figures whole or not at all; raises OSError."""
    write_whole(folder / SUMMARY_NAME, json.dumps(figures, indent=1, ensure_ascii=False).encode() + b"\n")


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the figures of a run; raises OSError or ValueError."""
    figures: dict[str, Any] = json.loads((folder / SUMMARY_NAME).read_bytes())
    return figures
