"""Results of coils by number, from the strip's folder."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from inspector.outbound.stream import COILS, Step
from inspector.sinks.coil_results import RESULT_NAME, RESULTS_FOLDER, read_result

log = structlog.get_logger()


class Coils:
    """The coils that the strip process has judged; it judges them in the order of their numbers."""

    name = COILS

    def __init__(self, folder: Path) -> None:
        self._folder = folder / RESULTS_FOLDER
        self._number = 0

    def seek(self, position: Any) -> None:
        """Continue after the coil with this number; None continues after the newest."""
        if position is None:
            self._number = max(self._numbers(), default=0)
        else:
            self._number = msgspec.convert(position, int)

    def position(self) -> Any:
        """Number of the last coil that was read."""
        return self._number

    def read(self, most: int) -> Sequence[Step]:
        """Return coils that have been judged since. Raises OSError."""
        steps: list[Step] = []
        numbers = self._numbers()
        if numbers and max(numbers) < self._number:
            log.warning(
                "the strip's folder begins again: its coils are sent from the first one",
                folder=str(self._folder), at=self._number, newest=max(numbers),
            )  # fmt: skip
            self._number = 0
        for number in sorted(each for each in numbers if each > self._number)[:most]:
            path = self._folder / f"{number:06d}.json"
            try:
                steps.append(Step(self.name, number, read_result(path)))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                log.error("a coil's result is damaged and not sent", path=str(path), error=str(error))
            except OSError:
                if not steps:
                    raise
                break  # what was read is sent; the next call says why the rest is not
            self._number = number
        return steps

    def _numbers(self) -> list[int]:
        try:
            names = os.listdir(self._folder)  # noqa: PTH208  # a glob passes over a folder that it may not read
        except FileNotFoundError:
            return []
        return [int(found[1]) for name in names if (found := RESULT_NAME.fullmatch(name)) is not None]
