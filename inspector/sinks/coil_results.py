"""The result of a coil as a JSON file in the strip's folder, the source for report, records and telegrams."""

import re
from pathlib import Path
from typing import Final

import msgspec

from inspector.core.strip.quality import RatedDefect

RESULTS_FOLDER: Final = "coils"
RESULT_NAME: Final = re.compile(r"(\d{6,18})\.json")


class RollMarkResult(msgspec.Struct, frozen=True):
    """A roll mark in one coil; positions count from the coil's head."""

    text: str
    roll: str
    side: str
    name: str
    period_mm: float
    across_mm: float
    from_head_mm: float
    to_head_mm: float
    hits: int
    turns: int


class CoilResult(msgspec.Struct, frozen=True):
    """The line's result for one coil."""

    number: int
    id: str
    grade: str
    customer: str
    width_mm: float | None
    thickness_mm: float | None
    stated_length_mm: float | None
    start_mm: float
    end_mm: float
    length_mm: float
    started_ns: int
    ended_ns: int
    end_why: str
    """Why the end is assumed; empty for a reported end."""
    plan: str
    """Name; empty for the default."""
    plan_why: str
    recipe: str
    verdict: str
    reasons: tuple[str, ...]
    frames: int
    frames_rejected: int
    frames_uninspected: int
    uninspected_mm: float
    uninspected: tuple[tuple[float, float], ...]
    """Stretches from the head, mm."""
    count: int
    """Defects."""
    counts: dict[str, int]
    """By class."""
    severities: dict[str, int]
    """By severity."""
    engines: tuple[str, ...]
    recipes: tuple[str, ...]
    """The engines and recipes that judged its frames."""
    roll_marks: tuple[RollMarkResult, ...]
    defects: tuple[RatedDefect, ...]
    """From head to tail; only the KEPT_DEFECTS largest."""
    measured_width_mm: float | None = None
    """Between the strip's edges in the pictures; None where they are not looked for, or not both in view."""
    left_mm: float = 0.0
    right_mm: float = 0.0
    """The coil's edges across; both 0 in older results."""


def read_result(path: Path) -> CoilResult:
    """Read a result. Raises OSError, DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=CoilResult)


def find_result(folder: Path, coil: str) -> CoilResult | None:
    """Return the newest result of a coil with this name; None without one. Damaged files are skipped."""
    for path in sorted((folder / RESULTS_FOLDER).glob("[0-9]*.json"), reverse=True):
        try:
            result = read_result(path)
        except (OSError, msgspec.DecodeError):
            continue
        if result.id == coil:
            return result
    return None
