"""Chooses each class's threshold and minimum area on validation frames, by the cost of mistakes.

The search starts with the threshold of best mask quality (pooled Dice) and the area of least frame cost per class.
Then, class by class, it moves threshold and area together if that saves enough.

Measured on 600 simulated frames that the network had not seen: chosen on random parts, tested on the rest, 16
times, with a missed defective frame (escape) ten times as expensive as a falsely rejected one (overkill). Against
Dice alone the cost fell by 2.2 ± 1.6 % with 300 frames to choose on, by 0.6 ± 0.7 % with 150, and did not rise
with 60. Without the required minimum saving it rose by 5 ± 6 % with 60.
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

LOWEST_STEP: Final = 26
HIGHEST_STEP: Final = 230
"""Range of thresholds searched, score steps (10 to 90 %). Beyond it a few validation pixels decide, and the
calibration of scores is worst."""
PLATEAU: Final = 0.002
"""Thresholds within this distance of the best Dice count as equally good; the search takes the middle one, the
safest."""
GRID_STEP: Final = 6
"""Distance between the thresholds tried beside the best one, in score steps: 2.4 %."""
DICE_FLOOR: Final = 0.9
"""Least Dice of a threshold, as a share of its class's best: limits how much mask quality the search may give up
to save cost. A floor of 0.8 gained nothing."""
_DEFAULT_STEP: Final = round(DEFAULT_THRESHOLD * MAX_SCORE)
_PASSES: Final = 6
"""Most rounds of the search; it settles after two or three."""


@dataclass(frozen=True, slots=True)
class Maps:
    """Labels of frames and a predictor's maps of them."""

    labels: Pixels
    """uint8 [N, H, W]."""
    kind: Pixels
    """uint8 [N, H/m, W/m]."""
    score: Pixels
    """uint8 [N, H/m, W/m]."""
    map_stride: int

    def segmentation(self, index: int) -> Segmentation:
        """Maps of one frame."""
        return Segmentation(self.kind[index], self.score[index], self.map_stride)


def choose(classes: tuple[str, ...], maps: Maps, escape_cost: float, overkill_cost: float) -> Operation:
    """Thresholds and minimum areas of least cost, near the thresholds of best Dice.

    A class that the frames do not show keeps the threshold 0.5. Its minimum area is 0, unless it would reject good
    frames.
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
    """Candidate thresholds of one class, in score steps; `start` is the index of the one with the best Dice."""

    steps: tuple[int, ...]
    start: int

    def threshold(self, column: int) -> float:
        step = self.steps[column]
        return DEFAULT_THRESHOLD if step == _DEFAULT_STEP else round(step / MAX_SCORE, 4)


@dataclass(frozen=True, slots=True)
class _Choice:
    """Threshold of one class, as a column of its grid, and its minimum area."""

    column: int
    min_area_px: int = 0


def _grids(classes: tuple[str, ...], maps: Maps) -> list[_Grid]:
    """Candidate thresholds of every defect class."""
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
    """Candidate thresholds of one class.

    `hits` and `claims` are histograms over the score: pixels that are correctly this class, pixels predicted as
    this class. `truth` is the number of labelled pixels.
    """
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
    """Per class, the area of the largest defect by frame and threshold, px, int64 [N, thresholds]."""
    height, width = maps.labels.shape[1:]
    areas = [np.zeros((len(maps.labels), len(grid.steps)), np.int64) for grid in grids]
    for index in range(len(maps.labels)):
        kind, score = enlarge(maps.segmentation(index), height, width)
        for number, grid in enumerate(grids):
            if not grid.steps:
                continue
            own = score * (kind == number)
            x, y, box_width, box_height = cv2.boundingRect((own >= grid.steps[0]).view(np.uint8))
            own = own[y : y + box_height, x : x + box_width]  # empty if no pixel reaches a threshold
            for column, step in enumerate(grid.steps):
                area = largest_area(own >= step) if own.size else 0
                if area == 0:  # higher thresholds find nothing either
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
                    # Moving a threshold must save more than one good frame, else one or two frames decide.
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
    """(cost, minimum area) over the frames that no other class rejects; area 0 means every defect counts.

    Among areas of equal cost it takes the smallest, which lets the fewest defects escape.
    """
    bad, good = np.sort(areas[defective]), np.sort(areas[~defective])
    # The cost can fall only just above the largest defect of a good frame.
    candidates = np.unique(np.concatenate([[1], good[good > 0] + 1]))
    escapes = np.searchsorted(bad, candidates, side="left")
    overkills = len(good) - np.searchsorted(good, candidates, side="left")
    costs = escape_cost * escapes + overkill_cost * overkills
    best = int(costs.argmin())
    return float(costs[best]), 0 if best == 0 else int(candidates[best])
