"""The results of coils, one JSON file each: report, records and telegrams are made from them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from inspector.core.strip.quality import RatedDefect
from inspector.files import write_whole
from inspector.strip.journal import Journal, ResultTaken

RESULTS_FOLDER: Final = "coils"

KEPT_DEFECTS: Final = 20_000
"""Most defects listed in a coil's file: 4 MB."""


class RollMarkResult(msgspec.Struct, frozen=True):
    """A roll mark in one coil; places count from the coil's head."""

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
    """What the line says of one coil."""

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
    """Why the end is assumed; empty for an end that was said."""
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
    """What judged its frames."""
    roll_marks: tuple[RollMarkResult, ...]
    defects: tuple[RatedDefect, ...]
    """From head to tail; of more than KEPT_DEFECTS the largest."""


class Results:
    """Reads and writes the files; also Level 2's outbox."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.folder = folder / RESULTS_FOLDER
        self.folder.mkdir(parents=True, exist_ok=True)
        self._journal = journal
        self.numbers = sorted(int(path.stem) for path in self.folder.glob("[0-9]*.json"))

    def keep(self, result: CoilResult) -> None:
        """Write one; the same result again replaces itself. Raises OSError."""
        write_whole(self.folder / f"{result.number:06d}.json", msgspec.json.format(msgspec.json.encode(result)))
        if result.number not in self.numbers:
            self.numbers.append(result.number)

    def read(self, number: int) -> CoilResult:
        """One result. Raises OSError, DecodeError."""
        return read_result(self.folder / f"{number:06d}.json")

    def oldest(self) -> tuple[int, Mapping[str, Any]] | None:
        """The oldest coil whose result Level 2 does not have, with the values of its telegram."""
        due = next((number for number in self.numbers if number not in self._journal.taken), None)
        return None if due is None else (due, telegram_values(self.read(due)))

    @property
    def unsent(self) -> int:
        """Results that Level 2 does not have."""
        return sum(number not in self._journal.taken for number in self.numbers)

    def taken(self, number: int) -> None:
        """Level 2 has it. Raises OSError."""
        self._journal.write(ResultTaken(number))


def read_result(path: Path) -> CoilResult:
    """Read one file. Raises OSError, DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=CoilResult)


def find_result(folder: Path, coil: str) -> CoilResult | None:
    """The newest result of a coil of this name; None without one. Damaged files are left out."""
    for path in sorted((folder / RESULTS_FOLDER).glob("[0-9]*.json"), reverse=True):
        try:
            result = read_result(path)
        except (OSError, msgspec.DecodeError):
            continue
        if result.id == coil:
            return result
    return None


def telegram_values(result: CoilResult) -> dict[str, Any]:
    """The fields that a result telegram may have. Its defects are the worst ones, the worst first."""
    worst = sorted(result.defects, key=lambda each: (-each.severity, -each.area_mm2))
    return {
        "number": result.number,
        "id": result.id,
        "verdict": result.verdict,
        "plan": result.plan or "default",
        "length_mm": result.length_mm,
        "uninspected_mm": result.uninspected_mm,
        "frames": result.frames,
        "frames_rejected": result.frames_rejected,
        "frames_uninspected": result.frames_uninspected,
        "count": result.count,
        "reason": result.reasons[0] if result.reasons else "",
        "roll_marks": len(result.roll_marks),
        **{f"count_{name}": count for name, count in result.counts.items()},
        "defects": [
            {
                "kind": each.name,
                "from_head_mm": each.from_head_mm,
                "across_mm": each.across_mm,
                "length_mm": each.length_mm,
                "width_mm": each.width_mm,
                "area_mm2": each.area_mm2,
                "severity": each.severity,
                "side": each.side,
            }
            for each in worst
        ],
    }
