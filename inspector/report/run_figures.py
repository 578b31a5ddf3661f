"""Totals of the verdicts, read line by line.

Memory: about 40 bytes per verdict and 19 per defect, and a few dozen verdicts for the pictures. The report of a
million verdicts with 300 000 defects takes 62 MiB on top of the program itself.
"""

import heapq
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import msgspec
import numpy as np

from inspector.numbers import thousands
from inspector.render.numbers import metres
from inspector.report.strip_defects import DefectTable, StripDefect
from inspector.values import Decision, Verdict

DECISIONS: Final = (Decision.ACCEPT, Decision.REJECT, Decision.UNINSPECTED)
ACCEPTED, REJECTED, UNINSPECTED = range(3)
"""Indices into `DECISIONS`, stored as one byte per frame in `Strip.decisions`."""

CANDIDATES: Final = 16
"""Largest defects of each kind, and rejects without a defect, kept for the pictures.

Twice as many as are shown, because a later frame with the same number may have replaced a picture.
"""
MAX_REASONS: Final = 1000
"""Most reasons counted separately; later ones count as OTHER_REASON."""
OTHER_REASON: Final = "other reasons"


@dataclass(slots=True)
class Strip:
    """One coil seen by one camera during one run of its ingest, so that all positions have one origin.

    The arrays hold one entry per frame, in the order of the verdicts.
    """

    camera: str
    coil: str | None
    epoch: int = 0
    first_ns: int = 0
    positions_mm: "array[float]" = field(default_factory=lambda: array("d"))
    decisions: "array[int]" = field(default_factory=lambda: array("B"))
    defects: DefectTable = field(default_factory=DefectTable)
    across_mm: float = 0.0
    """Sum over the defects; divided by `across_px` it gives the scale, which verdicts do not contain."""
    across_px: float = 0.0
    reach_mm: float = 0.0
    """Largest distance of a defect behind its frame's first row."""


@dataclass(slots=True)
class UninspectedReason:
    """One reason, how often it occurs, and the first frame with it."""

    text: str
    frames: int
    first: Verdict


@dataclass(frozen=True, slots=True)
class Candidate:
    """A defect, or a reject for another reason, that the report may show in a picture."""

    verdict: Verdict
    strip: Strip
    row: int | None
    """Row in `strip.defects`; None for a reject without a defect."""
    area_mm2: float
    frames: int


@dataclass(slots=True)
class RunFigures:
    """Everything the report says about the verdicts."""

    frames: list[int] = field(default_factory=lambda: [0] * len(DECISIONS))
    """Number of verdicts by decision, in the order of `DECISIONS`."""
    strips: dict[tuple[str, str | None, int], Strip] = field(default_factory=dict)
    """By camera, coil and ingest epoch."""
    kind_frames: "Counter[tuple[int, str]]" = field(default_factory=Counter)
    """Number of frames that show a defect of (kind, name)."""
    uninspected: dict[str, UninspectedReason] = field(default_factory=dict)
    stage_ms: "dict[str, array[float]]" = field(default_factory=dict)
    first_ns: int | None = None
    last_ns: int | None = None
    recipes: "Counter[str]" = field(default_factory=Counter)
    engines: "Counter[str]" = field(default_factory=Counter)
    worst: dict[tuple[int, str] | None, list[Candidate]] = field(default_factory=dict)
    """Largest CANDIDATES pictured defects of each (kind, name), largest first; None: rejects without a defect."""
    rejects_pictured: int = 0
    torn_last_line: bool = False
    unreadable_lines: int = 0

    @property
    def captured(self) -> int:
        """Number of verdicts read."""
        return sum(self.frames)


@dataclass(frozen=True, slots=True)
class KindRow:
    """All defects of one kind."""

    kind: int
    name: str
    defects: int
    frames: int
    area_mm2: float
    largest_mm2: float
    largest_at: str


def read_figures(
    lines: Iterable[bytes], has_picture: Callable[[Verdict], bool], wanted: Callable[[Verdict], bool] | None = None
) -> RunFigures:
    """Total the verdicts that are `wanted` (None: all); `has_picture` is called only for rejects.

    A killed run leaves a last line without its end; it and other unreadable lines are counted, not raised. Raises
    OSError if `lines` does.
    """
    reading = _Reading(has_picture)
    figures = reading.figures
    decoder = msgspec.json.Decoder(Verdict)
    for line in lines:
        try:
            verdict = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if line.endswith(b"\n"):
                figures.unreadable_lines += 1
            else:
                figures.torn_last_line = True
            continue
        if wanted is None or wanted(verdict):
            reading.add(verdict)
    reading.close()
    return figures


def kind_rows(figures: RunFigures) -> tuple[KindRow, ...]:
    """Return the defects of each kind over all strips, in the order of the kinds."""
    found: dict[tuple[int, str], list[tuple[int, float, float, Strip, int]]] = {}
    for strip in figures.strips.values():
        table = strip.defects
        areas_mm2 = np.asarray(table.area_mm2, np.float64)
        for index, key in enumerate(table.names):
            rows = table.rows_of(index)
            largest = int(rows[areas_mm2[rows].argmax()])
            found.setdefault(key, []).append(
                (len(rows), float(areas_mm2[rows].sum()), float(areas_mm2[largest]), strip, largest)
            )
    table_rows = []
    for (kind, name), parts in sorted(found.items(), key=lambda entry: entry[0]):
        _, _, largest_mm2, strip, row = max(parts, key=lambda part: part[2])
        where = f"{metres(strip.defects.along_mm[row])}, {thousands(strip.defects.across_mm[row])} mm across"
        if len(figures.strips) > 1:
            where += f" ({strip.camera}{f', coil {strip.coil}' if strip.coil is not None else ''})"
        defects, area_mm2 = sum(part[0] for part in parts), sum(part[1] for part in parts)
        table_rows.append(
            KindRow(kind, name, defects, figures.kind_frames[kind, name], area_mm2, largest_mm2, where)
        )
    return tuple(table_rows)


