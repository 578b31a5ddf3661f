"""The surface of a strip from the verdicts on its frames: each defect once, and the uninspected steel.

Parts are one defect if their frames give them the same id, or if two cameras, or one camera twice, show them at
the same place.
"""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec
import numpy as np

from inspector.core.strip.widths import Widths
from inspector.values import Decision, Defect, Verdict

ACROSS_MM: Final = 5.0
"""Places across that differ by less are the same, mm: the calibration error of two cameras."""

TWICE_SHARE: Final = 0.5
"""Overlap of two boxes, as a share of the smaller one, from which both show the whole defect."""

_BUCKET_MM: Final = 1000.0

_DECISIONS: Final = (Decision.ACCEPT, Decision.REJECT, Decision.UNINSPECTED)

_TOUCH_SHARE: Final = 0.05
"""Inspected stretches closer than this share of a frame are joined, because positions are interpolated."""


class View(msgspec.Struct, frozen=True):
    """How one camera sees the strip."""

    mm_per_px_across: float
    mm_per_px_along: float
    frame_mm: float
    """Length of a frame of the engine's size on the strip."""
    width_px: int
    """Width of a frame of the engine's size."""
    offset_across_mm: float = 0.0
    mirrored: bool = False
    side: str = "top"

    def across(self, x: int, width: int) -> tuple[float, float]:
        """Return the place of columns `x` to `x + width` across the strip."""
        near, far = x * self.mm_per_px_across, (x + width) * self.mm_per_px_across
        if self.mirrored:
            return self.offset_across_mm - far, self.offset_across_mm - near
        return self.offset_across_mm + near, self.offset_across_mm + far


class Box(msgspec.Struct, frozen=True):
    """A rectangle on the strip, mm."""

    start_mm: float
    end_mm: float
    left_mm: float
    right_mm: float

    def joined(self, other: "Box") -> "Box":
        """Return the rectangle around both."""
        return Box(
            min(self.start_mm, other.start_mm),
            max(self.end_mm, other.end_mm),
            min(self.left_mm, other.left_mm),
            max(self.right_mm, other.right_mm),
        )

    def touches(self, other: "Box", along_mm: float) -> bool:
        """Return whether the boxes overlap or lie within the tolerances."""
        return (
            self.start_mm - along_mm <= other.end_mm
            and other.start_mm - along_mm <= self.end_mm
            and self.left_mm - ACROSS_MM <= other.right_mm
            and other.left_mm - ACROSS_MM <= self.right_mm
        )

    def shared(self, other: "Box") -> float:
        """Return the overlap as a share of the smaller box."""
        along = min(self.end_mm, other.end_mm) - max(self.start_mm, other.start_mm)
        across = min(self.right_mm, other.right_mm) - max(self.left_mm, other.left_mm)
        smaller = min((box.end_mm - box.start_mm) * (box.right_mm - box.left_mm) for box in (self, other))
        return max(0.0, along) * max(0.0, across) / smaller if smaller else 1.0


class Key(NamedTuple):
    """Which part of a defect: what one camera shows of it on one coil."""

    camera: str
    ingest_epoch: int
    defect_id: str
    coil: str | None


