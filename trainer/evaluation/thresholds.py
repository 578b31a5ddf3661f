"""Chooses each class's threshold and minimum area on validation frames, from what mistakes cost.

Thresholds start where the mask is best (pooled Dice), areas where the frames cost least; then, class by class, a
threshold and its area move together where that saves enough. Measured on 600 simulated frames the network had not
seen, chosen on random parts and tried on the rest, 16 times, escape ten times as dear as overkill: against Dice
alone the cost fell by 2.2 ± 1.6 % when 300 frames chose, 0.6 ± 0.7 % when 150 did, and did not rise when 60 did;
moving a threshold for any saving at all made it 5 ± 6 % dearer there.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.core.defects import enlarge
from inspector.values import MAX_SCORE, Pixels, Segmentation
from trainer.evaluation.frame_verdict import largest_area
from trainer.evaluation.predictors import DEFAULT_THRESHOLD, Operation

ESCAPE_COST: Final = 10.0
OVERKILL_COST: Final = 1.0
"""Defaults: a defect at the customer's is worth ten good frames cut out."""

LOWEST_STEP: Final = 26
HIGHEST_STEP: Final = 230
"""Scores searched, 10 to 90 %: beyond, a few validation pixels decide, and calibration is at its worst."""
PLATEAU: Final = 0.002
"""Steps whose Dice comes this near to the best are as good; the middle one is the safest of them."""
GRID_STEP: Final = 6
"""Distance of the thresholds tried beside the best one, in score steps: 2.4 %."""
DICE_FLOOR: Final = 0.9
"""Of a class's best Dice: what its threshold may spoil of the mask to save cost. With 0.8 nothing was gained."""
_DEFAULT_STEP: Final = round(DEFAULT_THRESHOLD * MAX_SCORE)
_PASSES: Final = 6
"""Rounds of the search; it has settled after two or three."""


@dataclass(frozen=True, slots=True)
class Maps:
    """What a predictor said of labelled frames."""

    labels: Pixels
    """uint8 [N, H, W]."""
    kind: Pixels
    """uint8 [N, H/m, W/m]."""
    score: Pixels
    """uint8 [N, H/m, W/m]."""
    map_stride: int

    def segmentation(self, index: int) -> Segmentation:
        """One frame's maps."""
        return Segmentation(self.kind[index], self.score[index], self.map_stride)


def choose(classes: tuple[str, ...], maps: Maps, escape_cost: float, overkill_cost: float) -> Operation:
    """Thresholds and minimum areas of least cost, near the thresholds of best Dice.

    A class that the frames do not show keeps 0.5 and, but for good frames it would reject, no minimum area.
    """
    grids = [_Grid((), 0), *_grids(classes, maps)]
    areas = _measure(grids, maps)
    defective = np.array([bool(label.any()) for label in maps.labels])
    chosen = _descend(areas, defective, grids, escape_cost, overkill_cost)
    return Operation(
        classes,
        {name: grids[kind].threshold(chosen[kind].column) for kind, name in enumerate(classes) if kind},
        {name: chosen[kind].min_area_px for kind, name in enumerate(classes) if kind},
    )


@dataclass(frozen=True, slots=True)
class _Grid:
    """Thresholds of one class that may be chosen, in score steps; the one of best Dice is `start`."""

    steps: tuple[int, ...]
    start: int

    def threshold(self, column: int) -> float:
        step = self.steps[column]
        return DEFAULT_THRESHOLD if step == _DEFAULT_STEP else round(step / MAX_SCORE, 4)


@dataclass(frozen=True, slots=True)
class _Choice:
    """One class's threshold, as a column of its grid, and its minimum area."""

    column: int
    min_area_px: int = 0


def _grids(classes: tuple[str, ...], maps: Maps) -> list[_Grid]:
    """For every defect class the thresholds whose Dice is good enough."""
    bins = MAX_SCORE + 1
    height, width = maps.labels.shape[1:]
    hits = np.zeros((len(classes), bins), np.int64)
    claims = np.zeros_like(hits)
    truth = np.zeros(len(classes), np.int64)
    for index, label in enumerate(maps.labels):
        kind, score = enlarge(maps.segmentation(index), height, width)
        codes = (kind.astype(np.int64) * 2 + (kind == label)) * bins + score
        counts = np.bincount(codes.ravel(), minlength=len(classes) * 2 * bins).reshape(-1, 2, bins)
        hits += counts[:, 1]
        claims += counts.sum(axis=1)
        truth += np.bincount(label.ravel(), minlength=len(classes))
    return [_grid(hits[kind], claims[kind], int(truth[kind])) for kind in range(1, len(classes))]


