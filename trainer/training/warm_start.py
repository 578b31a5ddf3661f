"""Initialises a network with the weights of a checkpoint or of a model folder, whose norms are folded."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from inspector.engine.manifest import MANIFEST_NAME, read_manifest
from inspector.errors import InputError
from trainer.artifacts.card import ONNX_NAME, is_model_folder, open_model
from trainer.artifacts.checkpoint import PRETRAINED, load_checkpoint
from trainer.artifacts.onnx_weights import restore_weights
from trainer.data.class_order import match_classes
from trainer.data.crops import CropBatches
from trainer.training.processes import processes_here
from trainer.training.settings import BEST_NAME, SETTINGS_NAME

STATISTICS_STEPS: Final = 4
"""Number of batches for the statistics of a folded norm: some 60 crops give means and deviations to a percent."""
_INSIDE: Final = "net."
"""Prefix of an exported network's weights."""


def take_weights(net: nn.Module, path: Path, crops: CropBatches, classes: Sequence[str]) -> dict[str, Any] | None:
    """Fill `net`, on the CPU, from a checkpoint or a model folder; raises InputError if the weights do not fit.

    `crops` are the training batches of the run, `classes` the classes of `net`: answers for classes are matched by
    name. Returns where the weights of a pretrained encoder came from, else None.
    """
    path = _weights(path)
    if is_model_folder(path):
        _take_folded(net, path, crops)
        card = open_model(path).card
        _order_answers(net, card.classes, classes, path)
        return card.pretrained
    start = load_checkpoint(path)
    try:
        net.load_state_dict(start.net.state_dict())
    except RuntimeError:
        raise InputError(f"--init {path}: another network ({start.model}, {len(start.classes)} classes)") from None
    _order_answers(net, start.classes, classes, path)
    return start.facts.get(PRETRAINED)


def _weights(path: Path) -> Path:
    """The checkpoint or model folder that `path` names: of a run, its best checkpoint. Raises InputError.

    An engine has compiled weights, which cannot be trained.
    """
    if (path / SETTINGS_NAME).is_file():
        best = path / BEST_NAME
        if not best.is_file():
            raise InputError(f"--init {path}: this run has no {BEST_NAME} yet")
        return best
    if (path / MANIFEST_NAME).is_file():
        model = f" (its {ONNX_NAME} has the sha256 {onnx}…)" if (onnx := _onnx_of(path)) else ""
        raise InputError(
            f"--init {path}: an engine's weights are compiled: name the run, or the model folder that it was "
            f"built from{model}"
        )
    return path


def _onnx_of(path: Path) -> str | None:
    digest = read_manifest(path).onnx_sha256
    return None if digest is None else digest[:16]


def _order_answers(net: nn.Module, theirs: Sequence[str], ours: Sequence[str], path: Path) -> None:
    """Move the head's answers to the class numbers of this run; prints a note if that changes any."""
    numbers, note = match_classes(ours, theirs, "the data", f"--init {path}")
    if note is not None and processes_here().is_first:
        print(f"trainer: warning: {note}", file=sys.stderr)
    if numbers == list(range(len(ours))):
        return
    head = net.head
    assert isinstance(head, nn.Conv2d | nn.Linear)  # noqa: S101 (every network ends in one)
    with torch.no_grad():
        for parameter in head.parameters():
            by_class = parameter.view(len(ours), -1)  # with a sub-pixel head, a class has several answers
            moved = by_class.clone()
            moved[numbers] = by_class
            by_class.copy_(moved)


def _take_folded(net: nn.Module, path: Path, crops: CropBatches) -> None:
    """Load the weights of an ONNX model and reset every folded norm so that it changes nothing but can learn."""
    folder = open_model(path)
    stored = _stored(folder.onnx)
    norms = {
        name: module
        for name, module in net.named_modules()
        if isinstance(module, nn.BatchNorm2d) and f"{name}.weight" not in stored
    }
    weights = dict(net.named_parameters())
    for name, norm in norms.items():
        # The export folded the norm's shift into the bias of the preceding convolution: `…0` is the convolution,
        # `…1` the norm.
        weights[f"{name.rpartition('.')[0]}.0.bias"] = weights.pop(f"{name}.bias")
        nn.init.constant_(weights.pop(f"{name}.weight"), (1.0 + norm.eps) ** 0.5)
    fits = weights.keys() == stored.keys() and all(weights[name].shape == stored[name].shape for name in stored)
    if not fits:
        model = {name: value for name, value in folder.card.model.items() if name != "parameters"}
        raise InputError(f"--init {path}: another network ({model}, {len(folder.card.classes)} classes)")
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(stored[name])
    _unfold(net, list(norms.values()), crops)


def _stored(path: Path) -> dict[str, Tensor]:
    """Weights of an exported model, float32, by their names in the network."""
    model = onnx.load(path)
    restore_weights(model)
    return {
        tensor.name.removeprefix(_INSIDE): torch.from_numpy(numpy_helper.to_array(tensor).astype(np.float32))
        for tensor in model.graph.initializer
        if tensor.name.startswith(_INSIDE)
    }


def _unfold(net: nn.Module, norms: list[nn.BatchNorm2d], crops: CropBatches) -> None:
    """Give each norm the statistics of its input, and the scale and shift that undo them."""
    training = net.training
    net.eval()
    with torch.inference_mode(), _watched(norms) as moments:
        for step in range(STATISTICS_STEPS):
            frames, _ = crops.at(step)
            net(torch.from_numpy(frames).unsqueeze(1).float())
    with torch.no_grad():
        for norm, (means, squares) in zip(norms, moments, strict=True):
            mean = means / STATISTICS_STEPS
            variance = (squares / STATISTICS_STEPS - mean**2).clamp_min(0.0)
            assert norm.running_mean is not None  # noqa: S101 (our batch norms keep statistics)
            assert norm.running_var is not None  # noqa: S101
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.add_(mean)
    net.train(training)


@contextmanager
def _watched(norms: list[nn.BatchNorm2d]) -> Iterator[list[list[Tensor]]]:
    """Collect the sums over batches of the mean and mean square of each norm's input, per channel."""
    moments = [[torch.zeros(norm.num_features), torch.zeros(norm.num_features)] for norm in norms]

    def watch(index: int) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].float()
            moments[index][0] += x.mean(dim=(0, 2, 3))
            moments[index][1] += (x**2).mean(dim=(0, 2, 3))

        return hook

    handles = [norm.register_forward_pre_hook(watch(index)) for index, norm in enumerate(norms)]
    try:
        yield moments
    finally:
        for handle in handles:
            handle.remove()