class _Reading:
    """Totals verdicts in the order of the log; a defect ends when its camera's next frame does not show it."""

    def __init__(self, has_picture: Callable[[Verdict], bool]) -> None:
        self.figures = RunFigures()
        self._has_picture = has_picture
        self._open: dict[str, dict[str, tuple[StripDefect, Strip]]] = {}
        self._heaps: dict[tuple[int, str] | None, list[tuple[float, int, Candidate]]] = {}
        self._order = count(0, -1)  # of two equal ones the earlier is kept

    def add(self, verdict: Verdict) -> None:
        """Add one verdict."""
        figures = self.figures
        decision = DECISIONS.index(verdict.decision)
        figures.frames[decision] += 1
        figures.recipes[verdict.recipe] += 1
        figures.engines[verdict.engine] += 1
        ns = verdict.captured_ns
        if ns > 0:  # a frame that was lost with decide has no time
            figures.first_ns = ns if figures.first_ns is None else min(ns, figures.first_ns)
            figures.last_ns = ns if figures.last_ns is None else max(ns, figures.last_ns)
        for stage, ms in verdict.stage_ms.items():
            times = figures.stage_ms.get(stage)
            if times is None:
                times = figures.stage_ms[stage] = array("f")
            times.append(ms)
        if decision == UNINSPECTED:
            _add_reason(figures.uninspected, verdict)
        key = (verdict.camera, verdict.coil, verdict.ingest_epoch)
        strip = figures.strips.get(key)
        if strip is None:
            strip = figures.strips[key] = Strip(*key, ns)
        strip.positions_mm.append(verdict.position_mm)
        strip.decisions.append(decision)
        if verdict.defects or self._open.get(verdict.camera) or decision == REJECTED:
            self._add_defects(verdict, strip)

    def close(self) -> None:
        """Finish the open defects after the last verdict."""
        for defects in self._open.values():
            for defect, strip in defects.values():
                self._keep(defect, strip)
        self._open.clear()
        self.figures.worst = {
            key: [candidate for _, _, candidate in sorted(heap, key=lambda entry: entry[:2], reverse=True)]
            for key, heap in self._heaps.items()
        }

    def _add_defects(self, verdict: Verdict, strip: Strip) -> None:
        self.figures.kind_frames.update({(defect.kind, defect.name) for defect in verdict.defects})
        rejected = verdict.decision is Decision.REJECT
        pictured = rejected and self._has_picture(verdict)
        blamed = blamed_names(verdict) if pictured else frozenset()
        before = self._open.get(verdict.camera, {})
        now: dict[str, tuple[StripDefect, Strip]] = {}
        for part in verdict.defects:
            if part.id in before:
                now[part.id] = before.pop(part.id)
                now[part.id][0].add(part, rejected=rejected)
            elif part.id in now:  # two pieces that a later frame joined
                now[part.id][0].add(part, rejected=rejected)
                now[part.id][0].frames -= 1
            else:
                now[part.id] = (
                    StripDefect(
                        part.kind, part.name, part.area_mm2, part.along_mm, part.across_mm, rejected=rejected
                    ),
                    strip,
                )
            if pictured and part.name in blamed:
                now[part.id][0].show(verdict, part)
            strip.across_mm += part.across_mm
            strip.across_px += part.box[0] + part.box[2] / 2
            strip.reach_mm = max(strip.reach_mm, part.along_mm - verdict.position_mm)
        for defect, began_on in before.values():
            self._keep(defect, began_on)
        self._open[verdict.camera] = now
        self.figures.rejects_pictured += pictured
        if pictured and not blamed:
            area_mm2 = sum(part.area_mm2 for part in verdict.defects)
            self._offer(None, Candidate(verdict, strip, None, area_mm2, 1))

    def _keep(self, defect: StripDefect, strip: Strip) -> None:
        row = strip.defects.append(defect)
        if defect.shown_by is not None:
            candidate = Candidate(defect.shown_by, strip, row, defect.area_mm2, defect.frames)
            self._offer((defect.kind, defect.name), candidate)

    def _offer(self, key: tuple[int, str] | None, candidate: Candidate) -> None:
        heap = self._heaps.setdefault(key, [])
        heapq.heappush(heap, (candidate.area_mm2, next(self._order), candidate))
        if len(heap) > CANDIDATES:
            heapq.heappop(heap)


def blamed_names(verdict: Verdict) -> frozenset[str]:
    """Return the names of the kinds that a reject's reasons begin with."""
    # The longest first: "edge crack 120 mm²" blames no "edge".
    names = sorted({defect.name for defect in verdict.defects}, key=len, reverse=True)
    begins = (next((name for name in names if reason.startswith(f"{name} ")), None) for reason in verdict.reasons)
    return frozenset(name for name in begins if name is not None)


def _add_reason(reasons: dict[str, UninspectedReason], verdict: Verdict) -> None:
    """Count a reason by its code, or by its text without the file name if it has no code."""
    text = "; ".join(verdict.reasons)
    if verdict.file is not None:
        text = text.removeprefix(f"{verdict.file}: ")
    key = "; ".join(verdict.codes) or text
    if key not in reasons and len(reasons) >= MAX_REASONS:
        key = text = OTHER_REASON
    seen = reasons.get(key)
    if seen is None:
        reasons[key] = UninspectedReason(text, 1, verdict)
    else:
        seen.frames += 1
