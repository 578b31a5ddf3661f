"""Collects the verdicts on the running coil, and judges a coil once all its verdicts are in the log."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from inspector.config.plans import PlanSet
from inspector.core.strip.coils import BEHIND_MM, SAME_PLACE_MM, Coil
from inspector.core.strip.periodic import RollMark, RollMarks, Spot
from inspector.core.strip.quality import CoilShape, CoilVerdict, RatedDefect, counts, judge_coil
from inspector.core.strip.surface import Surface, View
from inspector.sinks.coil_results import CoilResult, RollMarkResult
from inspector.strip.log_tail import LogTail
from inspector.strip.results import KEPT_DEFECTS, Results
from inspector.values import Decision, Verdict

LEAST_WAIT_S: Final = 1.5
"""Longest time from a frame's deadline to its line in the log, seconds; the log's thread writes every second."""

FORGET_MM: Final = BEHIND_MM + 50_000.0
"""Length of strip kept before the oldest coil without a verdict, because telegrams may be late."""

LONGEST_COIL_MM: Final = 100e6
"""Most strip kept; a coil is never longer. 100 km take 4 MB per camera."""

FRAMES_SHORT: Final = 2
"""How far before a coil's tail a camera's newest frame may begin, frames: the strip may stand at the tail."""

LOG_WAIT_NS: Final = 30_000_000_000
"""Longest time for which a coil's verdict waits for a log that is behind."""

LATE_START_MM: Final = 5_000.0
"""Most steel at a coil's head that another plan may judge, mm: at 20 m/s a start takes that long to reach ingest
within 0.25 s. More holds the coil. Less counts as uninspected."""

TIDY_FRAMES: Final = 5000
"""Frames between two attempts to drop old data."""


