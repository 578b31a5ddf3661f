"""Predictors for `trainer evaluate`: a checkpoint, a model folder or an engine folder, all with the same maps."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from inspector.backends import open_backend
from inspector.config.line import FrameSettings
from inspector.core.tiling import Fit, JoinedMaps
from inspector.engine.manifest import MANIFEST_NAME, open_folder
from inspector.errors import InputError
from inspector.values import UNSOUND_FRAME_SCORE, Pixels
from trainer.artifacts.card import Card, is_model_folder, open_model
from trainer.artifacts.extras import needs_train_extra

if TYPE_CHECKING:
    from trainer.artifacts.checkpoint import Checkpoint

DEFAULT_THRESHOLD: Final = 0.5
"""Threshold if none was chosen on validation: defect as likely as normal."""


@dataclass(frozen=True, slots=True)
class Operation:
    """How maps become decisions."""

    classes: tuple[str, ...]
    thresholds: dict[str, float]
    """Per defect class, 0..1."""
    min_area_px: dict[str, int] = field(default_factory=dict)
    """Per defect class; a missing one counts as 0."""
    frame_threshold: float | None = None
    """Frame score of a frame that its defects may reject, 0..1; None without frame scores."""


Answers = tuple[Pixels, Pixels, Pixels | None]
"""Kind and score, uint8 [N, H/m, W/m] each, and the frames' scores, uint8 [N], or None."""


class Predictor(ABC):
    """Computes maps of frames, uint8 in and out. Use it as a context manager."""

    operation: Operation
    map_stride: int
    height: int
    width: int
    identity: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027 (most have nothing to release)
        """Release resources."""

    @abstractmethod
    def answers(self, frames: Pixels) -> Answers:
        """Maps and frame scores of frames uint8 [N, H, W]."""

    def maps(self, frames: Pixels) -> tuple[Pixels, Pixels]:
        """(kind, score), uint8 [N, H/m, W/m] each."""
        kind, score, _ = self.answers(frames)
        return kind, score


class TorchPredictor(Predictor):
    """A checkpoint in torch, fp32: the reference."""

    def __init__(self, checkpoint: "Checkpoint", height: int, width: int, map_stride: int, flips: int = 1) -> None:
        from trainer.models.contract import InspectionNet

        self.operation = Operation(checkpoint.classes, dict.fromkeys(checkpoint.classes[1:], DEFAULT_THRESHOLD))
        self.height, self.width, self.map_stride = height, width, map_stride
        self.identity = str(checkpoint.path)
        self.net = InspectionNet(checkpoint.net, height, width, map_stride, flips).eval()

    def answers(self, frames: Pixels) -> Answers:
        """One frame at a time, which keeps the memory for a large network's activations small."""
        import torch

        with torch.inference_mode():
            return together([self.net(torch.from_numpy(frames[i : i + 1])) for i in range(len(frames))])


