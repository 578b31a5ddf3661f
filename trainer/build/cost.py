"""Measures the quality loss of a build: engine against the fp32 model on the same labelled frames."""

from pathlib import Path
from typing import Any, Final

from inspector.engine import golden
from inspector.errors import WorkError
from inspector.values import Pixels
from trainer.build.calibration import Calibration
from trainer.artifacts.card import ModelFolder
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.predictors import EnginePredictor, OnnxPredictor, operation_of

MAX_LOSS_POINTS: Final = 0.5
"""Default limit for the loss of mIoU and of defect IoU, points of 100."""

_JUDGED: Final = (("miou", "mIoU"), ("defect_iou", "defect IoU"))


def reference(model: ModelFolder) -> OnnxPredictor:
    """Open the fp32 model in ONNX Runtime, which needs the training libraries."""
    card = model.card
    return OnnxPredictor(model.onnx, operation_of(card), card.height, card.width, card.map_stride)


def reference_maps(model: ModelFolder, frames: Pixels) -> golden.Golden:
    """Return the frames, uint8 [N, H, W], with the fp32 model's maps."""
    return golden.Golden(frames, *reference(model).answers(frames))


def measure_cost(
    engine_folder: Path, model: ModelFolder, frames: Calibration, most: float, *, show_progress: bool = False
) -> dict[str, Any]:
    """Return both figures on the judging frames and the loss in points; raises WorkError for more than `most`."""
    before = evaluate(reference(model), frames.judges, show_progress=show_progress)
    with EnginePredictor(engine_folder) as predictor:
        after = evaluate(predictor, frames.judges, show_progress=show_progress)
    loss = {key: 100 * (before[key] - after[key]) for key, _ in _JUDGED}
    fallen = [
        f"{title} fell by {loss[key]:.2f} points ({before[key]:.2%} → {after[key]:.2%})"
        for key, title in _JUDGED
        if loss[key] > most
    ]
    if fallen:
        raise WorkError(
            f"{' and '.join(fallen)} on {len(frames.judges)} frames of {frames.folder} (allowed: {most:g}): "
            "nothing was written; build it with --precision bf16, or allow more with --max-loss"
        )
    return {
        "data": frames.folder,
        "data_sha256": frames.judges.digest(),
        "frames": len(frames.judges),
        "calibration_frames": len(frames.ranges),
        "allowed_loss_points": most,
        "loss_points": loss,
        "model": before,
        "engine": after,
    }
