"""Escape and overkill by pixels, by the frame score, and by both, on labelled frames that training has not seen.

    python -m tests.benchmarks.frame_score DATA FRAMES.json CHECKPOINT[=SPLIT.json] …

Each frame's scores go into FRAMES.json, too.

With a split its test part is taken, else every frame. The frames of all checkpoints are pooled, so folds of one
data set count as one. Thresholds are not chosen here: the table says what the best threshold would reach at an
escape of at most a tenth, which flatters all three in the same way.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.defects import enlarge
from inspector.values import Segmentation
from trainer.artifacts.checkpoint import load_checkpoint
from trainer.data.formats import open_dataset
from trainer.evaluation.frame_score import auc
from trainer.evaluation.frame_verdict import reject_step
from trainer.evaluation.predictors import TorchPredictor

MIN_AREA_PX = 400
"""Smallest region that counts, px: the smallest labelled defects of Severstal have about as many."""
MOST_ESCAPE = 0.1


def look(data: Path, checkpoint: Path, split: Path | None) -> list[dict[str, Any]]:
    """One entry a frame: whether it is defective, its scores, and its pixels by score, sound and defective."""
    dataset = open_dataset(data)
    names = dataset.names if split is None else json.loads(split.read_text())["test"]
    loaded = load_checkpoint(checkpoint)
    found = []
    for name in names:
        frame = dataset.frame(name)
        height, width = frame.shape
        label = dataset.label(name, (height, width)) > 0
        predictor = TorchPredictor(loaded, height, width, 4)
        kind, score, whole = predictor.answers(frame[None].copy())
        _, pixels = enlarge(Segmentation(kind[0], score[0], 4), height, width)
        found.append(
            {
                "name": name,
                "defective": bool(label.any()),
                "pixels": reject_step(pixels, MIN_AREA_PX),
                "frame": 0 if whole is None else int(whole[0]),
                "sound_px": np.bincount(pixels[~label], minlength=256).tolist(),
                "defect_px": np.bincount(pixels[label], minlength=256).tolist(),
            }
        )
    return found


def overkill_at(scores: NDArray[Any], defective: NDArray[np.bool_]) -> tuple[int, int, float]:
    """Sound frames rejected, escapes, and the threshold, for the highest one that keeps MOST_ESCAPE."""
    bad = np.sort(scores[defective])
    threshold = bad[int(MOST_ESCAPE * len(bad))]
    return int((scores[~defective] >= threshold).sum()), int((bad < threshold).sum()), float(threshold)


def ranks(scores: NDArray[Any]) -> NDArray[Any]:
    """Mean rank of each score."""
    ordered = np.sort(scores)
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / 2


def main(data: Path, out: Path, *runs: str) -> None:
    """Write the frames and print the table."""
    frames: list[dict[str, Any]] = []
    for run in runs:
        checkpoint, _, split = run.partition("=")
        frames += look(data, Path(checkpoint), Path(split) if split else None)
    out.write_text(json.dumps(frames))
    defective = np.array([frame["defective"] for frame in frames])
    pixels, whole = (np.array([frame[key] for frame in frames]) for key in ("pixels", "frame"))
    print(f"{len(frames)} frames, {defective.sum()} defective, {(~defective).sum()} labelled free")
    for name, scores in (
        ("pixels", pixels),
        ("frame score", whole),
        ("sum of ranks", ranks(pixels) + ranks(whole)),
    ):
        overkills, escapes, threshold = overkill_at(scores, defective)
        print(
            f"{name:<14} AUC {auc(scores[defective], scores[~defective]):.3f}   overkill {overkills} of "
            f"{(~defective).sum()} at {escapes} escapes of {defective.sum()} (threshold {threshold:.0f})"
        )
    sound, bad = (np.array([frame[key] for frame in frames]).sum(axis=0) for key in ("sound_px", "defect_px"))
    over_sound, over_bad = (counts[::-1].cumsum()[::-1] for counts in (sound, bad))
    iou = over_bad / np.maximum(1, bad.sum() + over_sound)
    print(f"defect IoU {iou[128]:.3f} at threshold 0.5, {iou.max():.3f} at {iou.argmax() / 255:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