class SurfaceDefect:
    """One defect on the strip."""

    def __init__(self, name: str, side: str, key: Key, box: Box, area_mm2: float, score: float) -> None:
        self.name, self.side, self.box, self.score = name, side, box, score
        self._areas = {key: area_mm2}
        self._boxes = {key: box}
        self._again: dict[Key, Key] = {}
        """Part → an earlier part of the same camera that shows the same steel."""
        self._twice = False
        """Whether two cameras show the same steel."""
        self.edge_mm: float | None = None
        """From its border to the strip's nearer edge; None where no edge was found."""
        self.cameras = {key.camera}

    @property
    def area_mm2(self) -> float:
        """The area; what two views share counts once."""
        parts: dict[str, dict[Key, float]] = {}
        for key, area_mm2 in self._areas.items():
            of_camera, first = parts.setdefault(key.camera, {}), self._again.get(key, key)
            of_camera[first] = max(of_camera.get(first, 0.0), area_mm2)
        areas = [sum(of_camera.values()) for of_camera in parts.values()]
        return max(areas) if self._twice else sum(areas)

    @property
    def along_mm(self) -> float:
        """Absolute position of the centre along the strip."""
        return (self.box.start_mm + self.box.end_mm) / 2

    @property
    def across_mm(self) -> float:
        """Centre across the strip."""
        return (self.box.left_mm + self.box.right_mm) / 2

    @property
    def length_mm(self) -> float:
        """Length along the strip."""
        return self.box.end_mm - self.box.start_mm

    @property
    def width_mm(self) -> float:
        """Width across the strip."""
        return self.box.right_mm - self.box.left_mm

    def note_edge(self, edge_mm: float | msgspec.UnsetType) -> None:
        """One part's distance to the edge: the smallest one counts."""
        if not isinstance(edge_mm, msgspec.UnsetType):
            self.edge_mm = edge_mm if self.edge_mm is None else min(edge_mm, self.edge_mm)

    def add(self, key: Key, box: Box, area_mm2: float, score: float, seen_mm: float = -math.inf) -> None:
        """Add a part, from the same view or another. The same view has shown the strip up to `seen_mm` before."""
        if key not in self._areas:
            for other, its_box in self._boxes.items():
                if box.shared(its_box) < TWICE_SHARE:
                    continue
                if other.camera == key.camera:
                    self._again.setdefault(key, self._again.get(other, other))
                else:
                    self._twice = True
            self._boxes[key] = box
        else:
            again_mm = min(seen_mm, box.end_mm) - box.start_mm
            if again_mm > 0:  # frames that overlap: what both show counts once
                area_mm2 *= 1 - again_mm / (box.end_mm - box.start_mm)
            self._boxes[key] = self._boxes[key].joined(box)
        self._areas[key] = self._areas.get(key, 0.0) + area_mm2
        self.box, self.score = self.box.joined(box), max(self.score, score)
        self.cameras.add(key.camera)

    def within(self, start_mm: float, end_mm: float, frame_mm: float) -> "SurfaceDefect | None":
        """Return what of the defect belongs to a coil that lies here: all of it if its centre does.

        Of one that a camera follows over the border of two coils, each coil has its own part. What is longer than
        a frame is cut there, whichever coil its frames name: a coil's start may be told late.
        """
        coils: dict[str, set[str | None]] = {}
        for key in self._boxes:
            coils.setdefault(key.camera, set()).add(key.coil)
        if self.length_mm <= frame_mm and max(map(len, coils.values())) < 2:
            return self if start_mm <= self.along_mm < end_mm else None
        if start_mm <= self.box.start_mm and self.box.end_mm <= end_mm:
            return self
        part: SurfaceDefect | None = None
        for key, box in self._boxes.items():
            area_mm2, length_mm = self._areas[key], box.end_mm - box.start_mm
            if length_mm <= frame_mm:
                if not start_mm <= (box.start_mm + box.end_mm) / 2 < end_mm:
                    continue
            else:
                box = msgspec.structs.replace(  # noqa: PLW2901
                    box, start_mm=max(start_mm, box.start_mm), end_mm=min(end_mm, box.end_mm)
                )
                if box.end_mm <= box.start_mm:
                    continue
                area_mm2 *= (box.end_mm - box.start_mm) / length_mm
            if part is None:
                part = SurfaceDefect(self.name, self.side, key, box, area_mm2, self.score)
                part.edge_mm = self.edge_mm
            else:
                part.add(key, box, area_mm2, self.score)
        return part


class Frames:
    """The frames of one camera, in 15 bytes each, because a coil may stay open for days."""

    def __init__(self) -> None:
        self._starts_mm = array("d")
        self._lengths_mm = array("f")
        self._decisions = array("B")
        self._recipes = array("H")
        self._names: dict[str, int] = {}

    def add(self, start_mm: float, length_mm: float, decision: Decision, recipe: str) -> None:
        """Add a frame that this recipe judged."""
        self._recipes.append(self._names.setdefault(recipe, len(self._names)))
        self._starts_mm.append(start_mm)
        self._lengths_mm.append(length_mm)
        self._decisions.append(_DECISIONS.index(decision))

    def counts(self, start_mm: float, end_mm: float) -> "Counter[Decision]":
        """Return the number of frames whose first row lies in this stretch, by decision."""
        starts = np.frombuffer(self._starts_mm) if self._starts_mm else np.empty(0)
        inside = (starts >= start_mm) & (starts < end_mm)
        found = np.bincount(np.frombuffer(self._decisions, np.uint8)[inside], minlength=len(_DECISIONS))
        return Counter({decision: int(count) for decision, count in zip(_DECISIONS, found, strict=True)})

    def inspected(self, judged: Callable[[str], bool]) -> list[tuple[float, float]]:
        """Return position and length of the frames that were inspected by a recipe that counts, sorted."""
        if not self._starts_mm:
            return []
        seen = np.frombuffer(self._decisions, np.uint8) != _DECISIONS.index(Decision.UNINSPECTED)
        counts = np.array([judged(name) for name in self._names], np.bool_)
        seen &= counts[np.frombuffer(self._recipes, np.uint16)]
        starts, lengths = np.frombuffer(self._starts_mm)[seen], np.frombuffer(self._lengths_mm, np.float32)[seen]
        order = np.argsort(starts, kind="stable")
        return list(zip(starts[order].tolist(), lengths[order].tolist(), strict=True))

    def forget(self, before_mm: float) -> None:
        """Drop the frames before a position."""
        kept = [index for index, start_mm in enumerate(self._starts_mm) if start_mm >= before_mm]
        self._starts_mm = array("d", (self._starts_mm[index] for index in kept))
        self._lengths_mm = array("f", (self._lengths_mm[index] for index in kept))
        self._recipes = array("H", (self._recipes[index] for index in kept))
        self._decisions = array("B", (self._decisions[index] for index in kept))


