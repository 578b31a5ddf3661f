"""Progress for people: a bar on a terminal, one plain line per validation elsewhere, and metrics.csv."""
# ruff: noqa: ARG002 (Lightning fixes the signatures of its hooks)

import csv
import sys
from pathlib import Path
from typing import Any, Final

from lightning.pytorch import Callback, LightningModule, Trainer
from tqdm import tqdm

from inspector.files import write_whole
from trainer.training.callbacks import Budget
from trainer.training.module import VAL_MIOU, SegmentationModule

_SMOOTHING: Final = 0.98
"""Smoothing of the displayed loss: about the last 50 steps."""
_BAR_TICKS: Final = 1000


class Progress(Callback):
    """Shows loss and validation figures during the run."""

    def __init__(self, budget: Budget, steps_per_epoch: int, table: Path) -> None:
        self._budget = budget
        self._steps_per_epoch = steps_per_epoch
        self._table = table
        self._loss: float | None = None
        self._bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar; drop the rows of steps that will be repeated."""
        if not trainer.is_global_zero:
            return
        self._rewind(trainer.global_step)
        if sys.stderr.isatty():
            layout = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
            self._bar = tqdm(total=_BAR_TICKS, desc="training", bar_format=layout)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Smooth the loss and move the bar."""
        loss = float(outputs["loss"])
        self._loss = loss if self._loss is None else _SMOOTHING * self._loss + (1.0 - _SMOOTHING) * loss
        if self._bar is not None:
            self._bar.n = round(_BAR_TICKS * min(1.0, self._budget.done(trainer.global_step)))
            self._bar.set_postfix_str(f", step {trainer.global_step}, loss {self._loss:.3f}")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print one line and append one row to the table."""
        if not isinstance(pl_module, SegmentationModule) or self._loss is None or not trainer.is_global_zero:
            return
        step, figures = trainer.global_step, pl_module.val_figures
        minutes = self._budget.clock.minutes
        per_class = "  ".join(
            f"{name.removeprefix('val_iou/')} {value:.3f}" for name, value in figures.items() if name != VAL_MIOU
        )
        tqdm.write(
            f"epoch {step / self._steps_per_epoch:.1f}  step {step}  {100 * self._budget.done(step):.0f} %  "
            f"{minutes:.1f} min  loss {self._loss:.4f}  mIoU {figures[VAL_MIOU]:.4f}  ({per_class})",
            file=sys.stderr,
        )
        row = {"step": step, "minutes": round(minutes, 3), "loss": self._loss, **figures}
        is_new = not self._table.exists()
        with self._table.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if is_new:
                writer.writeheader()
            writer.writerow(row)

    def _rewind(self, step: int) -> None:
        if not self._table.exists():
            return
        header, *rows = self._table.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [row for row in rows if int(row.partition(",")[0]) <= step]
        if len(kept) < len(rows):
            write_whole(self._table, "".join((header, *kept)).encode())

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
