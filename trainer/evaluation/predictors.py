"""Predictors for `trainer evaluate`: a checkpoint, a model folder or an engine folder, all with the same maps."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from inspector.backends import open_backend
from inspector.config.line import FrameSettings
from inspector.core.tiling import Fit, JoinedMaps
from inspector.engine.manifest import MANIFEST_NAME, open_folder
from inspector.errors import InputError
from inspector.values import Pixels
from trainer.artifacts.card import is_model_folder, open_model
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
    def maps(self, frames: Pixels) -> tuple[Pixels, Pixels]:
        """(kind, score), uint8 [N, H/m, W/m] each, of frames uint8 [N, H, W]."""


class TorchPredictor(Predictor):
    """A checkpoint in torch, fp32: the reference."""

    def __init__(self, checkpoint: "Checkpoint", height: int, width: int, map_stride: int, flips: int = 1) -> None:
        from trainer.models.contract import InspectionNet

        self.operation = Operation(checkpoint.classes, dict.fromkeys(checkpoint.classes[1:], DEFAULT_THRESHOLD))
        self.height, self.width, self.map_stride = height, width, map_stride
        self.identity = str(checkpoint.path)
        self.net = InspectionNet(checkpoint.net, height, width, map_stride, flips).eval()

    def maps(self, frames: Pixels) -> tuple[Pixels, Pixels]:
        """One frame at a time, which keeps the memory for a large network's activations small."""
        import torch

        with torch.inference_mode():
            pairs = [self.net(torch.from_numpy(frames[i : i + 1])) for i in range(len(frames))]
        return (
            np.concatenate([kind.numpy() for kind, _ in pairs]),
            np.concatenate([score.numpy() for _, score in pairs]),
        )


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

    def maps(self, frames: Pixels) -> tuple[Pixels, Pixels]:
        """One frame at a time: batching gains nothing on a CPU."""
        pairs = [self._session.run(["kind", "score"], {"frames": frames[i : i + 1]}) for i in range(len(frames))]
        return (
            np.concatenate([np.asarray(kind, np.uint8) for kind, _ in pairs]),
            np.concatenate([np.asarray(score, np.uint8) for _, score in pairs]),
        )


class EnginePredictor(Predictor):
    """An engine folder, run by the line's own backend."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        folder = open_folder(path)
        manifest = folder.manifest
        self.operation = Operation(manifest.classes, dict(manifest.thresholds), dict(manifest.min_area_px))
        self.height, self.width, self.map_stride = manifest.height, manifest.width, manifest.map_stride
        self.identity = folder.identity
        self._backend = open_backend(folder, threads=threads)

    def __enter__(self) -> Self:
        self._backend.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Release the device."""
        self._backend.__exit__(None, None, None)

    def maps(self, frames: Pixels) -> tuple[Pixels, Pixels]:
        """Pass all frames at once; the backend splits them into batches."""
        return self._backend.infer(frames)


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

    def maps(self, frames: Pixels) -> tuple[Pixels, Pixels]:
        """One frame's tiles at a time."""
        joined = [self._joined(frame) for frame in frames]
        return np.stack([kind for kind, _ in joined]), np.stack([score for _, score in joined])

    def _joined(self, frame: Pixels) -> tuple[Pixels, Pixels]:
        kind, score = self._inner.maps(np.stack([tile.cut(frame, self._fit.engine) for tile in self._tiles]))
        maps = JoinedMaps((self.height, self.width), self.map_stride)
        for index, tile in enumerate(self._tiles):
            maps.add(tile, kind[index], score[index])
        return maps.maps()


def as_the_line_tiles(predictor: Predictor, size: tuple[int, int]) -> FittedPredictor:
    """The predictor for whole frames of another size, as a line with `[frames] tile` and `pad` inspects them."""
    rules = FrameSettings(tile=True, pad=True)
    return FittedPredictor(predictor, size, rules.fit(predictor.height, predictor.width, predictor.map_stride))


def open_predictor(path: Path, threads: int | None = None) -> Predictor:
    """Open an engine folder, model folder or checkpoint; raises InputError for anything else."""
    if (path / MANIFEST_NAME).is_file():
        return EnginePredictor(path, threads)
    if is_model_folder(path):
        model = open_model(path)
        card = model.card
        operation = Operation(card.classes, dict(card.thresholds), dict(card.min_area_px))
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
