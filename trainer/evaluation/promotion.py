"""Compares a candidate engine with the current one, frame by frame, by the line's own rules."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inspector.config.recipe import load_recipe
from inspector.core.rules import BoundRecipe, score_thresholds
from inspector.core.single_frame import judge_alone
from inspector.engine.manifest import EngineFolder, check_successor, open_folder
from inspector.engine.promotion import SCHEMA_VERSION, Comparison, Counts, PromotionCheck
from inspector.errors import InputError
from inspector.values import UNSOUND_FRAME_SCORE, Segmentation
from trainer.artifacts.bar import bar
from trainer.data.class_order import match_classes
from trainer.data.dataset import Dataset
from trainer.data.frames import LoadedFrames, load_frames
from trainer.evaluation.evaluate import CHUNK
from trainer.evaluation.predictors import EnginePredictor
from trainer.evaluation.seen_frames import TRAIN, count_seen, read_origin

PIXEL_MM: Final = 1.0
"""Without a recipe areas are compared in pixels."""


def promotion_check(
    candidate: Path,
    current: Path,
    frozen: tuple[Dataset, Sequence[str]],
    golden: Sequence[Dataset],
    *,
    recipe: Path | None,
    escape_cost: float,
    overkill_cost: float,
    show_progress: bool = False,
) -> PromotionCheck:
    """Judge the frozen set (data set and names of frames) and every golden coil with both engines.

    The candidate may replace the current engine if the frozen set costs less with it, if no golden coil has more
    escapes or more overkills, and if it was trained on none of these frames. Raises InputError for engines or
    frames that do not fit.
    """
    folders = [open_folder(path) for path in (current, candidate)]
    check_successor(folders[1].manifest, folders[0].manifest)
    loaded = None if recipe is None else load_recipe(recipe)
    recipes = [_own_recipe(folder) if loaded is None else loaded.bind(folder.classes) for folder in folders]
    costs = (escape_cost, overkill_cost)
    predictors = [EnginePredictor(path) for path in (current, candidate)]
    sets = [frozen, *((coil, coil.names) for coil in golden)]
    origin = read_origin(candidate)
    refusals: list[str] = []
    compared: list[Comparison] = []
    with predictors[0], predictors[1]:
        for dataset, names in sets:
            data = load_frames(dataset, list(names), show_progress=show_progress)
            compared.append(_compare(dataset, data, predictors, recipes, costs, show_progress=show_progress))
            if seen := count_seen(origin, data)[TRAIN]:
                refusals.append(
                    f"{compared[-1].name}: the candidate was trained on {seen} of its {len(data)} frames, which "
                    "says nothing: name frames that it has not seen, such as the test part with --split"
                )
    return PromotionCheck(
        schema_version=SCHEMA_VERSION,
        candidate=folders[1].identity,
        candidate_sha256=folders[1].digest,
        current=folders[0].identity,
        current_sha256=folders[0].digest,
        recipe=None if loaded is None else loaded.identity,
        escape_cost=escape_cost,
        overkill_cost=overkill_cost,
        frozen=compared[0],
        golden=tuple(compared[1:]),
        refusals=(*refusals, *_refusals(compared[0], compared[1:])),
    )


def _own_recipe(folder: EngineFolder) -> BoundRecipe:
    """The engine's own thresholds and minimum areas; every class rejects."""
    manifest, classes = folder.manifest, folder.classes
    return BoundRecipe(
        folder.identity,
        classes.names,
        (False, *[True] * (len(classes.names) - 1)),
        tuple(float(area) for area in classes.min_area_px),
        score_thresholds(manifest.classes, manifest.thresholds),
        PIXEL_MM,
        PIXEL_MM,
    )


def _compare(
    dataset: Dataset,
    data: LoadedFrames,
    predictors: Sequence[EnginePredictor],
    recipes: Sequence[BoundRecipe],
    costs: tuple[float, float],
    *,
    show_progress: bool,
) -> Comparison:
    size = (predictors[0].height, predictors[0].width)
    if data.size != size:
        raise InputError(f"{dataset.root}: frames are {data.size[0]}×{data.size[1]} px, the engines take {size}")
    defective = _defective(data, dataset, recipes[0])
    rejected = [
        _rejected(predictor, data, recipe, show_progress=show_progress)
        for predictor, recipe in zip(predictors, recipes, strict=True)
    ]
    right = [each == defective for each in rejected]
    gained, lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    return Comparison(
        name=dataset.root.resolve().name,
        data_sha256=data.digest(),
        defective_frames=int(defective.sum()),
        good_frames=int((~defective).sum()),
        current=_counts(rejected[0], defective, costs),
        candidate=_counts(rejected[1], defective, costs),
        only_candidate_right=gained,
        only_current_right=lost,
        chance=mcnemar(gained, lost),
    )


def _defective(data: LoadedFrames, dataset: Dataset, recipe: BoundRecipe) -> NDArray[np.bool_]:
    """Frames that show a class which the recipe rejects."""
    numbers, _ = match_classes(recipe.names, dataset.classes, "the engines", str(dataset.root))
    rejects = np.array([recipe.rejects[number] if number else False for number in numbers])
    return np.asarray((data.present[:, : len(rejects)] & rejects).any(axis=1), np.bool_)


def _rejected(
    predictor: EnginePredictor, data: LoadedFrames, recipe: BoundRecipe, *, show_progress: bool
) -> NDArray[np.bool_]:
    found = np.zeros(len(data), np.bool_)
    starts = range(0, len(data), CHUNK)
    for start in bar(starts, "judging", total=len(starts), unit="step", show=show_progress):
        kind, score, frame = predictor.answers(data.frames[start : start + CHUNK])
        for offset in range(len(kind)):
            frame_score = None if frame is None else int(frame[offset])
            if frame_score == UNSOUND_FRAME_SCORE and recipe.frame_step is not None:
                found[start + offset] = True  # the line leaves it uninspected, which the gate rejects
                continue
            maps = Segmentation(
                np.ascontiguousarray(kind[offset]), np.ascontiguousarray(score[offset]), predictor.map_stride
            )
            found[start + offset] = judge_alone(maps, *data.size, recipe, frame_score).rejected
    return found


def _counts(rejected: NDArray[np.bool_], defective: NDArray[np.bool_], costs: tuple[float, float]) -> Counts:
    escapes, overkills = int((defective & ~rejected).sum()), int((rejected & ~defective).sum())
    return Counts(escapes, overkills, escapes * costs[0] + overkills * costs[1])


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided exact probability that two equal engines differ so much: binomial with one half.

    Source: Q. McNemar, Psychometrika 12 (1947) 153, in its exact form.
    """
    count = gained + lost
    tail: float = sum(math.comb(count, few) for few in range(min(gained, lost) + 1)) / 2**count
    return min(1.0, 2.0 * tail)


def _refusals(frozen: Comparison, golden: Sequence[Comparison]) -> list[str]:
    found = []
    if not frozen.candidate.cost < frozen.current.cost:
        found.append(
            f"{frozen.name}: costs {frozen.candidate.cost:g} with the candidate and {frozen.current.cost:g} with "
            "the current engine: it must cost less"
        )
    for coil in golden:
        for what in ("escapes", "overkills"):
            before, after = getattr(coil.current, what), getattr(coil.candidate, what)
            if after > before:
                found.append(f"golden coil {coil.name}: {after} {what} with the candidate, {before} before")
    return found
