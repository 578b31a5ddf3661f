"""Joins defects across frame borders: a defect that continues in the next frame is one defect on the strip."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from inspector.core.defects import Component

REACH_PX: Final = 3
"""How far apart sideways the two halves of a defect may be at a border: masks are off by a pixel or two."""


class StripDefect(msgspec.Struct):
    """A defect on the strip, up to the current frame."""

    id: str
    kinds: set[int]
    """Kinds of all its parts so far."""
    area_px: int
    """Total over all frames so far."""
    columns: tuple[int, int]
    """First column of all its parts so far, and one past the last."""
    cut: bool = False
    """Whether one of them reaches a border beyond which another camera shows the rest."""

    def add(self, component: Component, more_px: int) -> None:
        """Add one frame's part, of which `more_px` are new."""
        self.area_px = max(self.area_px + more_px, component.area_px)
        self.kinds.update(_kinds(component))
        self._widen(component.columns)
        self.cut |= component.cut

    def take(self, other: "StripDefect") -> None:
        """Add a defect that turns out to be the same."""
        self.area_px += other.area_px
        self.kinds |= other.kinds
        self._widen(other.columns)
        self.cut |= other.cut

    def _widen(self, columns: tuple[int, int]) -> None:
        self.columns = min(self.columns[0], columns[0]), max(self.columns[1], columns[1])


class Part(msgspec.Struct, frozen=True):
    """One frame's part of a strip defect."""

    component: Component
    defect_id: str
    area_so_far_px: int
    """Area of the whole defect, this frame included."""
    continues: bool
    """Whether it began in an earlier frame."""
    kinds: tuple[int, ...]
    """Kinds whose minimum area may reject it: its own; of a small one, those of all parts."""
    width_so_far_px: int
    """Width of the whole defect across, this frame included."""
    cut: bool
    """Whether another camera may show a part of it."""


class _Open(NamedTuple):
    """Where a defect reaches a frame's last row."""

    columns: NDArray[np.intp]
    kinds: tuple[int, ...]
    """Kinds of the part there."""
    defect: StripDefect


class StripDefects:
    """Tracks the defects of one camera from frame to frame."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._next_frame = -1
        self._at_border: list[_Open] = []

    def break_off(self) -> None:
        """End all defects, because the next frame does not begin where the last one ended."""
        self._at_border = []

    def follow(self, frame_id: int, components: list[Component], rejects: Sequence[bool] = ()) -> list[Part]:
        """Join a frame's components to the defects that reached the previous border.

        A component continues a defect of its kind. One below its kind's minimum area continues a defect of any
        kind that `rejects` marks (all without it), as it would within a frame: see `find_components`. Call this in
        frame order; a missing or uninspected frame ends all defects. Of a defect that continues, only what the
        frame before has not shown is added.
        """
        open_defects = self._at_border if frame_id == self._next_frame else []
        self._next_frame, self._at_border = frame_id + 1, []
        if not components:
            return []
        joined = self._join(frame_id, components, open_defects, rejects)
        continued = {id(each.defect) for each in open_defects}
        for component, defect in joined:
            defect.add(component, component.new_px if id(defect) in continued else component.area_px)
        self._at_border = [_Open(part.bottom, _kinds(part), defect) for part, defect in joined if part.bottom.size]
        return [
            Part(
                component,
                defect.id,
                defect.area_px,
                id(defect) in continued,
                tuple(sorted(defect.kinds)) if component.joined else (component.kind,),
                defect.columns[1] - defect.columns[0],
                defect.cut,
            )
            for component, defect in joined
        ]

    def _join(
        self,
        frame_id: int,
        components: list[Component],
        open_defects: list[_Open],
        rejects: Sequence[bool],
    ) -> list[tuple[Component, StripDefect]]:
        joined: list[tuple[Component, StripDefect]] = []
        # Border 0 has every kind that a small component may continue.
        of_any = [kind for kind, rejected in enumerate(rejects) if rejected]
        borders: dict[int, _Border] = {}
        for index, component in enumerate(components):
            of = 0 if component.joined else component.kind
            if of not in borders:
                borders[of] = _Border(open_defects, [of] if of else of_any or None)
            touching = [open_defects[place].defect for place in borders[of].reached_by(component.top)]
            if touching:
                defect = self._merge(touching, open_defects, joined)
            else:
                defect = StripDefect(f"{self._camera}-{frame_id}-{index + 1}", set(), 0, component.columns)
            joined.append((component, defect))
        return joined

    def _merge(
        self,
        touching: list[StripDefect],
        open_defects: list[_Open],
        joined: list[tuple[Component, StripDefect]],
    ) -> StripDefect:
        """Merge defects that turn out to be one, under the first one's id."""
        first = touching[0]
        for other in touching[1:]:
            if other is first:
                continue
            first.take(other)
            open_defects[:] = [
                each._replace(defect=first) if each.defect is other else each for each in open_defects
            ]
            joined[:] = [(part, first if each is other else each) for part, each in joined]
        return first


def _kinds(component: Component) -> tuple[int, ...]:
    return component.joined or (component.kind,)


class _Border:
    """The columns in which open defects of some kinds reach the last frame's border."""

    def __init__(self, open_defects: list[_Open], kinds: Sequence[int] | None) -> None:
        """`kinds` of None are all."""
        places = [
            place
            for place, each in enumerate(open_defects)
            if kinds is None or any(kind in kinds for kind in each.kinds)
        ]
        columns = [open_defects[place].columns for place in places]
        owners = np.repeat(np.array(places, np.intp), [len(each) for each in columns])
        every = np.concatenate(columns) if columns else np.empty(0, np.intp)
        order = np.argsort(every, kind="stable")
        self._columns, self._owners = every[order], owners[order]

    def reached_by(self, columns: NDArray[np.intp]) -> list[int]:
        """Indices of the open defects within REACH_PX of any of these columns, in order."""
        if not columns.size or not self._columns.size:
            return []
        starts = np.searchsorted(self._columns, columns - REACH_PX, "left")
        stops = np.searchsorted(self._columns, columns + REACH_PX, "right")
        # For each column of the border, count the ranges starts[i]:stops[i] that cover it.
        covered = np.zeros(len(self._columns) + 1, np.intp)
        np.add.at(covered, starts, 1)
        np.add.at(covered, stops, -1)
        reached: list[int] = np.unique(self._owners[np.cumsum(covered)[:-1] > 0]).tolist()
        return reached
