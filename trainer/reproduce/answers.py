"""Answers of a trained model on the test frames: defect or normal for every pixel."""

from collections.abc import Iterator
from itertools import product
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from trainer.artifacts.bar import bar
from trainer.models.unet import at_full_size
from trainer.reproduce.readings import FrameCounts, count_frame
from trainer.training.training_data import TrainingData

BY_CLASS: Final = "class"
"""Defect if the likeliest class is one: the paper's rule."""
BY_SCORE: Final = "score"
"""Defect if all kinds together are at least as likely as normal: the line's rule."""
RULES: Final = (BY_CLASS, BY_SCORE)

_BATCH_PX: Final = 1 << 20
"""Pixels answered at a time."""


def count_test_frames(
    net: nn.Module, data: TrainingData, tile: tuple[int, int] | None, device: str
) -> dict[str, FrameCounts]:
    """Rule → counts of every test frame, for a network (see Network) that answers whole frames or tiles."""
    net = net.to(device)
    height, width = data.loaded.size
    chosen = data.indices("test")
    at_once = max(1, _BATCH_PX // (height * width))
    rows: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]] = {rule: [] for rule in RULES}
    starts = range(0, len(chosen), at_once)
    with torch.inference_mode():
        for start in bar(starts, "evaluating", total=len(starts), unit="step"):
            part = chosen[start : start + at_once]
            grey = torch.from_numpy(data.loaded.frames[part]).to(device).unsqueeze(1).float()
            probabilities = _probabilities(net, grey, tile)
            answers = {
                BY_CLASS: (probabilities.argmax(dim=1) > 0).cpu().numpy(),
                BY_SCORE: (probabilities[:, 0] <= 0.5).cpu().numpy(),
            }
            for slot, label in enumerate(data.loaded.labels[part]):
                for rule, answer in answers.items():
                    rows[rule].append(count_frame(label > 0, answer[slot]))
    return {rule: np.stack(frames) for rule, frames in rows.items()}


def _probabilities(net: nn.Module, grey: Tensor, tile: tuple[int, int] | None) -> Tensor:
    """Float [N, C, H, W] of grey levels float [N, 1, H, W]."""
    height, width = int(grey.shape[2]), int(grey.shape[3])
    if tile is None:
        return at_full_size(net(grey), height, width).softmax(dim=1)
    whole: Tensor | None = None
    for top, left in product(_starts(height, tile[0]), _starts(width, tile[1])):
        window = (..., slice(top, top + tile[0]), slice(left, left + tile[1]))
        answer = at_full_size(net(grey[window]), *tile).softmax(dim=1)
        if whole is None:
            whole = answer.new_empty((len(grey), answer.shape[1], height, width))
        whole[window] = answer
    assert whole is not None  # noqa: S101 (a frame has at least one tile)
    return whole


def _starts(length: int, tile: int) -> Iterator[int]:
    """First indices of the tiles that cover `length`; the last tile is moved back to end with it."""
    for start in range(0, length, tile):
        yield min(start, length - tile)
