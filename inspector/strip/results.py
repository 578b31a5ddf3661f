"""Stores the coils' results, and queues them for Level 2."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from inspector.files import write_whole
from inspector.numbers import THIN_SPACE
from inspector.sinks.coil_results import RESULTS_FOLDER, CoilResult, read_result
from inspector.strip.journal import Journal, ResultTaken

KEPT_DEFECTS: Final = 20_000
"""Most defects listed in a coil's file: 4 MB."""


class Results:
    """Reads and writes the files; also Level 2's outbox."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.folder = folder / RESULTS_FOLDER
        self.folder.mkdir(parents=True, exist_ok=True)
        self._journal = journal
        self.numbers = sorted(int(path.stem) for path in self.folder.glob("[0-9]*.json"))

    def keep(self, result: CoilResult) -> None:
        """Write a result; a repeated one replaces itself. Raises OSError."""
        write_whole(self.folder / f"{result.number:06d}.json", msgspec.json.format(msgspec.json.encode(result)))
        if result.number not in self.numbers:
            self.numbers.append(result.number)

    def read(self, number: int) -> CoilResult:
        """Read a result. Raises OSError, DecodeError."""
        return read_result(self.folder / f"{number:06d}.json")

    def oldest(self) -> tuple[int, Mapping[str, Any]] | None:
        """Return the oldest coil whose result Level 2 does not have, with the values of its telegram."""
        due = next((number for number in self.numbers if number not in self._journal.taken), None)
        return None if due is None else (due, telegram_values(self.read(due)))

    @property
    def unsent(self) -> int:
        """Number of results that Level 2 does not have."""
        return sum(number not in self._journal.taken for number in self.numbers)

    def taken(self, number: int) -> None:
        """Note that Level 2 has the result. Raises OSError."""
        self._journal.write(ResultTaken(number))


def telegram_values(result: CoilResult) -> dict[str, Any]:
    """Return all values that a result telegram may contain, with the worst defects first."""
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
        # A telegram's encoding may not have the space that groups digits.
        "reason": result.reasons[0].replace(THIN_SPACE, " ") if result.reasons else "",
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