class Surface:
    """Collects verdicts in the order of the log and answers questions about a stretch of the strip."""

    def __init__(self, views: dict[str, View], join_along_mm: float) -> None:
        """Places along that differ by less than `join_along_mm` are the same; it depends on the encoder."""
        self._views, self._join_mm = views, join_along_mm
        self._frames = {camera: Frames() for camera in views}
        self._buckets: dict[tuple[str, int], list[SurfaceDefect]] = {}
        self._by_key: dict[tuple[str, int, str], SurfaceDefect] = {}
        self._edges = {camera: Widths() for camera in views}
        self.defects: list[SurfaceDefect] = []
        self.newest_mm: dict[str, float] = {}
        self._frame_px = {camera: (0, view.width_px) for camera, view in views.items()}
        """Height, 0 for the engine's, and width of each camera's newest inspected frame."""

    def add(self, verdict: Verdict) -> list[SurfaceDefect]:
        """Add a verdict; returns the defects that are new on the strip."""
        view = self._views.get(verdict.camera)
        if view is None:
            return []
        start_mm = verdict.position_mm
        if verdict.decision is not Decision.UNINSPECTED:
            self._frame_px[verdict.camera] = _size_px(verdict, view)
        length_mm = self.frame_mm(verdict.camera)
        self._frames[verdict.camera].add(start_mm, length_mm, verdict.decision, verdict.recipe)
        self.newest_mm[verdict.camera] = max(start_mm, self.newest_mm.get(verdict.camera, start_mm))
        place = verdict.strip
        again = not isinstance(place, msgspec.UnsetType) and place.overlap_mm > 0
        if not isinstance(place, msgspec.UnsetType):
            self._edges[verdict.camera].add(start_mm, place)
        found = [self._add_defect(verdict, defect, view, again=again) for defect in verdict.defects]
        return [defect for defect in found if defect is not None]

    def frame_mm(self, camera: str) -> float:
        """Return the length of a camera's newest inspected frame on the strip."""
        view, height_px = self._views[camera], self._frame_px[camera][0]
        return height_px * view.mm_per_px_along if height_px else view.frame_mm

    def across(self) -> tuple[float, float]:
        """Return what the cameras see across the strip, from the first to the last place."""
        spans = [view.across(0, self._frame_px[camera][1]) for camera, view in self._views.items()]
        return min(near for near, _ in spans), max(far for _, far in spans)

    def _add_defect(self, verdict: Verdict, defect: Defect, view: View, *, again: bool) -> SurfaceDefect | None:
        x, y, width, height = defect.box
        start_mm = verdict.position_mm + y * view.mm_per_px_along
        box = Box(start_mm, start_mm + height * view.mm_per_px_along, *view.across(x, width))
        key = Key(verdict.camera, verdict.ingest_epoch, defect.id, verdict.coil)
        known = self._by_key.get(key[:3])
        if known is None:
            known = self._elsewhere(defect.name, view.side, verdict.camera, box, again=again)
        if known is not None:
            place = verdict.strip
            again_mm = 0.0 if isinstance(place, msgspec.UnsetType) else place.overlap_mm
            known.add(key, box, defect.area_mm2, defect.score, verdict.position_mm + again_mm)
            known.note_edge(defect.edge_mm)
            self._by_key[key[:3]] = known
            self._register(known, box)
            return None
        made = SurfaceDefect(defect.name, view.side, key, box, defect.area_mm2, defect.score)
        made.note_edge(defect.edge_mm)
        self.defects.append(made)
        self._by_key[key[:3]] = made
        self._register(made, box)
        return made

    def _elsewhere(self, name: str, side: str, camera: str, box: Box, *, again: bool) -> SurfaceDefect | None:
        """Return the defect that another camera or an earlier frame of this camera shows here."""
        for bucket in _buckets(box, self._join_mm):
            for known in self._buckets.get((side, bucket), ()):
                if known.name != name or not (again or known.cameras != {camera}):
                    continue
                if known.box.touches(box, self._join_mm):
                    return known
        return None

    def _register(self, defect: SurfaceDefect, box: Box) -> None:
        for bucket in _buckets(box, 0.0):
            there = self._buckets.setdefault((defect.side, bucket), [])
            if defect not in there:
                there.append(defect)

    def between(self, start_mm: float, end_mm: float) -> list[SurfaceDefect]:
        """Return the defects of a coil that lies here, in order."""
        near = (each for each in self.defects if each.box.end_mm >= start_mm and each.box.start_mm < end_mm)
        frame_mm = max(map(self.frame_mm, self._views), default=0.0)
        found = [part for each in near if (part := each.within(start_mm, end_mm, frame_mm)) is not None]
        return sorted(found, key=lambda each: each.along_mm)

    def frames(self, start_mm: float, end_mm: float) -> "Counter[Decision]":
        """Return the number of frames of all cameras whose first row lies in this stretch, by decision."""
        return sum((frames.counts(start_mm, end_mm) for frames in self._frames.values()), Counter[Decision]())

    def width_mm(self, start_mm: float, end_mm: float) -> float | None:
        """The strip's width in this stretch: between the edges that the cameras found; None without both."""
        found = [edges.between(start_mm, end_mm) for edges in self._edges.values()]
        lefts = [left for left, _ in found if left is not None]
        rights = [right for _, right in found if right is not None]
        return max(rights) - min(lefts) if lefts and rights else None

    def uninspected(
        self, start_mm: float, end_mm: float, judged: Callable[[str], bool] = lambda _: True
    ) -> list[tuple[float, float]]:
        """Return the stretches that at least one camera has not inspected by a recipe that counts, in order."""
        missing: list[tuple[float, float]] = []
        for camera, frames in self._frames.items():
            touch_mm = _TOUCH_SHARE * self.frame_mm(camera)
            at_mm = start_mm
            for first, length_mm in frames.inspected(judged):
                last = first + length_mm
                if last <= at_mm or first >= end_mm:
                    continue
                if first - at_mm > touch_mm:
                    missing.append((at_mm, first))
                at_mm = max(at_mm, last)
            if end_mm - at_mm > touch_mm:
                missing.append((at_mm, end_mm))
        return union(missing)

    def forget(self, before_mm: float) -> None:
        """Drop what lies before a position, because it has been reported."""
        self.defects = [each for each in self.defects if each.box.end_mm >= before_mm]
        kept = set(map(id, self.defects))
        self._by_key = {key: each for key, each in self._by_key.items() if id(each) in kept}
        self._buckets = {}
        for each in self.defects:
            self._register(each, each.box)
        for frames in self._frames.values():
            frames.forget(before_mm)
        for edges in self._edges.values():
            edges.forget(before_mm)


def gaps_across(views: Mapping[str, View]) -> list[tuple[str, float, float]]:
    """Return (side, from, to) of each stretch across between two cameras that no camera sees, mm."""
    gaps: list[tuple[str, float, float]] = []
    for side in sorted({view.side for view in views.values()}):
        seen = union([view.across(0, view.width_px) for view in views.values() if view.side == side])
        gaps += [(side, before[1], after[0]) for before, after in pairwise(seen)]
    return gaps


def union(stretches: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Join stretches that touch; returns them in order."""
    joined: list[tuple[float, float]] = []
    for start_mm, end_mm in sorted(stretches):
        if joined and start_mm <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end_mm))
        else:
            joined.append((start_mm, end_mm))
    return joined


def _size_px(verdict: Verdict, view: View) -> tuple[int, int]:
    return (0, view.width_px) if isinstance(verdict.size_px, msgspec.UnsetType) else verdict.size_px


def _buckets(box: Box, reach_mm: float) -> range:
    return range(int((box.start_mm - reach_mm) // _BUCKET_MM), int((box.end_mm + reach_mm) // _BUCKET_MM) + 1)
