"""One training run: from the data to the best and the last checkpoint."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from lightning.pytorch import seed_everything
from torch.utils.data import DataLoader

from inspector.errors import InputError, WorkError
from trainer.artifacts.checkpoint import SMALLEST_PX
from trainer.artifacts.versions import library_versions
from trainer.data.corrections import CORRECTIONS, learned_from
from trainer.data.crops import CropBatches, CropSettings
from trainer.data.fit import FIT
from trainer.data.split import write_split
from trainer.evaluation.seen_frames import PRINTS, TRAIN, VAL, frame_prints, pack
from trainer.training.baseline import warn_if_useless
from trainer.training.batches import TrainStream, WholeFrames
from trainer.training.callbacks import Interrupted
from trainer.training.checkpoint_files import LatestBest
from trainer.training.choices import MAX_CROP, USUAL_BALANCED, USUAL_LOSS, Traits, follow_data, traits_of
from trainer.training.lightning_trainer import build_trainer, steps_between_validations, without_advice
from trainer.training.losses import loss_named
from trainer.training.module import LossNotFinite, SegmentationModule, is_out_of_memory
from trainer.training.pretrained import fill_encoder
from trainer.training.processes import processes_here
from trainer.training.settings import BEST_NAME, LAST_NAME, SETTINGS_NAME, SPLIT_NAME, TrainSettings
from trainer.training.training_data import TrainingData, load_training_data
from trainer.training.warm_start import take_weights

VAL_BATCH_PX: Final = {"cpu": 1 << 19, "cuda": 4 << 20}
"""Pixels validated at a time; full-size logits of all classes take some 30 bytes per pixel. On a CPU, activations
that leave its caches cost more than small batches: of 384×544 px, the pretrained network takes 70 ms a frame with
4 Mpx at a time and 33 ms with 0.5."""

SAME_MIOU: Final = 0.01
"""Difference of two mIoU on the same frames that says nothing."""


def train(settings: TrainSettings, *, resume: bool, data: TrainingData | None = None) -> Path:
    """Train and return the path of the best checkpoint, or of the last one if there is no best.

    Raises InputError, WorkError and, on Ctrl-C, KeyboardInterrupt. The first Ctrl-C during a training step saves
    the state first, so that `resume` continues from there; see `Interrupted`. `data` are frames that are loaded
    already; without them, open settings follow the data.
    """
    if settings.loss is not None:
        loss_named(settings.loss)
    _check_machine(settings)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    processes = processes_here()
    if settings.batch % processes.count:
        raise InputError(f"--batch {settings.batch} cannot be shared evenly by {processes.count} processes")
    is_loaded = data is not None
    data = _data(settings, data, resume=resume, is_first=processes.is_first)
    traits = traits_of(data, len(settings.classes_of(data.classes)))
    reasons: list[str] = []
    if not is_loaded:
        settings, reasons = follow_data(settings, data, traits)
        if processes.is_first:
            settings.write()
    crops = CropBatches(data.loaded, data.train, _crop_settings(settings, data.loaded.size))
    try:
        score = _fit(settings, data, crops, traits, reasons, resume=resume)
    except Interrupted:
        raise KeyboardInterrupt from None
    except LossNotFinite as fault:
        raise WorkError(_unfit_batch(fault, crops)) from None
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise WorkError("out of memory outside the network's passes: choose a smaller --preset") from None
    if processes.is_first:
        warn_if_useless(settings, data, score)
    best = settings.out / BEST_NAME
    return best if best.exists() else settings.out / LAST_NAME


def _data(settings: TrainSettings, data: TrainingData | None, *, resume: bool, is_first: bool) -> TrainingData:
    """Write the settings, and the split if `data` is loaded already; else load the data."""
    if is_first:
        # Before the frames are read, which may take long: a run that is killed meanwhile can be resumed, too.
        settings.write()
    if data is not None:
        if is_first:
            write_split(settings.out / SPLIT_NAME, data.split)
        return data
    try:
        return load_training_data(settings, resume=resume)
    except InputError:
        if is_first and not resume:
            (settings.out / SETTINGS_NAME).unlink(missing_ok=True)
        raise


def _fit(
    settings: TrainSettings,
    data: TrainingData,
    crops: CropBatches,
    traits: Traits,
    reasons: Sequence[str],
    *,
    resume: bool,
) -> float | None:
    """Train to the end and return the best validation mIoU; with `resume`, start from last.ckpt if it exists.

    Prints `reasons`, one line for each choice, before the first step.
    """
    seed_everything(settings.seed, verbose=False)
    module = SegmentationModule(
        model=settings.network,
        classes=list(settings.classes_of(data.classes)),
        loss=settings.loss or USUAL_LOSS,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        facts=_facts(settings, data, traits),
        optimizer=settings.optimizer,
        schedule=settings.schedule,
        relight=settings.relight,
        class_weights=_class_weights(settings, data),
    )
    if not resume:
        _initialise(module, settings, crops, settings.classes_of(data.classes))
    processes = processes_here()
    whole_frames = WholeFrames(data.loaded, data.val, _val_batch(data.loaded.size, settings.device), processes)
    begun_at = None
    if settings.init is not None and not resume and processes.count == 1 and len(data.val):
        begun_at = _miou(settings, module, whole_frames)
    last = settings.out / LAST_NAME
    if processes.is_first:
        for reason in reasons:
            print(f"trainer: {reason}", file=sys.stderr)
    with without_advice():
        every = steps_between_validations(settings, crops.steps_per_epoch, data.loaded.size, len(data.val))
        trainer = build_trainer(settings, crops.steps_per_epoch, every, processes)
        trainer.fit(
            module,
            DataLoader(TrainStream(crops, processes, lambda: trainer.global_step), batch_size=None),
            DataLoader(whole_frames, batch_size=None),
            ckpt_path=last if resume and last.exists() else None,
            weights_only=True,
        )
    best = trainer.checkpoint_callback
    score = best.best_model_score if isinstance(best, LatestBest) else None
    if score is not None and begun_at is not None and float(score) < begun_at - SAME_MIOU:
        print(
            f"trainer: warning: no better than --init: its mIoU on these validation frames is {begun_at:.3f}, the "
            f"best of this run {float(score):.3f}: train longer, with a lower --lr, or keep the network you have",
            file=sys.stderr,
        )
    return None if score is None else float(score)


def _miou(settings: TrainSettings, module: SegmentationModule, frames: WholeFrames) -> float:
    """Return the mean IoU of a network before its first step."""
    on_gpu = settings.device != "cpu" and torch.cuda.is_available()
    module.to("cuda" if on_gpu else "cpu")
    found = module.miou_of(frames)
    module.to("cpu")
    return found


def _initialise(
    module: SegmentationModule, settings: TrainSettings, crops: CropBatches, classes: Sequence[str]
) -> None:
    """Fill the network from --init, or its encoder with pretrained weights, and note where those come from."""
    if settings.init is not None:
        pretrained = take_weights(module.net, settings.init, crops, classes)
    else:
        pretrained = fill_encoder(module.net, settings.encoder_weights)
    module.pretrained = pretrained


def _check_machine(settings: TrainSettings) -> None:
    """Raise InputError for settings that this machine does not support."""
    if settings.precision == "fp16" and (settings.device == "cpu" or not torch.cuda.is_available()):
        raise InputError("--precision fp16 needs a GPU: on a CPU train with bf16, the default, or fp32")


def _unfit_batch(fault: LossNotFinite, crops: CropBatches) -> str:
    names = sorted({crops.names_at(fault.step)[slot] for slot in fault.slots})
    return (
        f"the loss became {fault.loss} at step {fault.step} on crops of {', '.join(names)}: look at these frames, "
        "else start a new run with a smaller --lr or --precision fp32"
    )


def _crop_settings(settings: TrainSettings, size: tuple[int, int]) -> CropSettings:
    height, width = settings.crop or (min(MAX_CROP[0], size[0]), min(MAX_CROP[1], size[1]))
    if height > size[0] or width > size[1]:
        raise InputError(f"--crop {height} {width} is larger than the frames, {size[0]}×{size[1]} px")
    balanced = USUAL_BALANCED if settings.balanced is None else settings.balanced
    return CropSettings(settings.batch, height, width, balanced, settings.seed)


def _val_batch(size: tuple[int, int], device: str) -> int:
    kind = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    return max(1, VAL_BATCH_PX[kind] // (size[0] * size[1]))


def _class_weights(settings: TrainSettings, data: TrainingData) -> list[float] | None:
    """Area to the power of −class_weighting, scaled so that the mean weight of a pixel is 1."""
    if not settings.class_weighting:
        return None
    kinds = len(settings.classes_of(data.classes))
    areas = np.zeros(kinds, np.int64)
    for index in data.train:
        areas += np.bincount(np.minimum(data.loaded.labels[index], kinds - 1).ravel(), minlength=kinds)
    shares = np.maximum(areas, 1) / areas.sum()
    weights = shares**-settings.class_weighting
    return [float(weight) for weight in weights / (weights * shares).sum()]


def _facts(settings: TrainSettings, data: TrainingData, traits: Traits) -> dict[str, Any]:
    """Origin of a checkpoint, as JSON values only, so that it loads without unpickling code."""
    return {
        "height": data.loaded.size[0],
        "width": data.loaded.size[1],
        "data": str(settings.data.resolve()),
        "train_sha256": data.loaded.digest(data.train.tolist()),
        "val_sha256": data.loaded.digest(data.val.tolist()),
        "train_frames": len(data.train),
        "val_frames": len(data.val),
        SMALLEST_PX: traits.smallest_px,
        PRINTS: {
            part: pack(frame_prints(data.loaded.frames[index] for index in indices))
            for part, indices in ((TRAIN, data.train), (VAL, data.val))
        },
        **({} if data.fit is None else {FIT: asdict(data.fit)}),
        CORRECTIONS: learned_from(settings.data, data.split["train"], data.split["val"]),
        "split": {part: list(names) for part, names in data.split.items()},
        "settings": settings.model_dump(mode="json"),
        "command": shlex.join(["trainer", *sys.argv[1:]]),
        "versions": library_versions("torch", "lightning", "numpy"),
    }
