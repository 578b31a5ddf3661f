"""One reinspection: its units, their verdicts in the database, and what changes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inspector.config.line import LoadedConfig
from inspector.config.recipe import load_recipe
from inspector.errors import ConfigError
from inspector.reinspect.changes import Changes, Frames, of_verdicts, on_record
from inspector.reinspect.pool import Outcome, run_here, run_on_ray
from inspector.reinspect.units import Unit, find_units
from inspector.reinspect.work import Job, finished, result_folder
from inspector.results import VERDICTS_NAME, read_verdicts
from inspector.runtime.lock import hold_place
from inspector.sinks.records.database import Database
from inspector.sinks.records.import_run import import_run


@dataclass
class Reinspected:
    """The result of a reinspection."""

    out: Path
    units: int
    frames: int
    inspected: int = 0
    """Units inspected in this call."""
    failed: dict[str, str] = field(default_factory=dict)
    changes: Changes = field(default_factory=Changes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON and for the table."""
        return {
            "out": str(self.out),
            "units": self.units,
            "frames": self.frames,
            "inspected": self.inspected,
            "failed": self.failed,
            "flips": dict(self.changes.flips.most_common()),
            "changes": self.changes.rows(),
        }


class Reinspection:
    """An archive, an engine, and the database of the new verdicts."""

    def __init__(
        self, config: LoadedConfig, engine: Path, engine_identity: str, archive: Path, out: Path, work: Path
    ) -> None:
        """Raises InputError for an archive without recordings."""
        self._config, self._out, self._work = config, out, work
        self._units = find_units(archive)
        self._job = Job(str(config.path.resolve()), str(engine), engine_identity, config.identity, str(work))
        self._database = Database(f"sqlite:///{out}")
        self._severities = load_recipe(config.line.recipe).recipe.coil.severity_mm2

    def run(self, workers: int, address: str | None, show: Callable[[int, int], None]) -> Reinspected:
        """Inspect the units that are not done yet, record them, and compare everything. Raises InspectorError.

        `show` receives the numbers of finished and of all frames.
        """
        with hold_place("reinspect", self._work):
            due = [unit for unit in self._units if finished(self._job, unit) is None]
            result = Reinspected(self._out, len(self._units), sum(unit.frames for unit in self._units))
            for unit in self._units:
                if unit not in due:
                    self._take(unit, result)
            done = sum(unit.frames for unit in self._units if unit not in due)
            show(done, result.frames)
            for unit, outcome in self._outcomes(due, workers, address):
                if isinstance(outcome, str):
                    result.failed[unit.name] = outcome
                else:
                    result.inspected += 1
                    self._take(unit, result)
                done += unit.frames
                show(done, result.frames)
        return result

    def _outcomes(self, units: Sequence[Unit], workers: int, address: str | None) -> Iterator[Outcome]:
        if workers == 1 and address is None:
            return run_here(self._job, units)
        return run_on_ray(self._job, units, workers, address) if units else iter(())

    def _take(self, unit: Unit, result: Reinspected) -> None:
        """Write a finished unit into the database, which ignores frames that it has, and compare it."""
        folder = result_folder(self._job, unit)
        imported = import_run(self._database, folder, self._job.config_identity)
        if imported.refused:
            result.failed[unit.name] = f"the database refuses {imported.refused}: {imported.first_refusal}"
        after = of_verdicts(read_verdicts(folder / VERDICTS_NAME))
        result.changes.add(self._before(after), after, self._severities)

    def _before(self, after: Frames) -> Frames:
        """Return the frames on record in the time span of these."""
        records = Database(str(self._config.line.records.url))
        if not after or (records.file is not None and not records.file.exists()):
            return {}
        times = [captured_ns for _, captured_ns in after]
        found: Frames = {}
        try:
            with records.reading("reinspect") as connection:
                for camera in {camera for camera, _ in after}:
                    found |= on_record(connection, camera, min(times), max(times))
        except ConfigError:
            return {}  # a database without tables has no verdict on record
        return found
