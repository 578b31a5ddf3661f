"""Builds Lightning's Trainer for a run: callbacks, devices, precision; and silences its advice."""

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger

from trainer.training.callbacks import AveragedWeights, Budget, SaveLast
from trainer.training.checkpoint_files import LatestBest, WholeCheckpointIO
from trainer.training.module import VAL_MIOU
from trainer.training.processes import Processes
from trainer.training.progress import Progress
from trainer.training.settings import BEST_NAME, LAST_NAME, TrainSettings

PRECISIONS: Final[dict[str, Literal["bf16-mixed", "16-mixed", "32-true"]]] = {
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
    "fp32": "32-true",
}
"""Our names → Lightning's. With fp16 Lightning scales the loss, because small gradients would vanish."""
MAX_EPOCH_STEPS: Final = 250
"""Most steps between two validations that are cheap: the best checkpoint is not chosen from only two."""
TRAINED_PER_VALIDATED: Final = 2.0
"""Least pixels trained on between two validations ÷ pixels of a validation. On the magnetic-tile set, with small
crops of large frames, validations after every epoch took three quarters of the time."""
LEAST_VALIDATIONS: Final = 10
"""Of a run of known length, however much they cost."""
MOST_STEPS: Final = 1000
"""Most steps between two validations of a run of known time."""


def steps_between_validations(
    settings: TrainSettings, steps_per_epoch: int, size: tuple[int, int], val_frames: int
) -> int:
    """Return after how many steps to validate; `size` is the height and width of the frames, px."""
    height, width = settings.crop or size
    validated_px = size[0] * size[1] * val_frames
    enough = math.ceil(TRAINED_PER_VALIDATED * validated_px / (height * width * settings.batch))
    known = MOST_STEPS if settings.epochs is None else settings.epochs * steps_per_epoch // LEAST_VALIDATIONS
    return max(min(steps_per_epoch, MAX_EPOCH_STEPS), min(enough, known))


def build_trainer(
    settings: TrainSettings, steps_per_epoch: int, validate_every: int, processes: Processes
) -> Trainer:
    """Build the Trainer of a run that validates after every `validate_every` steps."""
    steps = None if settings.epochs is None else settings.epochs * steps_per_epoch
    return Trainer(
        **_machines(settings, processes),
        precision=PRECISIONS[settings.precision],
        max_steps=-1 if steps is None else steps,
        max_epochs=-1,
        val_check_interval=validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=TensorBoardLogger(settings.out, name="", version="tensorboard"),
        callbacks=_callbacks(settings, steps, steps_per_epoch),
        plugins=[WholeCheckpointIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
    )


def _machines(settings: TrainSettings, processes: Processes) -> dict[str, Any]:
    if processes.count == 1:
        return {"accelerator": settings.device, "devices": 1}
    return {
        "accelerator": settings.device,
        "devices": processes.on_this_machine,
        "num_nodes": processes.count // processes.on_this_machine,
        "strategy": "ddp",
        # Batch norm over the crops of all processes; torch supports it on GPUs only.
        "sync_batchnorm": settings.device != "cpu" and torch.cuda.is_available(),
    }


def _callbacks(settings: TrainSettings, steps: int | None, steps_per_epoch: int) -> list[Callback]:
    budget = Budget(steps, settings.minutes)
    callbacks: list[Callback] = [
        budget,
        AveragedWeights(settings.ema),
        Progress(budget, steps_per_epoch, settings.out / "metrics.csv"),
        SaveLast(settings.out / LAST_NAME, settings.save_minutes),
        LatestBest(
            dirpath=settings.out,
            filename=Path(BEST_NAME).stem,
            monitor=VAL_MIOU,
            mode="max",
            enable_version_counter=False,
        ),
    ]
    if settings.patience is not None:
        callbacks.append(EarlyStopping(VAL_MIOU, mode="max", patience=settings.patience))
    return callbacks


@contextmanager
def without_advice() -> Iterator[None]:
    """Hide Lightning's hints inside the block: they do not apply here.

    The frames are in memory, so data-loading workers would only copy them.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for advice in (
            ".*does not have many workers.*",
            ".*Checkpoint directory.*exists.*",
            ".*IterableDataset.*",
            ".*in eval mode at the start of training.*",  # frozen stages are meant to be
            ".*treespec.*",  # a deprecation between Lightning and torch
        ):
            warnings.filterwarnings("ignore", advice)
        yield