class OnnxPredictor(Predictor):
    """An ONNX file in ONNX Runtime on the CPU."""

    def __init__(self, path: Path, operation: Operation, height: int, width: int, map_stride: int) -> None:
        import onnxruntime

        self.operation = operation
        self.height, self.width, self.map_stride = height, width, map_stride
        self.identity = str(path)
        try:
            self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 (onnxruntime's exceptions share no narrower public base)
            raise InputError(f"{path}: ONNX Runtime cannot open it: {error}") from None

    def answers(self, frames: Pixels) -> Answers:
        """One frame at a time: batching gains nothing on a CPU."""
        names = [output.name for output in self._session.get_outputs()]
        return together([self._session.run(names, {"frames": frames[i : i + 1]}) for i in range(len(frames))])


class EnginePredictor(Predictor):
    """An engine folder, run by the line's own backend."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        folder = open_folder(path)
        manifest = folder.manifest
        self.operation = Operation(
            manifest.classes, dict(manifest.thresholds), dict(manifest.min_area_px), manifest.frame_threshold
        )
        self.height, self.width, self.map_stride = manifest.height, manifest.width, manifest.map_stride
        self.identity = folder.identity
        self._backend = open_backend(folder, threads=threads)

    def __enter__(self) -> Self:
        self._backend.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Release the device."""
        self._backend.__exit__(None, None, None)

    def answers(self, frames: Pixels) -> Answers:
        """Pass all frames at once; the backend splits them into batches."""
        return self._backend.answer_all(frames)


class FittedPredictor(Predictor):
    """Another predictor for frames of any one size, tiled and padded as the line does it."""

    def __init__(self, inner: Predictor, size: tuple[int, int], fit: Fit) -> None:
        """`size` is the frames' height and width. Raises InputError for a size that `fit` does not allow."""
        tiles = fit.tiles(size)
        if tiles is None:
            raise InputError(f"{inner.identity}: {fit.refusal(size)}")
        self.operation, self.identity, self.map_stride = inner.operation, inner.identity, inner.map_stride
        self.height, self.width = size
        self._inner, self._fit, self._tiles = inner, fit, tiles

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Release the inner predictor."""
        self._inner.__exit__(None, None, None)

    def answers(self, frames: Pixels) -> Answers:
        """One frame's tiles at a time; the highest score of its tiles is that of the frame, if all are sound."""
        joined = [self._joined(frame) for frame in frames]
        scores = [frame for _, _, frame in joined if frame is not None]
        return (
            np.stack([kind for kind, _, _ in joined]),
            np.stack([score for _, score, _ in joined]),
            np.array(scores, np.uint8) if scores else None,
        )

    def _joined(self, frame: Pixels) -> tuple[Pixels, Pixels, int | None]:
        tiles = np.stack([tile.cut(frame, self._fit.engine) for tile in self._tiles])
        kind, score, scores = self._inner.answers(tiles)
        maps = JoinedMaps((self.height, self.width), self.map_stride)
        for index, tile in enumerate(self._tiles):
            maps.add(tile, kind[index], score[index])
        whole = None if scores is None else 0 if scores.min() == UNSOUND_FRAME_SCORE else int(scores.max())
        return (*maps.maps(), whole)


def together(answers: Sequence[Sequence[Any]]) -> Answers:
    """Answers to parts of the frames, arrays or tensors, as one answer to all."""
    kind, score, *frame = (
        np.concatenate([np.asarray(part, np.uint8) for part in parts])
        for parts in zip(*answers, strict=True)
        if parts[0] is not None
    )
    return kind, score, frame[0] if frame else None


def as_the_line_tiles(predictor: Predictor, size: tuple[int, int]) -> FittedPredictor:
    """The predictor for whole frames of another size, as a line with `[frames] tile` and `pad` inspects them."""
    rules = FrameSettings(tile=True, pad=True)
    return FittedPredictor(predictor, size, rules.fit(predictor.height, predictor.width, predictor.map_stride))


def operation_of(card: Card) -> Operation:
    """Thresholds and minimum areas of a model."""
    return Operation(card.classes, dict(card.thresholds), dict(card.min_area_px), card.frame_threshold)


def open_predictor(path: Path, threads: int | None = None) -> Predictor:
    """Open an engine folder, model folder or checkpoint; raises InputError for anything else."""
    if (path / MANIFEST_NAME).is_file():
        return EnginePredictor(path, threads)
    if is_model_folder(path):
        model = open_model(path)
        card = model.card
        operation = operation_of(card)
        with needs_train_extra("evaluate"):
            return OnnxPredictor(model.onnx, operation, card.height, card.width, card.map_stride)
    if path.is_file():
        with needs_train_extra("evaluate"):
            return _open_checkpoint(path, threads)
    raise InputError(f"{path}: neither a checkpoint nor a model folder (card.json) nor an engine folder")


def _open_checkpoint(path: Path, threads: int | None) -> Predictor:
    import torch

    from trainer.artifacts.checkpoint import load_checkpoint

    if threads is not None:
        torch.set_num_threads(threads)
    checkpoint = load_checkpoint(path)
    height, width = checkpoint.size
    return TorchPredictor(checkpoint, height, width, 1)
