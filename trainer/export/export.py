"""Turns a checkpoint into a model folder: ONNX with the engine contract inside, golden frames, and the card."""

import hashlib
import json
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inspector.core.rules import score_thresholds
from inspector.engine import golden
from inspector.engine.manifest import GOLDEN_NAME, file_sha256
from inspector.errors import InputError, WorkError
from inspector.values import Pixels
from trainer.artifacts.bar import bar
from trainer.artifacts.card import ONNX_NAME, Card, write_card
from trainer.artifacts.checkpoint import PRETRAINED, SMALLEST_PX, Checkpoint, load_checkpoint
from trainer.artifacts.new_folder import check_is_new, new_folder
from trainer.artifacts.versions import library_versions
from trainer.data.class_order import in_classes, match_classes
from trainer.data.corrections import CORRECTIONS
from trainer.data.dataset import Dataset
from trainer.data.fit import FIT, stored_fit
from trainer.data.formats import open_dataset
from trainer.data.frames import LoadedFrames, load_frames
from trainer.evaluation.alarms import alarms
from trainer.evaluation.budget import within_budget
from trainer.evaluation.evaluate import CHUNK, all_answers, evaluate
from trainer.evaluation.frame_score import STATED_ESCAPE, FrameScores
from trainer.evaluation.predictors import DEFAULT_THRESHOLD, OnnxPredictor, Operation, TorchPredictor
from trainer.evaluation.seen_frames import PRINTS
from trainer.evaluation.thresholds import Maps, choose
from trainer.export.onnx_file import write_onnx
from trainer.models.contract import choose_map_stride, fold_batch_norms
from trainer.models.flips import check_flips

MIN_MASK_AGREEMENT: Final = 0.999
"""Share of pixels on which ONNX and torch must agree; what is left are scores that round to a threshold."""

GOLDEN_DEFECTIVE: Final = 4
GOLDEN_CLEAN: Final = 2
GOLDEN_LOOKED_AT: Final = 200
"""Number of frames that golden frames are chosen from, if a folder is given for them."""
"""Golden frames: every kind at work where possible, and steel that must stay clean."""

