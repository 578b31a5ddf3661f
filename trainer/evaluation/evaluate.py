"""Measures a checkpoint, model or engine on labelled frames, and beside it a model that calls every pixel normal.

The class mask is the one the line uses: the predicted kind where the score reaches that kind's threshold, else
normal. Pixel figures follow from it alone, frame figures also from the minimum areas.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from inspector.errors import InputError
from inspector.values import Pixels, Segmentation
from trainer.artifacts.bar import bar
from trainer.data.class_order import match_classes
from trainer.data.dataset import Dataset
from trainer.data.fit import Fit, Policy
from trainer.data.frames import LoadedFrames
from trainer.data.split import read_split
from trainer.evaluation.frame_verdict import FrameJudge
from trainer.evaluation.predictors import Answers, Predictor, together
from trainer.evaluation.seen_frames import read_origin
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
        kind, score, frame = predictor.answers(data.frames[start : start + CHUNK])
        for offset in range(len(kind)):
            index = start + offset
            segmentation = Segmentation(kind[offset], score[offset], predictor.map_stride)
            verdict = judge.judge(segmentation, *data.size)
            steps = judge.reject_steps(segmentation, *data.size)
            shift = judge.reject_shift(segmentation, *data.size, steps)
            result.add(index, data.labels[index], verdict, steps, shift)
            if frame is not None:
                defective = bool(data.present[index, 1:].any())
                result.frame_scores.add(int(frame[offset]), defective=defective, rejected=verdict.rejected)
    return result


def part_names(dataset: Dataset, split_path: Path | None, part: str) -> list[str]:
    """All frame names, or those of one part of a split; raises InputError for an empty part."""
    if split_path is None:
        return dataset.names
    names = read_split(split_path, dataset)[part]
    if not names:
        raise InputError(f"{split_path}: the part {part} is empty: name another with --part")
    return names


def fit_for(
    predictor: Predictor, dataset: Dataset, names: list[str], policy: Policy | None, what: Path
) -> Fit | None:
    """How to bring the frames to the predictor's size: as stated, else as it was trained; None if all have it.

    Raises InputError for frames of another size if neither is known. `what` is the predictor's path.
    """
    size = (predictor.height, predictor.width)
    others = [(name, found) for name in names if (found := dataset.size(name)) != size]
    if not others:
        return None
    if policy is None:
        trained = read_origin(what).fit
        policy = None if trained is None else trained.policy
    if policy is None:
        check_size(predictor, others[0][1], others[0][0])
    return Fit(policy or "tile", *size)


def check_classes(predictor: Predictor, dataset: Dataset) -> str | None:
    """A note if classes have another order or count as one; raises InputError for a class it does not know."""
    ours, theirs = predictor.operation.classes, dataset.classes
    return match_classes(ours, theirs, predictor.identity, str(dataset.root))[1]


def check_size(predictor: Predictor, size: tuple[int, int], name: str) -> None:
    """Raise InputError for frames of another size than the predictor takes."""
    if size != (predictor.height, predictor.width):
        raise InputError(
            f"{name}: frame is {size[0]}×{size[1]} px but {predictor.identity} takes "
            f"{predictor.height}×{predictor.width}: export it for this size with --height and --width, or name "
            "--fit tile or --fit resize"
        )


def all_answers(predictor: Predictor, frames: Pixels, chunks: Iterable[int]) -> Answers:
    """Maps and frame scores of all frames.

    `chunks` are the first indices of the chunks; the caller may wrap them to show progress.
    """
    return together([predictor.answers(frames[start : start + CHUNK]) for start in chunks])