def _grid(hits: NDArray[np.int64], claims: NDArray[np.int64], truth: int) -> _Grid:
    """Of one class, from its histograms over score: pixels that are it, pixels said to be it."""
    default = _Grid((_DEFAULT_STEP,), 0)
    if truth == 0:
        return default
    right = hits[::-1].cumsum()[::-1]
    said = claims[::-1].cumsum()[::-1]
    dice = 2.0 * right / (said + truth)
    searched = dice[LOWEST_STEP : HIGHEST_STEP + 1]
    best = int(searched.argmax())
    if searched[best] == 0.0:
        return default
    low = high = best
    while low > 0 and searched[low - 1] >= searched[best] - PLATEAU:
        low -= 1
    while high < len(searched) - 1 and searched[high + 1] >= searched[best] - PLATEAU:
        high += 1
    start = LOWEST_STEP + (low + high) // 2
    others = range(LOWEST_STEP, HIGHEST_STEP + 1, GRID_STEP)
    good = {step for step in others if dice[step] >= DICE_FLOOR * searched[best]}
    steps = tuple(sorted(good | {start}))
    return _Grid(steps, steps.index(start))


def _measure(grids: list[_Grid], maps: Maps) -> list[NDArray[np.int64]]:
    """By kind, the largest defect per frame and threshold, px, int64 [N, thresholds]."""
    height, width = maps.labels.shape[1:]
    areas = [np.zeros((len(maps.labels), len(grid.steps)), np.int64) for grid in grids]
    for index in range(len(maps.labels)):
        kind, score = enlarge(maps.segmentation(index), height, width)
        for number, grid in enumerate(grids):
            if not grid.steps:
                continue
            own = score * (kind == number)
            x, y, box_width, box_height = cv2.boundingRect((own >= grid.steps[0]).view(np.uint8))
            own = own[y : y + box_height, x : x + box_width]  # empty where no threshold is reached
            for column, step in enumerate(grid.steps):
                area = largest_area(own >= step) if own.size else 0
                if area == 0:  # nor at any higher threshold
                    break
                areas[number][index, column] = area
    return areas


def _descend(
    areas: list[NDArray[np.int64]],
    defective: NDArray[np.bool_],
    grids: list[_Grid],
    escape_cost: float,
    overkill_cost: float,
) -> list[_Choice]:
    """Least cost by coordinate descent: areas alone first, then each class's threshold together with its area."""
    chosen = [_Choice(grid.start) for grid in grids]
    for columns_too in (False, True):
        for _ in range(_PASSES):
            before = list(chosen)
            for kind in range(1, len(grids)):
                others = np.zeros(len(defective), np.bool_)
                for other in range(1, len(grids)):
                    if other != kind:
                        choice = chosen[other]
                        others |= areas[other][:, choice.column] >= max(1, choice.min_area_px)
                start = grids[kind].start
                columns = range(len(grids[kind].steps)) if columns_too else (start,)
                trials = [
                    # What moves a threshold must save more than one good frame, else a frame or two decide.
                    (cost + (overkill_cost if column != start else 0.0), abs(column - start), area, column)
                    for column in columns
                    for cost, area in [
                        _best_area(areas[kind][~others, column], defective[~others], escape_cost, overkill_cost)
                    ]
                ]
                _, _, area, column = min(trials)
                chosen[kind] = _Choice(column, area)
            if chosen == before:
                break
    return chosen


def _best_area(
    areas: NDArray[np.int64], defective: NDArray[np.bool_], escape_cost: float, overkill_cost: float
) -> tuple[float, int]:
    """(cost, minimum area) over the frames no other class rejects; 0 where every defect counts.

    Of areas that cost the same the smallest is taken, which lets the fewest defects escape.
    """
    bad, good = np.sort(areas[defective]), np.sort(areas[~defective])
    # Only just above the largest defect of a good frame can the cost fall.
    candidates = np.unique(np.concatenate([[1], good[good > 0] + 1]))
    escapes = np.searchsorted(bad, candidates, side="left")
    overkills = len(good) - np.searchsorted(good, candidates, side="left")
    costs = escape_cost * escapes + overkill_cost * overkills
    best = int(costs.argmin())
    return float(costs[best]), 0 if best == 0 else int(candidates[best])
