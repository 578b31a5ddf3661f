"""What a run's verdicts add up to, read line by line from verdicts.jsonl."""

import heapq
from array import array
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from inspector.sinks.number_text import metres
from inspector.sinks.pictures import picture_name
from inspector.values import Decision, Defect, Verdict

DECISIONS: Final = (Decision.ACCEPT, Decision.REJECT, Decision.UNINSPECTED)
ACCEPTED, REJECTED, UNINSPECTED = range(3)
"""Indices of `DECISIONS`, as kept in `Strip.decisions`: a byte a frame."""


@dataclass(slots=True)
class StripDefect:
    """One defect on the strip, over all the frames that show it."""

    kind: int
    name: str
    area_mm2: float
    along_mm: float
    """Centre, weighted by area where several frames show it."""
    across_mm: float
    rejected: bool
    """A frame that shows it was rejected."""

    def add(self, part: Defect, rejected: bool) -> None:
        """Take in what another frame shows of it."""
        area_mm2 = self.area_mm2 + part.area_mm2
        share = part.area_mm2 / area_mm2 if area_mm2 > 0 else 0.5
        self.along_mm += share * (part.along_mm - self.along_mm)
        self.across_mm += share * (part.across_mm - self.across_mm)
        self.area_mm2 = area_mm2
        self.rejected |= rejected


@dataclass(slots=True)
class Strip:
    """One coil as one camera saw it; the arrays hold one entry a frame, in the order of the verdicts."""

    camera: str
    coil: str | None
    frame_ids: "array[int]" = field(default_factory=lambda: array("q"))
    positions_mm: "array[float]" = field(default_factory=lambda: array("d"))
    decisions: "array[int]" = field(default_factory=lambda: array("B"))
    defects: dict[str, StripDefect] = field(default_factory=dict)
    """By defect id."""
    across_mm: float = 0.0
    """Sum over the defects, which held against `across_px` gives the scale; a verdict does not hold it."""
    across_px: float = 0.0
    reach_mm: float = 0.0
    """The furthest that any defect lies behind its frame's first row."""


@dataclass(slots=True)
class UninspectedReason:
    """One reason, and the first frame that had it."""

    frames: int
    camera: str
    frame_id: int
    position_mm: float


@dataclass(slots=True)
class RunFigures:
    """Everything the report tells of the verdicts."""

    frames: "Counter[Decision]" = field(default_factory=Counter)
    strips: dict[tuple[str, str | None], Strip] = field(default_factory=dict)
    kind_frames: "Counter[tuple[int, str]]" = field(default_factory=Counter)
    """Frames that show a defect of (kind, name)."""
    uninspected: dict[str, UninspectedReason] = field(default_factory=dict)
    stage_ms: "dict[str, array[float]]" = field(default_factory=dict)
    first_ns: int | None = None
    last_ns: int | None = None
    recipes: "Counter[str]" = field(default_factory=Counter)
    engines: "Counter[str]" = field(default_factory=Counter)
    worst: list[Verdict] = field(default_factory=list)
    """Rejects that have a picture, largest area of defects first."""
    rejects_pictured: int = 0
    torn_last_line: bool = False
    unreadable_lines: int = 0

    @property
    def captured(self) -> int:
        """Verdicts read."""
        return self.frames.total()


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


def read_figures(verdicts: Path, pictures: Container[str], worst: int) -> RunFigures:
    """Add up `verdicts`, keeping the `worst` rejects of which `pictures` holds `<picture_name>.jpg`.

    The file is read line by line; what stays is some ten bytes a frame and the defects. A last line without
    its end is what a killed run leaves; it and any other line that is no verdict are counted, not raised.
    Raises OSError where the file cannot be read.
    """
    figures = RunFigures()
    decoder = msgspec.json.Decoder(Verdict)
    heap: list[tuple[float, int, Verdict]] = []
    order = count(0, -1)  # of two equal rejects the earlier one is kept
    with verdicts.open("rb") as lines:
        for line in lines:
            try:
                verdict = decoder.decode(line)
            except msgspec.DecodeError:
                if line.endswith(b"\n"):
                    figures.unreadable_lines += 1
                else:
                    figures.torn_last_line = True
                continue
            _add(figures, verdict)
            if verdict.decision is not Decision.REJECT:
                continue
            if f"{picture_name(verdict.camera, verdict.frame_id)}.jpg" not in pictures:
                continue
            figures.rejects_pictured += 1
            heapq.heappush(heap, (sum(d.area_mm2 for d in verdict.defects), next(order), verdict))
            if len(heap) > worst:
                heapq.heappop(heap)
    figures.worst = [verdict for _, _, verdict in sorted(heap, key=lambda entry: entry[:2], reverse=True)]
    return figures


def kind_rows(figures: RunFigures) -> tuple[KindRow, ...]:
    """The defects of each kind over all strips, in the order of the kinds."""
    of_kind: dict[tuple[int, str], list[tuple[StripDefect, Strip]]] = {}
    for strip in figures.strips.values():
        for defect in strip.defects.values():
            of_kind.setdefault((defect.kind, defect.name), []).append((defect, strip))
    rows = []
    for (kind, name), found in sorted(of_kind.items()):
        largest, strip = max(found, key=lambda entry: entry[0].area_mm2)
        where = f"{metres(largest.along_mm)}, {largest.across_mm:.0f} mm across"
        if len(figures.strips) > 1:
            where += f" ({strip.camera}{f', coil {strip.coil}' if strip.coil is not None else ''})"
        area_mm2 = sum(defect.area_mm2 for defect, _ in found)
        rows.append(
            KindRow(kind, name, len(found), figures.kind_frames[kind, name], area_mm2, largest.area_mm2, where)
        )
    return tuple(rows)


def _add(figures: RunFigures, verdict: Verdict) -> None:
    figures.frames[verdict.decision] += 1
    figures.recipes[verdict.recipe] += 1
    figures.engines[verdict.engine] += 1
    ns = verdict.captured_ns
    figures.first_ns = ns if figures.first_ns is None else min(ns, figures.first_ns)
    figures.last_ns = ns if figures.last_ns is None else max(ns, figures.last_ns)
    for stage, ms in verdict.stage_ms.items():
        figures.stage_ms.setdefault(stage, array("d")).append(ms)
    if verdict.decision is Decision.UNINSPECTED:
        reason = "; ".join(verdict.reasons)
        seen = figures.uninspected.setdefault(
            reason, UninspectedReason(0, verdict.camera, verdict.frame_id, verdict.position_mm)
        )
        seen.frames += 1
    figures.kind_frames.update({(defect.kind, defect.name) for defect in verdict.defects})
    key = (verdict.camera, verdict.coil)
    _add_to_strip(figures.strips.setdefault(key, Strip(*key)), verdict)


def _add_to_strip(strip: Strip, verdict: Verdict) -> None:
    strip.frame_ids.append(verdict.frame_id)
    strip.positions_mm.append(verdict.position_mm)
    strip.decisions.append(DECISIONS.index(verdict.decision))
    rejected = verdict.decision is Decision.REJECT
    for defect in verdict.defects:
        known = strip.defects.get(defect.id)
        if known is None:
            strip.defects[defect.id] = StripDefect(
                defect.kind, defect.name, defect.area_mm2, defect.along_mm, defect.across_mm, rejected
            )
        else:
            known.add(defect, rejected)
        x, _, width, _ = defect.box
        strip.across_mm += defect.across_mm
        strip.across_px += x + width / 2
        strip.reach_mm = max(strip.reach_mm, defect.along_mm - verdict.position_mm)
