"""Reads a training checkpoint: the averaged network and the facts of its run."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from inspector.errors import InputError
from trainer.models import build_model
from trainer.models.network import Network

_PREFIX = "net."

PRETRAINED: Final = "pretrained"
"""Key of the origin of an encoder's first weights, in a checkpoint and in its facts."""
SMALLEST_PX: Final = "smallest_px"
"""Key of the median area of the smallest class in the training frames, px, in a checkpoint's facts."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained network in eval mode."""

    path: Path
    net: Network
    classes: tuple[str, ...]
    model: dict[str, Any]
    """Architecture and its parameters."""
    facts: dict[str, Any]
    """Written by trainer.training.run: data, split, settings, command."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the training frames, px."""
        return int(self.facts["height"]), int(self.facts["width"])

    @property
    def map_stride(self) -> int:
        """Stride of the network's logits."""
        return self.net.map_stride


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint without running code from it.

    Raises InputError for a file that is not a checkpoint of `trainer train`.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        parameters = content["hyper_parameters"]
        classes, model, facts = parameters["classes"], parameters["model"], parameters["facts"]
        if content.get(PRETRAINED) is not None:
            facts = {**facts, PRETRAINED: content[PRETRAINED]}
        weights = {
            name.removeprefix(_PREFIX): value
            for name, value in content["state_dict"].items()
            if name.startswith(_PREFIX)
        }
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise InputError(f"{path}: {error.strerror}: name a checkpoint such as RUN/best.ckpt") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{path}: not a checkpoint of `trainer train`, or cut off: name RUN/best.ckpt or RUN/last.ckpt"
        ) from None
    try:
        net = build_model(model, len(classes))
    except InputError as error:
        raise InputError(f"{path}: {error}: was it trained by another version?") from None
    try:
        net.load_state_dict(weights)
    except RuntimeError:
        raise InputError(f"{path}: its weights do not fit its architecture {model}") from None
    return Checkpoint(path, net.eval(), tuple(classes), model, facts)
