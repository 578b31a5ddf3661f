"""Stores the coils' results, and queues them for Level 2."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from inspector.files import write_whole
from inspector.numbers import THIN_SPACE
from inspector.repeated import Repeated
from inspector.sinks.coil_results import RESULT_NAME, RESULTS_FOLDER, CoilResult, read_result
from inspector.strip.journal import Journal, ResultTaken

KEPT_DEFECTS: Final = 20_000
"""Most defects listed in a coil's file: 4 MB."""

CHECKED: Final = 50
"""Newest results that a start reads: a power cut may have damaged them."""

log = structlog.get_logger()


class Results:
    """Reads and writes the files; also Level 2's outbox."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.folder = folder / RESULTS_FOLDER
        self.folder.mkdir(parents=True, exist_ok=True)
        self._journal, self._unread = journal, Repeated()
        names = (RESULT_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        self._numbers = dict.fromkeys(sorted(int(name[1]) for name in names if name is not None))
        for number in list(self._numbers)[-CHECKED:]:
            self.read(number)  # a damaged one is known now, before the logs of its coil are passed over

    @property
    def numbers(self) -> list[int]:
        """Numbers of the coils that have a result, in the order in which they were judged."""
        return list(self._numbers)

    def has(self, number: int) -> bool:
        """Whether a coil has a result."""
        return number in self._numbers

    def keep(self, result: CoilResult) -> None:
        """Write a result; a repeated one replaces itself. Raises OSError."""
        write_whole(self._path(result.number), msgspec.json.format(msgspec.json.encode(result)))
        self._numbers[result.number] = None

    def read(self, number: int) -> CoilResult | None:
        """Read a result; None without one, or while the file cannot be read.

        A file whose content is no result is put aside: its coil is judged again.
        """
        if number not in self._numbers:
            return None
        path = self._path(number)
        try:
            return read_result(path)
        except OSError as error:
            if (count := self._unread.due()) is not None:
                log.error(
                    "a coil's result cannot be read: retrying", path=str(path), error=error.strerror, count=count
                )
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            aside = path.with_suffix(".damaged")
            log.error(
                "a coil's result cannot be read: the coil is judged again", path=str(aside), error=str(error)
            )
            with contextlib.suppress(OSError):  # the next start finds it again
                path.replace(aside)
            self._numbers.pop(number, None)
            return None

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"

    def oldest(self) -> tuple[int, Mapping[str, Any]] | None:
        """Return the oldest coil whose result Level 2 does not have, with the values of its telegram."""
        for number in self.numbers:
            if number not in self._journal.taken and (result := self.read(number)) is not None:
                return number, telegram_values(result)
        return None

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
