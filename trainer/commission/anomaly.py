"""How unusual a frame is among the plant's own: distances of pretrained features, as in PaDiM.

Defard et al. 2021 fit a Gaussian to the features at each place of a picture. Steel looks the same everywhere, so
here one Gaussian holds for all places. It needs two passes and the memory of one covariance matrix.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inspector.values import Pixels
from trainer.artifacts.bar import bar
from trainer.models.lite import STRIDE, Lite0
from trainer.models.unet import padded

TAPS: Final = (1, 2)
"""Features at strides 8 and 16: finer ones see grain, coarser ones see too much steel at once."""
TOP_SHARE: Final = 0.005
"""Share of a frame's cells whose mean distance is the frame's score: a small defect covers about as many."""
RIDGE: Final = 0.01
"""Added to the covariance, as a share of its mean variance, so that it can be inverted."""


def anomaly_scores(
    encoder: Lite0, frames: Sequence[Pixels], *, show_progress: bool = False
) -> NDArray[np.float64]:
    """One score a frame, float [N]: the mean distance of its most unusual cells; frames are uint8 [H, W]."""
    encoder.eval()
    mean, precision = _gaussian(encoder, frames, show_progress=show_progress)
    scores = []
    for cells in _cells(encoder, frames, "comparing", show_progress=show_progress):
        away = cells - mean
        distance = (away @ precision * away).sum(dim=1).clamp_min(0.0).sqrt()
        scores.append(float(distance.topk(max(1, round(TOP_SHARE * len(distance)))).values.mean()))
    return np.array(scores)


def _gaussian(encoder: Lite0, frames: Sequence[Pixels], *, show_progress: bool) -> tuple[Tensor, Tensor]:
    """Mean [C] and inverse covariance [C, C] of the features of all cells."""
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for cells in _cells(encoder, frames, "learning the usual steel", show_progress=show_progress):
        cells = cells.double()  # noqa: PLW2901 (sums of squares of all frames need the digits)
        count += len(cells)
        total = total + cells.sum(dim=0)
        squares = squares + cells.T @ cells
    mean = total / count
    covariance = squares / count - torch.outer(mean, mean)
    covariance += RIDGE * covariance.diagonal().mean() * torch.eye(len(mean), dtype=torch.double)
    return mean.float(), torch.linalg.inv(covariance).float()


def _cells(encoder: Lite0, frames: Sequence[Pixels], what: str, *, show_progress: bool) -> Iterator[Tensor]:
    """Features of each frame's cells at stride 16, float [cells, C]."""
    for frame in bar(frames, what, total=len(frames), show=show_progress):
        with torch.inference_mode():
            features = encoder(padded(torch.from_numpy(frame)[None, None].float(), STRIDE))
            fine, coarse = (features[tap] for tap in TAPS)
            both = torch.cat([functional.avg_pool2d(fine, 2), coarse], dim=1)
            yield both[0].flatten(1).T
