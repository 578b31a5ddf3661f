"""Turns a model folder into an engine folder, if the engine passes its checks on golden frames."""

import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from inspector.backends import Backend, open_backend
from inspector.backends.speed import measure_speed
from inspector.engine import golden
from inspector.engine.manifest import (
    GOLDEN_NAME,
    MANIFEST_NAME,
    Manifest,
    file_sha256,
    open_folder,
    write_manifest,
)
from inspector.errors import InputError, WorkError
from inspector.machine import cpu_name
from inspector.core.rules import score_thresholds
from trainer.build.cost import measure_cost, reference_maps
from trainer.build.settings import BUILDERS, BuildSettings, check_settings
from trainer.build.request import BuildRequest, Built
from trainer.build.calibration import Calibration, load_calibration
from trainer.artifacts.card import Card, ModelFolder, open_model, write_card
from trainer.artifacts.extras import needs_train_extra
from trainer.artifacts.new_folder import check_is_new, new_folder
from trainer.artifacts.versions import library_versions
from trainer.evaluation.alarms import miou_alarm

MIN_AGREEMENT: Final[dict[str, float]] = {"fp32": 0.999, "fp16": 0.998, "bf16": 0.99, "int8": 0.98}
"""Least share of pixels on which the engine's thresholded mask equals the fp32 reference's. bf16 has 8 bits of
mantissa and fp16 11, so scores near a threshold may change sides. int8 has 7 and is judged by labelled frames."""

AGREEMENT_FRAMES: Final = 16
"""Labelled frames that are compared in addition to the golden ones."""


def build_engine(settings: BuildSettings, *, show_progress: bool = False) -> Manifest:
    """Build an engine, verify it against the model on golden and labelled frames, measure it, keep the folder.

    Raises InputError for a model, frames or options that do not fit, WorkError when the engine does not agree with
    the reference or costs more quality than allowed.
    """
    check_is_new(settings.out)
    check_settings(settings)
    model = open_model(settings.model)
    frames: Calibration | None = None
    if settings.calibration is not None:
        frames = load_calibration(settings.calibration, model.card, show_progress=show_progress)
    with new_folder(settings.out) as building:
        manifest = _build(settings, model, building, frames, show_progress=show_progress)
        reference = golden.load(model.golden)
        cost = None
        if frames is not None:
            # First, because a quality loss says more than a share of equal pixels.
            with needs_train_extra("build-engine"):
                cost = measure_cost(building, model, frames, settings.max_loss, show_progress=show_progress)
        with open_backend(open_folder(building)) as engine:
            own, agreement = _verify(engine, model, reference, frames, MIN_AGREEMENT[settings.precision])
            speed = measure_speed(engine, reference.frames)
        # The engine's own maps, which another PC must reproduce. The reference's would allow twice the difference.
        golden.save(building / GOLDEN_NAME, own)
        write_card(building, _card(model.card, manifest, agreement, speed, cost))
        manifest = manifest.model_copy(
            update={
                "files": _hashes(building),
                "speed": speed,
                "quality": _quality(model.card, agreement, cost),
            }
        )
        write_manifest(building, manifest)
        with open_backend(open_folder(building)) as engine:
            engine.verify_golden()
    return manifest


def _build(
    settings: BuildSettings,
    model: ModelFolder,
    building: Path,
    frames: Calibration | None,
    *,
    show_progress: bool,
) -> Manifest:
    """Write the backend's files, golden frames and a manifest without figures."""
    builder, _ = BUILDERS[settings.backend]
    request = BuildRequest(
        onnx=model.onnx,
        height=model.card.height,
        width=model.card.width,
        folder=building,
        beside=settings.out.absolute().parent,
        precision=settings.precision,
        gpu=settings.gpu,
        show_progress=show_progress,
    )
    if settings.precision == "int8" and frames is not None:
        with tempfile.TemporaryDirectory() as scratch, needs_train_extra("build-engine"):
            from trainer.build.quantise import quantise

            quantised = Path(scratch) / model.onnx.name
            quantise(model.onnx, quantised, frames.ranges.frames, show_progress=show_progress)
            built = builder(replace(request, onnx=quantised))
    else:
        built = builder(request)
    golden.save(building / GOLDEN_NAME, golden.load(model.golden))
    manifest = _manifest(settings, model, building, frames, built)
    write_manifest(building, manifest)
    return manifest


