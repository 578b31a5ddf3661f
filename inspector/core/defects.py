"""Finds the connected defects of one frame in an engine's maps."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from inspector.core.borders import ALONE, PART_SHARE, Borders
from inspector.core.rules import threshold_maps
from inspector.values import MAP_STRIDES, MAX_SCORE, Pixels, Segmentation

BORDER_ROWS_PX: Final = 2
"""A defect this near to the first or last row reaches the frame's border: enlarged maps fade out by a pixel or
two."""

BORDER_PX: Final = 2
"""A defect this near to the first or last column reaches the picture's side, for the same reason."""

SEAM_SHARE: Final = 0.05
"""Share of a frame's rows by which the place of the previous frame's last row in it may be wrong."""

MAX_COMPONENTS: Final = 64
"""Most regions of one kind reported per frame. More are spray, scale or a flickering lamp: their number alone
rejects the frame, and one camera costs the others at most about 3 ms a frame."""

ROUNDING: Final = 1e-9
"""Share by which a minimum area in px may be off, because it comes from mm²."""

MARGIN_CELLS: Final = 2
"""Map cells around the candidates that are enlarged with them."""

_CELLS: Final = {stride: np.ones((stride, stride), np.uint8) for stride in MAP_STRIDES}


class Component(msgspec.Struct, frozen=True):
    """One connected region of one kind in one frame."""

    kind: int
    box: tuple[int, int, int, int]
    """x, y, width, height, px."""
    area_px: int
    centre_px: tuple[float, float]
    """x, y."""
    score: float
    """Mean of 1 − p(normal) over its pixels, 0..1."""
    new_px: int
    """Area below the rows that the previous frame has shown, too."""
    top: NDArray[np.intp]
    """Columns in which it reaches the previous frame's last row: the first row of this one, or further down where
    the frames overlap."""
    bottom: NDArray[np.intp]
    """Columns in which it reaches the frame's last row."""
    joined: tuple[int, ...] = ()
    """Kinds of a small region, or of several that touch, which may be part of a defect of several kinds; `kind` is
    that of most of its pixels. Empty for a region that reaches the minimum area of its kind by itself."""
    cut: bool = False
    """Reaches a border beyond which another camera shows its rest."""

    @property
    def columns(self) -> tuple[int, int]:
        """Its first column, and one past its last."""
        return self.box[0], self.box[0] + self.box[2]


class Candidates(msgspec.Struct, frozen=True):
    """The part of one frame that may contain defects; everything around it is normal."""

    mask: Pixels
    """uint8 [h, w]: the defect class where the score reaches its threshold, else 0; empty when no score does."""
    score: Pixels
    """uint8 [h, w]."""
    x: int
    y: int
    """Position of its first pixel in the frame."""
    frame_size: tuple[int, int]
    """H, W."""

    def in_frame(self, plane: Pixels) -> Pixels:
        """`mask` or `score` at frame size, 0 around this part, uint8 [H, W]."""
        height, width = plane.shape
        whole = np.zeros(self.frame_size, np.uint8)
        whole[self.y : self.y + height, self.x : self.x + width] = plane
        return whole


