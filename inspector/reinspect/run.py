"""One reinspection: its units, their verdicts in the database, and what changes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select

from inspector.archive.camera import MISSED
from inspector.config.line import LoadedConfig
from inspector.config.recipe import load_recipe
from inspector.errors import ConfigError
from inspector.reinspect.changes import Changes, Frames, compared, of_verdicts, on_record
from inspector.reinspect.plans import with_plans
from inspector.reinspect.pool import Outcome, run_here, run_on_ray
from inspector.reinspect.units import Unit, find_units
from inspector.reinspect.work import finished, make_job, result_folder
from inspector.results import VERDICTS_NAME, read_verdicts
from inspector.runtime.lock import hold_place
from inspector.sinks.records.database import Database
from inspector.sinks.records.import_run import import_run
from inspector.sinks.records.rows import RUN_KEY_NAME
from inspector.sinks.records.schema import DEFECTS, INGESTS, RUNS, VERDICTS
from inspector.values import Code


@dataclass
class Reinspected:
    """The result of a reinspection."""

    out: Path
    units: int
    frames: int
    inspected: int = 0
    """Units inspected in this call."""
    failed: dict[str, str] = field(default_factory=dict)
    """Unit or recording → why it was not inspected."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Unit → how many of its frames cannot be read."""
    by_default: dict[str, str] = field(default_factory=dict)
    """Unit → why the line's recipe judged it, on a line with plans."""
    changes: Changes = field(default_factory=Changes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON and for the table."""
        return {
            "out": str(self.out),
            "units": self.units,
            "frames": self.frames,
            "inspected": self.inspected,
            "failed": self.failed,
            "damaged": self.damaged,
            "by_default": self.by_default,
            "compared": self.changes.frames,
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
        self._job = make_job(config, engine, engine_identity, work)
        self._database = Database(f"sqlite:///{out}")
        self._severities = {
            plan: load_recipe(Path(recipe.path)).recipe.coil.severity_mm2
            for plan, recipe in self._job.recipes.items()
        }

    def run(self, workers: int, address: str | None, show: Callable[[int, int], None]) -> Reinspected:
        """Inspect the units that are not done yet, record them, and compare everything. Raises InspectorError.

        `show` receives the numbers of finished and of all frames.
        """
        with hold_place("reinspect", self._work):
            units, by_default = with_plans(self._config.line, self._units)
            frames = sum(unit.frames for unit in units)
            result = Reinspected(self._out, len(units), frames, by_default=by_default)
            due, done = [], 0
            for unit in units:
                if unit.recordings:
                    result.failed |= dict(unit.damaged)
                else:
                    result.failed[unit.name] = unit.damaged[0][1]
                if unit.recordings and finished(self._job, unit) is None:
                    due.append(unit)
                    continue
                if unit.recordings:
                    self._take(unit, result)
                done += unit.frames
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
        imported = import_run(self._database, folder, self._config.identity)
        if imported.refused:
            # The unit was inspected again, because it has grown or its work folder is gone.
            forget_run(self._database, (folder / RUN_KEY_NAME).read_text())
            imported = import_run(self._database, folder, self._config.identity)
        if imported.refused:
            result.failed[unit.name] = f"the database refuses {imported.refused}: {imported.first_refusal}"
        times = {
            line.captured_ns for line in unit.lines() if line.captured_ns is not None and line.fault != MISSED.text
        }
        verdicts = list(read_verdicts(folder / VERDICTS_NAME))
        if lost := sum(Code.UNREADABLE in each.codes for each in verdicts):
            result.damaged[unit.name] = f"{lost} of its {len(verdicts)} frames cannot be read"
        after = of_verdicts(compared(verdicts, times))
        result.changes.add(self._before(after), after, self._severities[unit.plan])

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


def forget_run(database: Database, key: str) -> None:
    """Delete what the database has of a run. Raises ConfigError, WorkError."""
    of_run = select(RUNS.c.id).where(RUNS.c.key == key)
    with database.changing("reinspect") as connection, connection.begin():
        for table in (DEFECTS, VERDICTS, INGESTS):
            connection.execute(delete(table).where(table.c.run_id.in_(of_run)))
