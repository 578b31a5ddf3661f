"""Measures a checkpoint, model or engine on labelled frames, and beside it a model that calls every pixel normal.

The class mask is the one the line uses: the predicted kind where the score reaches that kind's threshold, else
normal. Pixel figures follow from it alone, frame figures also from the minimum areas.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from inspector.errors import InputError
from inspector.values import Pixels, Segmentation
from trainer.commands.bar import bar
from trainer.data.collapse import knows_one_kind
from trainer.data.dataset import Dataset
from trainer.data.frames import LoadedFrames, load_frames
from trainer.data.split import read_split
from trainer.evaluation.frame_verdict import FrameJudge
from trainer.evaluation.predictors import Predictor
from trainer.evaluation.study import Study

CHUNK: Final = 16
"""Frames passed to the predictor at a time: enough to keep every slot of an engine busy."""


def evaluate(predictor: Predictor, data: LoadedFrames, *, show_progress: bool = False) -> dict[str, Any]:
    """Figures of an open predictor on these frames, as JSON values; see contracts/evaluation.schema.json."""
    return study(predictor, data, show_progress=show_progress).figures()


def study(predictor: Predictor, data: LoadedFrames, *, show_progress: bool = False) -> Study:
    """All figures and curves of an open predictor on these frames.

    Maps are processed and dropped CHUNK frames at a time, so they need no more memory for more frames. Raises
    InputError for frames of another size than the predictor takes.
    """
    check_size(predictor, data.size, data.names[0])
    judge = FrameJudge(predictor.operation)
    result = Study.start(predictor.operation, judge.score_thresholds, predictor.map_stride, data.digest())
    starts = range(0, len(data), CHUNK)
    for start in bar(starts, "evaluating", total=len(starts), unit="step", show=show_progress):
        kind, score = predictor.maps(data.frames[start : start + CHUNK])
        for offset in range(len(kind)):
            index = start + offset
            segmentation = Segmentation(kind[offset], score[offset], predictor.map_stride)
            verdict = judge.judge(segmentation, *data.size)
            steps = judge.reject_steps(segmentation, *data.size)
            result.add(index, data.labels[index], verdict, steps)
    return result


def load_part(
    dataset: Dataset, split_path: Path | None, part: str, *, show_progress: bool = False
) -> LoadedFrames:
    """Load all frames, or one part of a split; raises InputError for an empty part."""
    names = dataset.names
    if split_path is not None:
        names = read_split(split_path, dataset)[part]
        if not names:
            raise InputError(f"{split_path}: the part {part} is empty: name another with --part")
    return load_frames(dataset, names, show_progress=show_progress)


def check_classes(predictor: Predictor, dataset: Dataset) -> str | None:
    """A warning if class names differ or all kinds count as one; raises InputError if the classes do not fit."""
    ours, theirs = predictor.operation.classes, dataset.classes
    if knows_one_kind(ours) and len(theirs) > len(ours):
        return (
            f"{', '.join(theirs[1:])} all count as {ours[1]}: that is what {predictor.identity} tells from normal"
        )
    if len(ours) != len(theirs):
        raise InputError(
            f"{predictor.identity} knows {len(ours)} classes ({', '.join(ours)}) but {dataset.root} has "
            f"{len(theirs)} ({', '.join(theirs)})"
        )
    if ours != theirs:
        return f"class names differ ({', '.join(theirs)} in the data): matched by number"
    return None


def check_size(predictor: Predictor, size: tuple[int, int], name: str) -> None:
    """Raise InputError for frames of another size than the predictor takes."""
    if size != (predictor.height, predictor.width):
        raise InputError(
            f"{name}: frame is {size[0]}×{size[1]} px but {predictor.identity} takes "
            f"{predictor.height}×{predictor.width}: export it for this size with --height and --width, or "
            "evaluate with --tile and --pad"
        )


def all_maps(predictor: Predictor, frames: Pixels, chunks: Iterable[int]) -> tuple[Pixels, Pixels]:
    """(kind, score) of all frames.

    `chunks` are the first indices of the chunks; the caller may wrap them to show progress.
    """
    pairs = [predictor.maps(frames[start : start + CHUNK]) for start in chunks]
    return np.concatenate([kind for kind, _ in pairs]), np.concatenate([score for _, score in pairs])
