"""Callbacks around the steps: budget, averaged weights, resume checkpoint, Ctrl-C."""
# ruff: noqa: ARG002 (Lightning fixes the signatures of its hooks)

import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from trainer.training.module import SegmentationModule

SECONDS_A_MINUTE: Final = 60.0


class Clock:
    """Measures the training time of a run, across resumes; it runs from its creation or the last `start`."""

    def __init__(self) -> None:
        self.start()

    def start(self, before_s: float = 0.0) -> None:
        """Restart with `before_s` seconds already elapsed."""
        self._before_s = before_s
        self._started_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Elapsed time including the time before a resume, seconds."""
        return self._before_s + time.monotonic() - self._started_s

    @property
    def minutes(self) -> float:
        """Elapsed time, minutes."""
        return self.elapsed_s / SECONDS_A_MINUTE


class Interrupted(Exception):  # noqa: N818 (a signal to stop, not an error)
    """Ctrl-C, raised between two steps once the state is saved.

    It is raised without saving during validation and on a second Ctrl-C.
    """


def _any_process(trainer: Trainer, mine: bool) -> bool:
    """Whether `mine` is true in any process.

    Clocks and signals differ between processes, but all of them must save and stop together.
    """
    if trainer.world_size == 1:
        return mine
    return bool(trainer.strategy.reduce_boolean_decision(mine, all=False))


class Budget(Callback):
    """Reports the finished share of the run, by steps or by time, to the module, and stops the run at the end."""

    def __init__(self, steps: int | None, minutes: float | None) -> None:
        self._steps = steps
        self._minutes = minutes
        self._before_s = 0.0
        self.clock = Clock()

    def done(self, step: int) -> float:
        """Share of the run that is finished after `step` steps, 0 to 1."""
        if self._steps is not None:
            return step / self._steps
        return min(1.0, self.clock.minutes / self._minutes) if self._minutes else 1.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.clock.start(self._before_s)

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Pass the progress to the module; the learning rate follows it."""
        if isinstance(pl_module, SegmentationModule):
            pl_module.progress = self._agreed(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stop at the end of the budget; Lightning then validates once more."""
        if self._agreed(trainer) >= 1.0:
            trainer.should_stop = True

    def _agreed(self, trainer: Trainer) -> float:
        """The finished share by the clock of the first process."""
        done = self.done(trainer.global_step)
        if self._steps is None and trainer.world_size > 1:
            return float(trainer.strategy.broadcast(done))
        return done

    def state_dict(self) -> dict[str, Any]:
        """State for a resume: the trained time."""
        return {"elapsed_s": self.clock.elapsed_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved time."""
        self._before_s = float(state_dict["elapsed_s"])


class AveragedWeights(WeightAveraging):
    """Exponential moving average of weights and norm statistics, used for validation, checkpoints and export.

    The decay grows with the steps, min(decay, (1 + n) / (10 + n)) as in TensorFlow's ExponentialMovingAverage, so
    that a short run does not average in its random start.
    """

    def __init__(self, decay: float) -> None:
        def average(averaged: list[Tensor], current: list[Tensor], updates: Tensor) -> None:
            count = int(updates)
            weight = 1.0 - min(decay, (1.0 + count) / (10.0 + count))
            if averaged[0].is_floating_point():
                torch._foreach_lerp_(averaged, current, weight)
            else:
                torch._foreach_copy_(averaged, current)

        super().__init__(use_buffers=True, multi_avg_fn=average)


class SaveLast(Callback):
    """Writes the checkpoint for a resume: every few minutes, at the end, and on Ctrl-C."""

    def __init__(self, path: Path, every_minutes: float) -> None:
        self._path = path
        self._every_minutes = every_minutes
        self._since_saved = Clock()
        self._interrupted = False
        self._previous: Any = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Handle Ctrl-C: from here on it waits for the end of the step."""
        self._since_saved.start()
        self._previous = signal.signal(signal.SIGINT, self._interrupt)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restore the previous Ctrl-C handler."""
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted:  # the second Ctrl-C does not wait
            raise Interrupted
        self._interrupted = True

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save when due, see `WholeCheckpointIO`."""
        interrupted = _any_process(trainer, self._interrupted)
        if interrupted or _any_process(trainer, self._since_saved.minutes >= self._every_minutes):
            trainer.save_checkpoint(self._path)
            self._since_saved.start()
        if interrupted:
            raise Interrupted

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop validation on Ctrl-C without saving: a resume repeats the steps since the last save.

        Several processes finish validation first, because they validate different numbers of batches.
        """
        if self._interrupted and trainer.world_size == 1:
            raise Interrupted

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the final state."""
        trainer.save_checkpoint(self._path)