class CoilJudge:
    """The surface of the strip and the coils on it. Not thread-safe; only the main thread uses it."""

    def __init__(
        self,
        tails: Sequence[LogTail],
        surface: Surface,
        roll_marks: RollMarks,
        views: dict[str, View],
        plans: PlanSet,
        results: Results,
        wait_s: float,
        centre_across_mm: float | None,
        farthest_mm: float,
    ) -> None:
        """`tails` are the logs to read, oldest first; `wait_s` is the time from a coil's tail to its verdict.
        `farthest_mm` is the distance from the zero of the positions to the last camera."""
        self._farthest_mm = farthest_mm
        self._tails, self._surface, self._marks = list(tails), surface, roll_marks
        self._views, self._plans, self._results = views, plans, results
        self._wait_ns = int(wait_s * 1e9)
        self._centre_mm = centre_across_mm
        self._passed_ns: dict[int, int] = {}
        """Coil's number → monotonic ns at which its tail had passed and the log was read."""
        self._judged_by: dict[tuple[str, str], tuple[float, float]] = {}
        """(engine, recipe) → first and last position that they judged."""
        self._since_tidy = 0

    def read(self) -> bool:
        """Read the next piece of the log; returns whether there was any."""
        taken = 0
        for verdict in self._tails[0].read():
            taken += 1
            self._take(verdict)
        self._since_tidy += taken
        if not taken and len(self._tails) > 1:
            self._tails.pop(0).close()
            return True
        return taken > 0

    def _take(self, verdict: Verdict) -> None:
        by, at_mm = (verdict.engine, verdict.recipe), verdict.position_mm
        first_mm, last_mm = self._judged_by.get(by, (at_mm, at_mm))
        self._judged_by[by] = (min(first_mm, at_mm), max(last_mm, at_mm))
        for defect in self._surface.add(verdict):
            spot = Spot(defect.along_mm, defect.across_mm, defect.area_mm2)
            self._marks.add(defect.side, defect.name, spot)

    def conclude(self, coils: Sequence[Coil], now_mm: float, *, whole: bool = False) -> list[CoilResult]:
        """Judge every coil whose tail passed long enough ago; returns the new results.

        `whole`: the log is complete, so that no verdict waits for it.

        Raises OSError if one cannot be written.
        """
        concluded: list[CoilResult] = []
        for coil in coils:
            if coil.end_mm is None or self._results.has(coil.number):
                continue
            if now_mm - self._farthest_mm < coil.end_mm - SAME_PLACE_MM:
                self._passed_ns.pop(coil.number, None)
                continue
            since_ns = self._passed_ns.setdefault(coil.number, time.monotonic_ns())
            waited_ns = time.monotonic_ns() - since_ns
            behind = [] if whole else self._behind(coil.start_mm, coil.end_mm)
            if waited_ns < self._wait_ns + (LOG_WAIT_NS if behind else 0) or len(self._tails) > 1:
                continue
            result = self._result(coil, coil.end_mm, behind)
            self._results.keep(result)
            concluded.append(result)
        if self._since_tidy >= TIDY_FRAMES:
            self._since_tidy = 0
            due = [coil.start_mm for coil in coils if not self._results.has(coil.number)]
            before_mm = max(min([*due, now_mm]) - FORGET_MM, now_mm - LONGEST_COIL_MM)
            self._surface.forget(before_mm)
            self._judged_by = {by: span for by, span in self._judged_by.items() if span[1] >= before_mm}
        return concluded

    def _behind(self, start_mm: float, end_mm: float) -> list[str]:
        """Return the cameras whose verdicts in the log end on a coil, before its tail.

        decide or its disk is behind, or the camera gives no frame. A coil without any verdict is held anyway.
        """
        return [
            camera
            for camera in self._views
            if start_mm
            <= self._surface.newest_mm.get(camera, -math.inf)
            < end_mm - FRAMES_SHORT * self._surface.frame_mm(camera)
        ]

    def _alike(self, recipe: str, coil: Coil) -> bool:
        """Whether a recipe judges frames as the coil's plan does: plans may differ in rules for coils only."""
        if recipe == coil.start.recipe:
            return True
        one, other = (self._plans.recipe(identity).recipe for identity in (recipe, coil.start.recipe))
        known = {recipe, coil.start.recipe} <= self._plans.identities
        return known and one.frame_rules() == other.frame_rules()

    def _shape(self, coil: Coil, end_mm: float) -> CoilShape:
        left_mm, right_mm = self._surface.across()
        width_mm = coil.start.coil.width_mm
        if width_mm is not None:
            centre_mm = (left_mm + right_mm) / 2 if self._centre_mm is None else self._centre_mm
            left_mm, right_mm = centre_mm - width_mm / 2, centre_mm + width_mm / 2
        return CoilShape(coil.start_mm, end_mm, left_mm, right_mm)

    def _result(self, coil: Coil, end_mm: float, behind: Sequence[str] = ()) -> CoilResult:
        start_mm, data = coil.start_mm, coil.start.coil
        settings = self._plans.recipe(coil.start.recipe, coil.start.plan).recipe.coil
        defects = self._surface.between(start_mm, end_mm)
        missing = self._surface.uninspected(start_mm, end_mm, lambda recipe: self._alike(recipe, coil))
        uninspected_mm = sum(last - first for first, last in missing)
        by_others_mm = uninspected_mm - sum(
            last - first for first, last in self._surface.uninspected(start_mm, end_mm)
        )
        marks = [mark for mark in self._marks.marks if mark.last_mm >= start_mm and mark.first_mm < end_mm]
        also = [(CoilVerdict.HOLD, mark.text(start_mm)) for mark in marks] if settings.hold_roll_marks else []
        if by_others_mm > LATE_START_MM:
            why = (
                f"{by_others_mm / 1000:.1f} m were judged by another recipe than its plan's: its start came "
                "late, or the plan was changed"
            )
            also.append((CoilVerdict.HOLD, why))
        for camera in behind:
            short_mm = end_mm - max(start_mm, self._surface.newest_mm.get(camera, start_mm))
            why = f"{camera}: no verdict in the log for the last {short_mm / 1000:.1f} m"
            also.append((CoilVerdict.HOLD, why))
        shape = self._shape(coil, end_mm)
        judged = judge_coil(defects, settings.bind(), shape, uninspected_mm, also)
        frames = self._surface.frames(start_mm, end_mm)
        width_mm = self._surface.width_mm(start_mm, end_mm)
        by = [by for by, (first, last) in self._judged_by.items() if last >= start_mm and first < end_mm]
        return CoilResult(
            number=coil.number,
            id=coil.id,
            grade=data.grade,
            customer=data.customer,
            width_mm=data.width_mm,
            thickness_mm=data.thickness_mm,
            stated_length_mm=data.length_mm,
            start_mm=round(start_mm, 1),
            end_mm=round(end_mm, 1),
            length_mm=round(end_mm - start_mm, 1),
            started_ns=coil.start.at_ns,
            ended_ns=coil.end_ns or coil.start.at_ns,
            end_why=coil.end_why,
            plan=coil.start.plan,
            plan_why=coil.start.plan_why,
            recipe=coil.start.recipe,
            verdict=judged.verdict.value,
            reasons=judged.reasons,
            frames=frames.total(),
            frames_rejected=frames[Decision.REJECT],
            frames_uninspected=frames[Decision.UNINSPECTED],
            uninspected_mm=round(uninspected_mm, 1),
            uninspected=tuple((round(first - start_mm, 1), round(last - start_mm, 1)) for first, last in missing),
            count=len(judged.defects),
            counts=counts(judged.defects),
            severities=dict(Counter(str(each.severity) for each in judged.defects)),
            engines=tuple(sorted({engine for engine, _ in by})),
            recipes=tuple(sorted({recipe for _, recipe in by})),
            roll_marks=tuple(_in_coil(mark, start_mm, end_mm) for mark in marks),
            defects=_largest(judged.defects),
            measured_width_mm=None if width_mm is None else round(width_mm, 1),
            left_mm=shape.left_mm,
            right_mm=shape.right_mm,
        )

    def close(self) -> None:
        """Close the logs."""
        for tail in self._tails:
            tail.close()


def _largest(defects: Sequence[RatedDefect]) -> tuple[RatedDefect, ...]:
    if len(defects) <= KEPT_DEFECTS:
        return tuple(defects)
    least_mm2 = sorted((each.area_mm2 for each in defects), reverse=True)[KEPT_DEFECTS - 1]
    return tuple(each for each in defects if each.area_mm2 >= least_mm2)[:KEPT_DEFECTS]


def _in_coil(mark: RollMark, start_mm: float, end_mm: float) -> RollMarkResult:
    return RollMarkResult(
        mark.text(start_mm),
        mark.roll,
        mark.side,
        mark.name,
        round(mark.period_mm, 1),
        round(mark.across_mm, 1),
        round(max(mark.first_mm, start_mm) - start_mm, 1),
        round(min(mark.last_mm, end_mm) - start_mm, 1),
        mark.hits,
        mark.turns,
    )
