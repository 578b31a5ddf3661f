"""Checkpoint files: written whole beside their target, and replaced by the latest of equally good ones."""

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from inspector.errors import InputError, WorkError
from inspector.files import whole_file
from trainer.training.settings import BEST_NAME

UNREADABLE = (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError, pickle.PickleError)
"""Errors that torch raises for a file that is cut off, empty or not a checkpoint."""


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its target, syncs it to the disk and renames it: a kill leaves the previous one.

    Lightning's own goes through the temporary folder. On another file system its last step is a copy, which a kill
    or a full disk leaves half done under the final name.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the file; raises WorkError if it cannot be written, and the previous file stays."""
        del storage_options  # Lightning's signature; a local file has none
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole_file(target) as part, part.open("wb") as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            raise WorkError(
                f"{target}: cannot be written ({_short(error)}): the previous checkpoint is kept; free some "
                f"disk, then `trainer train --out {target.parent} --resume`"
            ) from None

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read the file; raises InputError that names it, and the ways on, if it is unreadable."""
        try:
            return super().load_checkpoint(path, map_location, weights_only)
        except UNREADABLE as error:
            raise InputError(_unreadable(Path(path), error)) from None


def _unreadable(path: Path, error: Exception) -> str:
    text = (
        f"{path}: cannot be read ({_short(error)}): is it cut off or damaged? Remove it and --resume starts over"
    )
    best = path.with_name(BEST_NAME)
    if best != path and best.is_file():
        text += f"; or start a new run from the best network with --init {best}"
    return text


def _short(error: Exception) -> str:
    """First sentence of an error, without the addresses that torch adds."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (reason.strip().splitlines() or [type(error).__name__])[0][:120]


class LatestBest(ModelCheckpoint):
    """Keeps the best checkpoint, and of equally good ones the latest, which has trained longest."""

    @property
    def state_key(self) -> str:
        """Lightning's own key, so that runs started before this class existed can be resumed."""
        return str(super().state_key).replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether `current` is at least as good as the best so far."""
        if super().check_monitor_top_k(trainer, current):
            return True
        equal = (
            current is not None and self.best_model_score is not None and bool(current >= self.best_model_score)
        )
        return bool(trainer.strategy.reduce_boolean_decision(equal))