INTENDED_USE: Final = (
    "Finds surface defects of the classes above on mono frames of the size above, from the camera, lighting and "
    "product its training frames came from, as part of an inspection line whose verdicts people audit."
)
GENERAL_WEAKNESSES: Final = """\
The figures are of the validation part, which also chose checkpoint, thresholds and areas: they flatter.
Knows no kind of defect that its training frames do not show, nor another camera, lighting or product.
Scores are not calibrated probabilities.""".splitlines()


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What to export and where."""

    checkpoint: Path
    out: Path
    name: str
    data: Path | None = None
    """Present folder of the data set; None if it has not moved since training."""
    height: int | None = None
    width: int | None = None
    map_stride: int | None = None
    flips: int = 1
    """Views of a frame whose answers are averaged, see trainer.models.flips."""
    half_weights: bool = False
    escape_cost: float = 10.0
    overkill_cost: float = 1.0
    frame_escape: float = STATED_ESCAPE
    """Share of the defective validation frames that the frame threshold may let pass."""
    false_rejects: float | None = None
    """Share of the sound validation frames that may be rejected; None weighs escape_cost and overkill_cost."""
    golden: Path | None = None
    """Data set to take golden frames from; None takes them from the validation part."""
    notes: tuple[str, ...] = ()
    """Known weaknesses to put on the card."""


def export(settings: ExportSettings, *, show_progress: bool = False) -> Card:
    """Write the model folder, whole or not at all, and return its card.

    Raises InputError for a checkpoint or data that do not fit, WorkError when ONNX and torch disagree.
    """
    check_is_new(settings.out)
    checkpoint = load_checkpoint(settings.checkpoint)
    height = settings.height or checkpoint.size[0]
    width = settings.width or checkpoint.size[1]
    smallest_px = checkpoint.facts.get(SMALLEST_PX)
    stride = choose_map_stride(checkpoint.map_stride, height, width, settings.map_stride, smallest_px)
    check_flips(settings.flips, height, width)
    val = _validation_frames(checkpoint, settings.data, height, width, show_progress=show_progress)
    # Its own copy of the network: the reference keeps its batch norms unfolded.
    folded = load_checkpoint(settings.checkpoint)
    fold_batch_norms(folded.net)
    with new_folder(settings.out) as building:
        onnx_path = building / ONNX_NAME
        exported = TorchPredictor(folded, height, width, stride, settings.flips)
        write_onnx(exported.net, height, width, onnx_path, half_weights=settings.half_weights)
        start = Operation(checkpoint.classes, dict.fromkeys(checkpoint.classes[1:], DEFAULT_THRESHOLD))
        predictor = OnnxPredictor(onnx_path, start, height, width, stride)
        starts = range(0, len(val), CHUNK)
        chunks = bar(starts, "choosing thresholds", total=len(starts), unit="step", show=show_progress)
        kind, score, frame_scores = all_answers(predictor, val.frames, chunks)
        maps = Maps(val.labels, kind, score, stride)
        operation = choose(checkpoint.classes, maps, settings.escape_cost, settings.overkill_cost)
        if settings.false_rejects is not None:
            operation = within_budget(operation, maps, settings.false_rejects)
        if frame_scores is not None:
            operation = replace(operation, frame_threshold=_frame_threshold(frame_scores, val, settings))
        predictor.operation = operation
        shown = val
        if settings.golden is not None:
            shown = _golden_frames(settings.golden, height, width)
        reference = TorchPredictor(checkpoint, height, width, stride, settings.flips)
        expected, parity = _golden(reference, predictor, shown)
        golden.save(building / GOLDEN_NAME, expected)
        figures = evaluate(predictor, val, show_progress=show_progress)
        card = Card(
            name=settings.name,
            classes=checkpoint.classes,
            height=height,
            width=width,
            map_stride=stride,
            flips=settings.flips,
            files={name: file_sha256(building / name) for name in (ONNX_NAME, GOLDEN_NAME)},
            model={**checkpoint.model, "parameters": _count(checkpoint)},
            pretrained=checkpoint.facts.get(PRETRAINED),
            thresholds=operation.thresholds,
            min_area_px=operation.min_area_px,
            frame_threshold=operation.frame_threshold,
            threshold_choice={
                "frames": len(val),
                "escape_cost": settings.escape_cost,
                "overkill_cost": settings.overkill_cost,
                **({} if settings.false_rejects is None else {"false_rejects": settings.false_rejects}),
                **({} if frame_scores is None else {"frame_escape": settings.frame_escape}),
            },
            data=_data_facts(checkpoint),
            training={name: checkpoint.facts[name] for name in ("settings", "command", "versions")},
            figures=figures,
            parity=parity,
            intended_use=INTENDED_USE,
            known_weaknesses=[
                *settings.notes,
                *alarms(figures),
                *_weak_classes(val, checkpoint.classes),
                *GENERAL_WEAKNESSES,
            ],
            versions=library_versions("torch", "onnx", "onnxruntime", "onnxscript", "numpy"),
            command=shlex.join(["trainer", *sys.argv[1:]]),
        )
        write_card(building, card)
    return card


def _validation_frames(
    checkpoint: Checkpoint, data: Path | None, height: int, width: int, *, show_progress: bool
) -> LoadedFrames:
    """The run's validation part, cut to the size of the export where that is smaller."""
    root = data or Path(checkpoint.facts["data"])
    if data is None and not root.is_dir():
        raise InputError(f"{root}: the training data has moved: name its folder with --data")
    dataset: Dataset = open_dataset(root)
    match_classes(checkpoint.classes, dataset.classes, str(checkpoint.path), str(root))
    names = dataset.resolve(checkpoint.facts["split"]["val"], "the checkpoint's validation part")
    fit = stored_fit(checkpoint.facts)
    loaded = load_frames(dataset, names, fit=fit, show_progress=show_progress)
    if loaded.digest() != checkpoint.facts["val_sha256"]:
        raise InputError(
            f"{root}: frames or labels of the validation part changed since the training: thresholds chosen on "
            "them would not be what the card says; train again, or name the old data with --data"
        )
    loaded = in_classes(checkpoint.classes, dataset.classes, loaded)
    if loaded.size == (height, width):
        return loaded
    if loaded.size[0] < height or loaded.size[1] < width:
        raise InputError(
            f"--height {height} --width {width}: the validation frames are only {loaded.size[0]}×"
            f"{loaded.size[1]} px: export for their size or a smaller one"
        )
    frames, labels = loaded.frames[:, :height, :width], loaded.labels[:, :height, :width]
    present = np.stack([np.isin(range(len(checkpoint.classes)), label) for label in labels])
    return replace(
        loaded, frames=np.ascontiguousarray(frames), labels=np.ascontiguousarray(labels), present=present
    )


