"""Wraps a trained network in the engine contract, as one graph."""

from typing import Final, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from inspector.errors import InputError
from inspector.values import MAP_STRIDES, MAX_SCORE, UNSOUND_FRAME_SCORE
from trainer.models.flips import VIEWS
from trainer.models.network import Network
from trainer.models.overflow import FINITE, OVERFLOWN, UNSOUND

FRAME_SOFTNESS: Final = 4.0
"""Divides the logit of a frame's score before the sigmoid. Trained networks are sure of most frames: without it,
nearly all scores would be the first or the last of 255 steps, and a threshold between them could not be chosen."""

Net = TypeVar("Net", bound=nn.Module)


class InspectionNet(nn.Module):
    """uint8 frames in, uint8 kind and score maps out (see the engine contract in the design).

    A network that scores frames has a third output, uint8 [N]: 1 + round(254·σ(logit / FRAME_SOFTNESS)), or 0
    where any of its answers about the frame is not finite.

    `net` has a `map_stride`, the stride of its logits; its maps are enlarged to `map_stride` where that is finer.
    Its probabilities are the mean over the first `flips` of VIEWS, which run as one batch.
    Where it overflows, the score is 255 and the kind any of 1..K, see trainer.models.overflow.
    """

    def __init__(self, net: Network, height: int, width: int, map_stride: int, flips: int = 1) -> None:
        super().__init__()
        self.net = net
        self.map_size = (height // map_stride, width // map_stride)
        self.enlarges = map_stride != net.map_stride
        self.views = VIEWS[:flips]

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """uint8 [N, H, W] → kind 1..K and score round(255·(1 − p(normal))), uint8 [N, H/m, W/m] each.

        The third, only of a network that scores frames: uint8 [N].
        """
        grey = frames.unsqueeze(1).to(torch.float32)
        if len(self.views) == 1:
            answer, frame = self._logits(grey)
            normal = _probabilities(answer)[:, 0]
        else:
            answer, frame = self._mean_over_views(grey)
            normal = answer[:, 0]
        score = torch.round((1.0 - normal) * MAX_SCORE)
        # Not a clamp: NaN clamped is NaN, and NaN as uint8 is undefined.
        score = torch.where(score.abs() <= MAX_SCORE, score, MAX_SCORE).to(torch.uint8)
        kind = (answer[:, 1:].argmax(dim=1) + 1).to(torch.uint8)
        return (kind, score) if frame is None else (kind, score, _frame_step(frame))

    def _logits(self, grey: Tensor) -> tuple[Tensor, Tensor | None]:
        logits, frame = self.net.with_frame(grey)
        if self.enlarges:
            logits = functional.interpolate(logits, size=self.map_size, mode="bilinear", align_corners=False)
        if frame is not None:
            # Where the pixels' answers are not finite, the frame's is none either: pooling may have lost a NaN.
            sound = logits.mean(dim=(1, 2, 3)).abs() < FINITE
            frame = torch.where(sound, frame, OVERFLOWN)
        return logits, frame

    def _mean_over_views(self, grey: Tensor) -> tuple[Tensor, Tensor | None]:
        """Probabilities [N, classes, H/m, W/m], and the mean logit of the frame."""
        seen = torch.stack([view.of(grey) for view in self.views])
        logits, frame = self._logits(seen.flatten(0, 1))
        answers = _probabilities(logits)
        by_view = answers.view(len(self.views), -1, *answers.shape[1:])
        mean = torch.stack([view.back(by_view[place]) for place, view in enumerate(self.views)]).mean(dim=0)
        return mean, None if frame is None else frame.view(len(self.views), -1).mean(dim=0)


def _frame_step(logit: Tensor) -> Tensor:
    """uint8 [N]: 1..255, or 0 for a logit that is not finite."""
    step = torch.round(torch.sigmoid(logit / FRAME_SOFTNESS) * (MAX_SCORE - 1)) + 1.0
    return torch.where(logit.abs() < FINITE, step, float(UNSOUND_FRAME_SCORE)).to(torch.uint8)


def _probabilities(logits: Tensor) -> Tensor:
    """Softmax over [N, classes, H, W]; UNSOUND for every class of a pixel whose logits are not all finite."""
    finite = logits.mean(dim=1, keepdim=True).abs() < FINITE
    return torch.where(finite, logits.softmax(dim=1), UNSOUND)


LEAST_CELLS: Final = 16
"""Cells of a map that the usual defect of the smallest class covers at least. On the magnetic-tile set, whose
blowholes cover 7 cells at stride 4, stride 1 gives 2 points of mIoU more."""


def choose_map_stride(
    stem_stride: int, height: int, width: int, wanted: int | None, smallest_px: float | None = None
) -> int:
    """The map stride of an export: as wanted, or the coarsest that network, frame size and small defects allow.

    `smallest_px` is the median area of a frame's defect in the smallest class, px; None if it is not known. Raises
    InputError for a stride that does not divide the frame or is coarser than the network's logits.
    """
    if wanted is None:
        fitting = [m for m in MAP_STRIDES if m <= stem_stride and height % m == 0 and width % m == 0]
        fine = [m for m in fitting if smallest_px is None or smallest_px >= LEAST_CELLS * m * m]
        return max(fine, default=min(fitting))
    if wanted not in MAP_STRIDES or wanted > stem_stride:
        allowed = ", ".join(str(m) for m in MAP_STRIDES if m <= stem_stride)
        raise InputError(f"--map-stride {wanted}: this network allows {allowed}")
    if height % wanted or width % wanted:
        raise InputError(f"--map-stride {wanted} does not divide frames of {height}×{width} px")
    return wanted


def fold_batch_norms(net: Net) -> Net:
    """Fold every Conv2d → BatchNorm2d pair of a Sequential into the convolution, in place; `net` in eval mode."""
    for module in list(net.modules()):
        if isinstance(module, nn.Sequential):
            for index in range(len(module) - 1):
                convolution, norm = module[index], module[index + 1]
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[index] = fuse_conv_bn_eval(convolution, norm)
                    module[index + 1] = nn.Identity()
    return net
