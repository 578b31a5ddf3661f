"""The Lightning module: the training step and the validation step."""
# ruff: noqa: ARG002 (Lightning fixes the signatures of its hooks)

import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.nn import functional
from torchmetrics.classification import MulticlassConfusionMatrix
from tqdm import tqdm

from inspector.errors import WorkError
from trainer.artifacts.checkpoint import PRETRAINED
from trainer.evaluation.metrics import iou_of
from trainer.models import build_model
from trainer.models.unet import at_full_size
from trainer.training.augment import relight
from trainer.training.batches import Batch
from trainer.training.losses import loss_named
from trainer.training.match import match
from trainer.training.schedule import SCHEDULES

T = TypeVar("T")

FRAME_WEIGHT: Final = 0.5
"""Weight of the frame score's binary cross-entropy beside the loss of the pixels."""

VAL_MIOU: Final = "val_miou"
MAX_GRADIENT_NORM: Final = 1.0
"""Gradients with a longer norm are clipped, so that one unusual batch cannot ruin the weights."""

OPTIMIZERS: Final[dict[str, type[torch.optim.Optimizer]]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
"""Name → optimiser; each takes lr and weight_decay."""

_CPU_WORDS = (
    "can't allocate memory",  # c10's allocator on Linux
    "not enough memory",  # the same elsewhere
    "could not create a memory object",  # oneDNN's
    "could not create a primitive",  # oneDNN generating code for a kernel
    "std::bad_alloc",
)
"""Words of torch's CPU allocators, which raise plain RuntimeErrors when a memory allocation fails."""


class LossNotFinite(Exception):  # noqa: N818 (run.py turns it into an error with the frames' names)
    """The loss of a batch is infinite or not a number; raised before the optimiser changes the weights."""

    def __init__(self, loss: float, step: int, first_slot: int, count: int) -> None:
        super().__init__(loss, step, first_slot, count)
        self.loss = loss
        self.step = step
        self.slots = range(first_slot, first_slot + count)


class SegmentationModule(LightningModule):
    """A network with its loss and figures; the Budget callback sets `progress` (0..1) for the learning rate."""

    def __init__(
        self,
        model: dict[str, Any],
        classes: list[str],
        loss: str,
        lr: float,
        weight_decay: float,
        seed: int,
        facts: dict[str, Any],
        *,
        optimizer: str = "adamw",
        schedule: str = "one-cycle",
        relight: bool = True,
        class_weights: list[float] | None = None,
    ) -> None:
        """`classes` are those the network separates: with two, every kind of defect counts as the second.

        `facts` goes into the checkpoint: JSON values only, see trainer.training.run.
        """
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.net = build_model(model, len(classes))
        self.progress = 0.0
        self.val_figures: dict[str, float] = {}
        self.pretrained: dict[str, Any] | None = None
        """Where the encoder's first weights come from, for the card."""
        self._loss = loss_named(loss)
        self._classes = classes
        self._settings = (lr, weight_decay, seed)
        self._at_once: int | None = None
        """Frames that go through the network together; None for a whole batch."""
        self._optimizer = OPTIMIZERS[optimizer]
        self._schedule = SCHEDULES[schedule]
        self._relight = relight
        self._confusion = MulticlassConfusionMatrix(len(classes), validate_args=False)
        self.class_weights: Tensor | None
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser, without weight decay for norms and biases."""
        lr, weight_decay, _ = self._settings
        decayed = [p for p in self.net.parameters() if p.ndim > 1]
        others = [p for p in self.net.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
        return self._optimizer(groups, lr=lr)  # type: ignore[call-arg]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note the origin of the encoder's first weights."""
        checkpoint[PRETRAINED] = self.pretrained

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read it again on a resume."""
        self.pretrained = checkpoint.get(PRETRAINED)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate of this step."""
        rate = self._settings[0] * self._schedule(self.progress)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step of the optimiser; returns the loss of the batch.

        Raises LossNotFinite before the optimiser step. If memory runs out, the step is repeated with fewer crops
        at a time, whose gradients add up to the same step. (Batch norm then sees fewer crops at a time, and Dice
        and Lovász are computed per part.)
        """
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)  # noqa: S101 (there is one optimiser: not a list)

        def attempt() -> Tensor:
            optimizer.zero_grad()
            total = torch.zeros((), device=self.device)
            for part in batch.parts(self._at_once or len(batch.frames)):
                loss = self._loss_of(part) * (len(part.frames) / len(batch.frames))
                self.manual_backward(loss)
                total += loss.detach()
            return total

        loss = self._in_memory(attempt, len(batch.frames))
        optimizer.step()
        self.log("loss", loss, on_step=True, on_epoch=False)
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip long gradients: at this point fp16 gradients no longer contain the loss scale."""
        self.clip_gradients(optimizer, gradient_clip_val=MAX_GRADIENT_NORM, gradient_clip_algorithm="norm")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count one batch of whole frames at full size; count frames, not pixels, for a frame-level network."""

        def attempt() -> list[tuple[Tensor, Tensor]]:
            return [self._predict(part) for part in batch.parts(self._at_once or len(batch.frames))]

        for answer, labels in self._in_memory(attempt, len(batch.frames)):
            self._confusion.update(answer, labels)

    def _in_memory(self, attempt: Callable[[], T], count: int) -> T:
        """Result of `attempt`, repeated with ever fewer frames at once until it fits; raises WorkError at one."""
        while True:
            try:
                return attempt()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                at_once = min(self._at_once or count, count)
                if self.trainer.world_size > 1:  # the others wait inside the step: all must end
                    raise WorkError(f"out of memory with {at_once} crops in a process: smaller --batch") from None
                if at_once == 1:
                    raise WorkError(
                        "out of memory with one frame at a time: give a smaller --crop or another --preset"
                    ) from None
            self._at_once = (at_once + 1) // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            tqdm.write(f"trainer: out of memory: going on with {self._at_once} frames at once", file=sys.stderr)

    def _loss_of(self, batch: Batch) -> Tensor:
        logits, labels, frame = self._answer(self._lit(batch), batch.labels)
        stride = 1 if self.net.frame_level else self.net.map_stride
        loss = self._loss(match(logits, labels, stride, self.class_weights))
        if frame is not None:
            defective = (labels.amax(dim=(1, 2)) > 0).to(frame.dtype)
            loss = loss + FRAME_WEIGHT * functional.binary_cross_entropy_with_logits(frame, defective)
        if not torch.isfinite(loss):
            raise LossNotFinite(loss.item(), batch.step, batch.first_slot, len(labels))
        return loss

    def _predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        logits, labels, _ = self._answer(batch.frames.unsqueeze(1).float(), batch.labels)
        # torch's argmax over this dimension takes twenty times as long on a CPU.
        return at_full_size(logits, *labels.shape[1:]).max(dim=1).indices, labels.long()

    def _lit(self, batch: Batch) -> Tensor:
        if not self._relight:
            return batch.frames.unsqueeze(1).float()
        return relight(batch.frames, self._settings[2], batch.step, batch.first_slot)

    def _answer(self, grey: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits float32, their target labels in the network's classes, and the frames' logits if it has them."""
        logits, frame = self.net.with_frame(grey.contiguous(memory_format=torch.channels_last))
        logits = logits.float().contiguous()
        labels = labels.clamp(max=len(self._classes) - 1)
        if self.net.frame_level:
            return logits[..., :1, :1], labels.amax(dim=(1, 2), keepdim=True), None
        return logits, labels, None if frame is None else frame.float()

    def miou_of(self, batches: Iterable[Batch]) -> float:
        """Return the mean IoU on whole frames, outside of a training run."""
        self.eval()
        with torch.inference_mode():
            for batch in batches:
                self.validation_step(Batch(batch.frames.to(self.device), batch.labels.to(self.device)), 0)
        self.train()
        return self._counted()[VAL_MIOU]

    def _counted(self) -> dict[str, float]:
        """Return the mean IoU and that of each class with pixels, of what was counted; counting begins again."""
        iou = iou_of(self._confusion.compute().cpu().numpy())
        self._confusion.reset()
        known = {name: value for name, value in zip(self._classes, iou, strict=True) if value is not None}
        mean = {VAL_MIOU: sum(known.values()) / len(known)}
        return mean | {f"val_iou/{name}": value for name, value in known.items()}

    def on_validation_epoch_end(self) -> None:
        """Log the IoU per class (without classes that have no pixel) and the mean IoU, over all processes."""
        self.val_figures = self._counted()
        # Every process has the same figures: their mean over the processes is the figure itself.
        self.log_dict(self.val_figures, sync_dist=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a memory allocation failed."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _CPU_WORDS)