def _manifest(
    settings: BuildSettings,
    model: ModelFolder,
    folder: Path,
    frames: Calibration | None,
    built: Built,
) -> Manifest:
    card = model.card
    quantised = settings.precision == "int8"
    own = ("openvino",) if settings.backend == "openvino" else ()
    libraries = (*own, "strip-inspector", "numpy", *(("nncf", "onnx") if quantised else ()))
    content = {
        "name": settings.name,
        "backend": settings.backend,
        "classes": card.classes,
        "height": card.height,
        "width": card.width,
        "max_batch": built.max_batch,
        "precision": settings.precision,
        "map_stride": card.map_stride,
        "files": _hashes(folder),
        "onnx_sha256": file_sha256(model.onnx),
        "calibration_sha256": frames.ranges.digest() if frames is not None and quantised else None,
        "thresholds": card.thresholds,
        "min_area_px": card.min_area_px,
        "frame_threshold": card.frame_threshold,
        "versions": {**library_versions(*libraries), "cpu": cpu_name(), **built.versions},
        "options": built.options,
    }
    try:
        return Manifest.model_validate(content)
    except ValueError as error:
        raise InputError(f"engine {settings.name}: {error}") from None


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST_NAME}


def _verify(
    engine: Backend, model: ModelFolder, reference: golden.Golden, frames: Calibration | None, least: float
) -> tuple[golden.Golden, dict[str, Any]]:
    """Return the engine's own maps of the golden frames and its agreement; raises WorkError below `least`."""
    expected = reference
    if frames is not None:
        with needs_train_extra("build-engine"):
            more = reference_maps(model, frames.judges.frames[:AGREEMENT_FRAMES])
        names = ("frames", "kind", "score", *(("frame",) if reference.frame is not None else ()))
        expected = golden.Golden(
            *(np.concatenate([getattr(part, name) for part in (reference, more)]) for name in names)
        )
    kind, score, frame = engine.answer_all(expected.frames)
    steps = score_thresholds(model.card.classes, model.card.thresholds)
    agreement = golden.compare(expected, kind, score, steps, frame)
    if agreement.mask_agreement < least:
        raise WorkError(
            f"the engine agrees with {model.onnx} on {agreement.mask_agreement:.4%} of the pixels of "
            f"{len(expected.frames)} frames (needs {least:.1%}; largest score difference "
            f"{agreement.largest_score_difference}/255): nothing was written; {_advice(model.card)}"
        )
    count = len(reference.frames)
    own = golden.Golden(reference.frames, kind[:count], score[:count], None if frame is None else frame[:count])
    return own, {
        "frames": len(expected.frames),
        "golden_frames": count,
        "mask_agreement": agreement.mask_agreement,
        "largest_score_difference": agreement.largest_score_difference,
        "mean_score_difference": agreement.mean_score_difference,
        "largest_frame_score_difference": agreement.largest_frame_score_difference,
    }


def _quality(card: Card, agreement: dict[str, Any], cost: dict[str, Any] | None) -> dict[str, Any]:
    quality: dict[str, Any] = {
        "measured_on": "validation part, by the fp32 model this engine was built from",
        **card.figures,
        "engine_against_model": agreement,
    }
    if "frame_prints" in card.data:
        quality["frame_prints"] = card.data["frame_prints"]
    if cost is not None:
        quality["engine_on_labelled_frames"] = cost
    return quality


def _card(
    card: Card,
    manifest: Manifest,
    agreement: dict[str, Any],
    speed: dict[str, Any],
    cost: dict[str, Any] | None,
) -> Card:
    """Return the model's card, extended by the engine's facts."""
    engine = {
        "name": manifest.name,
        "backend": manifest.backend,
        "precision": manifest.precision,
        "onnx_sha256": manifest.onnx_sha256,
        "calibration_sha256": manifest.calibration_sha256,
        "against_model": agreement,
        "cost": cost,
        "speed": speed,
        "versions": manifest.versions,
        "command": shlex.join(["trainer", *sys.argv[1:]]),
    }
    return Card.model_validate({**card.model_dump(), "engine": engine})


def _advice(card: Card) -> str:
    """Return advice for an engine that differs from its model."""
    alarm = miou_alarm(card.figures)
    if alarm is None:
        return "build it with --precision fp32"
    return f"the model answers nearly the same everywhere, so rounding decides: {alarm}"