def _golden_frames(root: Path, height: int, width: int) -> LoadedFrames:
    """Return frames that may be published with the model; raises InputError if they do not fit it.

    Their labels only help to choose among them, so their kinds need not be the model's.
    """
    dataset = open_dataset(root)
    loaded = load_frames(dataset, dataset.names[:GOLDEN_LOOKED_AT])
    if loaded.size != (height, width):
        raise InputError(
            f"--golden {root}: its frames are {loaded.size[0]}×{loaded.size[1]} px but the model takes "
            f"{height}×{width}: name frames of that size"
        )
    return loaded


def _golden(
    reference: TorchPredictor, predictor: OnnxPredictor, shown: LoadedFrames
) -> tuple[golden.Golden, dict[str, Any]]:
    """Return golden frames with the reference's maps, and ONNX's agreement; raises WorkError if it is too low."""
    chosen = _golden_indices(shown)
    frames = np.ascontiguousarray(shown.frames[chosen])
    expected = golden.Golden(frames, *reference.answers(frames))
    operation = predictor.operation
    steps = score_thresholds(operation.classes, operation.thresholds)
    kind, score, frame = predictor.answers(frames)
    agreement = golden.compare(expected, kind, score, steps, frame)
    if agreement.mask_agreement < MIN_MASK_AGREEMENT:
        raise WorkError(
            f"the ONNX model agrees with torch on only {agreement.mask_agreement:.4%} of the golden pixels (needs "
            f"{MIN_MASK_AGREEMENT:.1%}): nothing was written; try without --half-weights"
        )
    return expected, {
        "frames": len(chosen),
        "mask_agreement": agreement.mask_agreement,
        "largest_score_difference": agreement.largest_score_difference,
        "mean_score_difference": agreement.mean_score_difference,
    }


def _frame_threshold(scores: Pixels, val: LoadedFrames, settings: ExportSettings) -> float:
    """The frame threshold for the stated escape, on the validation frames."""
    known = FrameScores()
    for score, shown in zip(scores, val.present[:, 1:], strict=True):
        known.add(int(score), defective=bool(shown.any()), rejected=True)
    return known.choose(settings.frame_escape)


def _golden_indices(val: LoadedFrames) -> list[int]:
    """Choose for each kind the frame that shows most of it, then frames without a defect."""
    chosen: list[int] = []
    areas = np.stack([np.bincount(label.ravel(), minlength=val.present.shape[1]) for label in val.labels])
    # Rare kinds first, so that a frequent one does not take the last place.
    kinds: NDArray[np.intp] = np.argsort(val.present[:, 1:].sum(axis=0)) + 1
    for kind in kinds:
        best = int(areas[:, kind].argmax())
        if areas[best, kind] and best not in chosen and len(chosen) < GOLDEN_DEFECTIVE:
            chosen.append(best)
    clean = np.flatnonzero(~val.present[:, 1:].any(axis=1))
    chosen += clean[:GOLDEN_CLEAN].tolist()
    return chosen or [0]


def _count(checkpoint: Checkpoint) -> int:
    return sum(parameter.numel() for parameter in checkpoint.net.parameters())


def _data_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    names = ("train_frames", "val_frames", "train_sha256", "val_sha256")
    split = json.dumps(checkpoint.facts["split"], sort_keys=True).encode()
    facts = {name: checkpoint.facts[name] for name in names}
    if FIT in checkpoint.facts:
        facts[FIT] = checkpoint.facts[FIT]
    facts["split_sha256"] = hashlib.sha256(split).hexdigest()
    if checkpoint.facts.get(CORRECTIONS):
        facts[CORRECTIONS] = checkpoint.facts[CORRECTIONS]
    if PRINTS in checkpoint.facts:
        facts[PRINTS] = checkpoint.facts[PRINTS]
    return facts


def _weak_classes(val: LoadedFrames, classes: tuple[str, ...]) -> list[str]:
    """Return the classes that too few validation frames show for a meaningful figure."""
    few = 10
    return [
        f"{name}: only {count} validation frames show it; its figures and threshold mean little."
        for name, count in zip(classes[1:], val.present[:, 1:].sum(axis=0).tolist(), strict=True)
        if count < few
    ]
