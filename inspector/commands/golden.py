"""Compares a replay with an earlier one, to approve a new engine or recipe."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Final

import msgspec

from inspector.errors import InputError
from inspector.results import VERDICTS_NAME, read_verdicts
from inspector.values import Verdict

IGNORED: Final = ("captured_ns", "ingest_epoch", "stage_ms", "recipe", "engine", "file")
"""Keys left out of the comparison.

Times differ between runs, recipe and engine are what is being approved, and a recording has no file names.
"""


@dataclass(slots=True)
class Differences:
    """Differences between two runs."""

    frames: int = 0
    """Frames compared."""
    lines: list[str] = field(default_factory=list)
    """One readable line per frame that differs."""
    flips: Counter[str] = field(default_factory=Counter)
    """Count per change of decision, such as "accept → reject"."""


def compare(golden: Path, new: Path) -> Differences:
    """Compare the verdicts of two run folders frame by frame.

    Raises InputError if one folder holds no readable verdict log.
    """
    differences = Differences()
    for before, after in zip_longest(_read(golden), _read(new)):
        differences.frames += 1
        if before is None or after is None:
            left = before or after
            missing = "the golden run" if before is None else "this run"
            differences.lines.append(f"{_name(left)}: not in {missing}")
            differences.flips[f"frame not in {missing}"] += 1
            continue
        if said := _difference(before, after):
            differences.lines.append(f"{_name(after)}: {said}")
            if before.decision is not after.decision:
                differences.flips[f"{before.decision} → {after.decision}"] += 1
    return differences


def _difference(before: Verdict, after: Verdict) -> str:
    if before.decision is not after.decision:
        reasons = "; ".join(after.reasons or before.reasons)
        return f"{before.decision} → {after.decision} ({reasons})"
    for key in Verdict.__struct_fields__:
        if key not in IGNORED and getattr(before, key) != getattr(after, key):
            return f"{key}: {_short(getattr(before, key))} → {_short(getattr(after, key))}"
    return ""


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return (
            "; ".join(f"{each.name} {each.box}" if hasattr(each, "box") else str(each) for each in value) or "none"
        )
    return str(value)


def _name(verdict: Verdict | None) -> str:
    return "" if verdict is None else f"{verdict.camera} frame {verdict.frame_id}"


def _read(folder: Path) -> list[Verdict]:
    """Read a run's verdicts, sorted by camera and frame, because cameras finish in any order."""
    path = folder / VERDICTS_NAME
    try:
        verdicts = list(read_verdicts(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: give the folder of an earlier replay") from None
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: not a verdict log: {error}") from None
    return sorted(verdicts, key=lambda verdict: (verdict.camera, verdict.frame_id))