def enlarge(segmentation: Segmentation, height: int, width: int) -> tuple[Pixels, Pixels]:
    """(kind, score) at frame size, uint8 [H, W]: kind by nearest neighbour, score bilinear.

    A cell whose pixels would all lose score keeps its own score in each of them. Bilinear alone gives a line of
    one cell 0.875 of its score at stride 4 and 0.75 at stride 2, a single cell 0.77 and 0.56: a defect that
    reaches a high threshold in the engine's map would reach it nowhere in the frame.
    """
    kind, score, stride = segmentation.kind, segmentation.score, segmentation.map_stride
    if stride == 1:
        return kind, score
    size = (kind.shape[1] * stride, kind.shape[0] * stride)
    large = np.asarray(cv2.resize(score, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    highest = _highest(large, stride)
    peaks = cv2.bitwise_and(score, cv2.compare(score, highest, cv2.CMP_GT))
    if cv2.countNonZero(peaks):
        large = np.asarray(cv2.max(large, cv2.resize(peaks, size, interpolation=cv2.INTER_NEAREST)), np.uint8)
    # The last cells of a frame whose size does not divide by the stride reach over its edge.
    kind = np.asarray(cv2.resize(kind, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return kind[:height, :width], large[:height, :width]


def _highest(large: Pixels, stride: int) -> Pixels:
    """The highest score among each cell's pixels, uint8 [H/stride, W/stride]."""
    corner = (0, 0)
    return np.ascontiguousarray(cv2.dilate(large, _CELLS[stride], anchor=corner)[::stride, ::stride])


def find_candidates(segmentation: Segmentation, height: int, width: int, thresholds: Pixels) -> Candidates:
    """Find where a frame of `height` × `width` px may have defects: the class where score ≥ thresholds[class].

    Only that part is enlarged: most of a frame has no candidates, and enlarging the rest would cost more than all
    later steps.
    """
    stride = segmentation.map_stride
    reached = segmentation.score >= thresholds[1:].min()
    x, y, w, h = cv2.boundingRect(reached.view(np.uint8))
    if w == 0:
        nothing = np.empty((0, 0), np.uint8)
        return Candidates(nothing, nothing, 0, 0, (height, width))
    # Two more cells on each side: there, interpolation at the cut edge stays below every threshold.
    rows = slice(max(0, y - MARGIN_CELLS), y + h + MARGIN_CELLS)
    columns = slice(max(0, x - MARGIN_CELLS), x + w + MARGIN_CELLS)
    part = Segmentation(
        np.ascontiguousarray(segmentation.kind[rows, columns]),
        np.ascontiguousarray(segmentation.score[rows, columns]),
        stride,
    )
    top, left = rows.start * stride, columns.start * stride
    kind, score = enlarge(
        part,
        min(part.kind.shape[0] * stride, height - top),
        min(part.kind.shape[1] * stride, width - left),
    )
    mask = threshold_maps(kind, score, thresholds)
    return Candidates(mask, score, left, top, (height, width))


class Components(msgspec.Struct, frozen=True):
    """The defects that one frame shows."""

    found: list[Component]
    """Ordered by kind and first row, joined ones last; of a kind at most MAX_COMPONENTS that reach the minimum
    area or the frame's first or last row, and as many others near the previous frame's last row, the largest."""
    crowded: dict[int, int] = {}
    """Kind → number of regions that reach the minimum area or the frame's first or last row, for kinds with more
    than MAX_COMPONENTS."""


class _Regions(msgspec.Struct, frozen=True):
    """The connected regions of one kind in the part of a frame that has defects."""

    kind: int
    labels: NDArray[np.int32]
    stats: NDArray[np.int32]
    centroids: NDArray[np.float64]
    counted: NDArray[np.intp]
    """Labels of those that may be defects."""
    reaching: NDArray[np.intp]
    """Labels of those among them that reach the minimum area, or the frame's first or last row: more of them than
    can be followed may hide a defect. One that begins and ends in the frame is seen whole."""
    small: NDArray[np.intp]
    """Labels of those below their kind's minimum area."""


def find_components(
    candidates: Candidates,
    min_area_px: Sequence[float] = (),
    joined: Sequence[bool] = (),
    borders: Borders = ALONE,
) -> Components:
    """Find the connected regions (8 neighbours) of each kind.

    Regions smaller than `min_area_px` of their kind are left out, unless they reach the previous frame's last row
    or this frame's last row: there they may be part of a larger one. One that reaches another camera's picture
    may have PART_SHARE of the minimum. Regions of the kinds that `joined` marks (all without it) that touch
    each other, and that are all smaller than their kinds' minima, are one defect if together they reach the
    smallest of these minima: an engine that wavers between two kinds must not hide a scratch in pieces. Its kind
    is that of most of its pixels. They are one region, too, if they reach the first or last row.
    """
    if not candidates.mask.size:
        return Components([])
    x0, y0, width, height = cv2.boundingRect(candidates.mask)
    if width == 0:
        return Components([])
    inside = candidates.mask[y0 : y0 + height, x0 : x0 + width]
    score = candidates.score[y0 : y0 + height, x0 : x0 + width]
    place = (x0 + candidates.x, y0 + candidates.y)
    frame = _Frame(place, candidates.frame_size, borders)
    regions = list(_regions(inside, frame, min_area_px))
    pieces = [each for each in regions if each.small.size and (not joined or joined[each.kind])]
    whole = _joined(inside, pieces, min_area_px, frame) if len(pieces) > 1 else None
    joinable = {each.kind for each in pieces}
    components: list[Component] = []
    crowded: dict[int, int] = {}
    for each in [*regions, *([whole] if whole is not None else [])]:
        counted = each.counted
        if whole is not None and each is not whole:
            # Small regions at a border that are part of a joined defect are not reported again.
            parts = [
                label
                for label in np.intersect1d(counted, each.small)
                if whole.labels[_first_pixel(each, label)] in whole.counted
            ]
            counted = np.setdiff1d(counted, parts)
        reaching = np.intersect1d(counted, each.reaching)
        if len(reaching) > MAX_COMPONENTS:
            crowded[each.kind or pieces[0].kind] = len(reaching)
        others = np.setdiff1d(counted, reaching)
        counted = np.sort(np.concatenate([_largest(each, reaching), _largest(each, others)]))
        small = set(each.small.tolist()) if each.kind in joinable else set()
        components += [_component(each, label, inside, score, frame, label in small) for label in counted.tolist()]
    return Components(components, crowded)


def between(candidates: Candidates, left_px: float, right_px: float) -> Candidates:
    """The candidates between two columns of the frame: places beside the strip cannot be defects."""
    width = candidates.mask.shape[1]
    left, right = (round(min(max(px - candidates.x, 0), width)) for px in (left_px, right_px))
    if not width or (left == 0 and right == width):
        return candidates
    mask = candidates.mask.copy()
    mask[:, :left] = 0
    mask[:, right:] = 0
    return msgspec.structs.replace(candidates, mask=mask)


class _Frame(NamedTuple):
    """The frame around the part that has defects."""

    place: tuple[int, int]
    """x, y of the part's first pixel."""
    size: tuple[int, int]
    borders: Borders

    def seam(self) -> tuple[int, int]:
        """First row, and one past the last, in which the previous frame's last row may lie."""
        seen = self.borders.seen_rows
        off = max(BORDER_ROWS_PX, round(SEAM_SHARE * self.size[0])) if seen else 0
        return seen - off, seen + max(off, BORDER_ROWS_PX)

    def at_border(self, stats: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which regions reach the frame's first or last row: the frames beside it may show their rest."""
        first = stats[:, cv2.CC_STAT_TOP] + self.place[1]
        last = first + stats[:, cv2.CC_STAT_HEIGHT]
        return np.asarray((first < BORDER_ROWS_PX) | (last > self.size[0] - BORDER_ROWS_PX), np.bool_)

    def at_seam(self, stats: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which regions reach the previous frame's last row, or this frame's last row."""
        first = stats[:, cv2.CC_STAT_TOP] + self.place[1]
        last = first + stats[:, cv2.CC_STAT_HEIGHT]
        start, stop = self.seam()
        before = (first < stop) & (last > start)
        return np.asarray(before | (last > self.size[0] - BORDER_ROWS_PX), np.bool_)

    def cut(self, stats: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which regions reach a border beyond which another camera shows their rest."""
        borders, width = self.borders, self.size[1]
        if borders.left_px is None and borders.right_px is None:
            return np.zeros(len(stats), np.bool_)
        columns = stats[:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_WIDTH]].tolist()
        return np.array([borders.cut(x + self.place[0], w, width, BORDER_PX) for x, w in columns], np.bool_)


def _regions(inside: Pixels, frame: _Frame, min_area_px: Sequence[float]) -> Iterator[_Regions]:
    for kind in range(1, int(inside.max()) + 1):
        one_kind = (inside == kind).view(np.uint8)
        if not cv2.countNonZero(one_kind):
            continue
        _, labels, stats, centroids = cv2.connectedComponentsWithStats(one_kind, connectivity=8)
        least = min_area_px[kind] if min_area_px else 0.0
        stats = np.asarray(stats, np.int32)
        reaching = _reaching(stats, frame, least)
        counted = np.flatnonzero(reaching | frame.at_seam(stats))
        small = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] < least * (1 - ROUNDING))
        yield _Regions(
            kind, np.asarray(labels, np.int32), stats, np.asarray(centroids), counted[counted > 0],
            np.flatnonzero(reaching), small[small > 0],
        )  # fmt: skip


def _joined(
    inside: Pixels, pieces: list[_Regions], min_area_px: Sequence[float], frame: _Frame
) -> _Regions | None:
    """The small regions of several kinds that touch, as regions of kind 0; None if none reaches a minimum or the
    frame's first or last row.

    Vectorised, because spray can leave thousands of regions.
    """
    kinds = np.zeros(inside.shape, np.uint8)
    for each in pieces:
        of_label = np.zeros(len(each.stats), np.uint8)
        of_label[each.small] = each.kind
        kinds |= of_label[each.labels]
    _, labels, boxes, centroids = cv2.connectedComponentsWithStats((kinds > 0).view(np.uint8), connectivity=8)
    stats = np.asarray(boxes, np.int32)
    count = np.zeros(len(stats), np.intp)
    least = np.full(len(stats), np.inf)
    for each in pieces:
        shows = np.zeros(len(stats), np.bool_)
        shows[labels[kinds == each.kind]] = True
        count += shows
        least[shows] = np.minimum(least[shows], min_area_px[each.kind])
    reaching = (count > 1) & _reaching(stats, frame, least)
    counted = np.flatnonzero(reaching | ((count > 1) & frame.at_seam(stats)))
    if not counted.size:
        return None
    return _Regions(
        0, np.asarray(labels, np.int32), stats, np.asarray(centroids), counted,
        np.flatnonzero(reaching), np.empty(0, np.intp),
    )  # fmt: skip


def _first_pixel(regions: _Regions, label: int) -> tuple[int, int]:
    """Row and column of a region's first pixel."""
    x, y, w = regions.stats[label, : cv2.CC_STAT_WIDTH + 1].tolist()
    return y, x + int(np.argmax(regions.labels[y, x : x + w] == label))


def _component(
    regions: _Regions,
    label: int,
    inside: Pixels,
    score: Pixels,
    frame: _Frame,
    small: bool,
) -> Component:
    x, y, w, h, area = regions.stats[label].tolist()
    box = (slice(y, y + h), slice(x, x + w))
    region = regions.labels[box] == label
    areas = np.bincount(inside[box][region])
    place, (frame_height, frame_width) = frame.place, frame.size
    x, y = x + place[0], y + place[1]
    start, stop = frame.seam()
    seen = max(0, frame.borders.seen_rows - y)
    centre_x, centre_y = regions.centroids[label].tolist()
    return Component(
        kind=int(areas.argmax()),
        box=(x, y, w, h),
        area_px=area,
        centre_px=(centre_x + place[0], centre_y + place[1]),
        score=cv2.mean(score[box], region.view(np.uint8))[0] / MAX_SCORE,
        new_px=area - int(np.count_nonzero(region[:seen])) if seen else area,
        top=_columns(region, x, start - y, stop - y),
        bottom=_columns(region, x, frame_height - BORDER_ROWS_PX - y, frame_height - y),
        joined=tuple(np.flatnonzero(areas).tolist()) if small or not regions.kind else (),
        cut=frame.borders.cut(x, w, frame_width, BORDER_PX),
    )


def _reaching(
    stats: NDArray[np.int32], frame: _Frame, min_area_px: float | NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which regions reach the minimum area, or the frame's first or last row.

    Vectorised, because spray can leave thousands of regions.
    """
    area = stats[:, cv2.CC_STAT_AREA]
    least_px = np.asarray(min_area_px) * (1 - ROUNDING)
    part = (area >= PART_SHARE * least_px) & frame.cut(stats)
    return np.asarray((area >= least_px) | part | frame.at_border(stats), np.bool_)


def _largest(regions: _Regions, labels: NDArray[np.intp]) -> NDArray[np.intp]:
    """The largest MAX_COMPONENTS of these."""
    if len(labels) <= MAX_COMPONENTS:
        return labels
    order = np.argsort(-regions.stats[labels, cv2.CC_STAT_AREA], kind="stable")
    return labels[order[:MAX_COMPONENTS]]


def _columns(region: NDArray[np.bool_], x: int, start: int, stop: int) -> NDArray[np.intp]:
    """Columns of the frame that the region occupies in its rows from `start` to before `stop`."""
    if stop <= 0 or start >= len(region):
        return np.empty(0, np.intp)
    return np.flatnonzero(region[max(0, start) : stop].any(axis=0)) + x
