"""A pretrained encoder with a plain top-down decoder (Lin et al. 2017, FPN) and a score of the whole frame."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from inspector.errors import InputError
from trainer.models.lite import FINEST, STAGES, STRIDE, TAPPED, TAPPED_CHANNELS, Lite0
from trainer.models.network import Network
from trainer.models.unet import conv_norm, padded, without_padding

MAP_STRIDES: Final = (4, 2)
"""Strides of the logits; the first one is the usual one."""


class _Finer(nn.Module):
    """Takes the decoder's features from stride 4 to 2, on half of its channels: there are four times the cells."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.channels = (inputs + 1) // 2
        self.reduce = nn.Conv2d(inputs, self.channels, 1)
        self.lateral = nn.Conv2d(STAGES[FINEST][4], self.channels, 1)
        self.smooth = conv_norm(self.channels, self.channels, "batch")

    def forward(self, x: Tensor, finest: Tensor) -> Tensor:
        """[N, inputs, h, w] and the features of stride 2 → [N, channels, 2h, 2w]."""
        x = functional.interpolate(self.reduce(x), scale_factor=2.0, mode="nearest") + self.lateral(finest)
        return functional.relu(self.smooth(x), inplace=True)


class LiteFPN(Network):
    """Lite0's features, merged from the deepest to stride 4, or 2 for small defects, where the head answers.

    The frame's score stands on the largest value of each deepest channel, so a small defect in a wide frame is not
    diluted, and a network trained on crops answers whole frames.
    """

    scores_frames = True

    def __init__(self, classes: int, decoder: int = 48, frozen: int = 0, map_stride: int = MAP_STRIDES[0]) -> None:
        super().__init__()
        if decoder < 1:
            raise InputError(f"a decoder needs at least 1 channel, got {decoder}")
        if not 0 <= frozen <= len(STAGES):
            raise InputError(f"frozen stages: 0 to {len(STAGES)}, got {frozen}")
        if map_stride not in MAP_STRIDES:
            raise InputError(f"map stride: 2 or 4, got {map_stride}")
        self.map_stride = map_stride
        self.encoder = Lite0(frozen)
        self.lateral = nn.ModuleList(nn.Conv2d(channels, decoder, 1) for channels in TAPPED_CHANNELS)
        self.smooth = nn.ModuleList(conv_norm(decoder, decoder, "batch") for _ in TAPPED_CHANNELS)
        self.finer = _Finer(decoder) if map_stride == 2 else None
        self.head = nn.Conv2d(decoder if self.finer is None else self.finer.channels, classes, 1)
        self.frame_head = nn.Linear(TAPPED_CHANNELS[-1], 1)

    def forward(self, grey: Tensor) -> Tensor:
        """Grey levels 0..255, float [N, 1, H, W] → logits [N, classes, ⌈H/s⌉, ⌈W/s⌉], s its `map_stride`."""
        return self.with_frame(grey)[0]

    def with_frame(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        """The same logits, and the logit of "this frame shows a defect", [N]."""
        height, width = int(grey.shape[-2]), int(grey.shape[-1])
        finest, *features = self.encoder(padded(grey, STRIDE), (FINEST, *TAPPED))
        x: Tensor | None = None
        for feature, lateral, smooth in zip(features[::-1], self.lateral[::-1], self.smooth[::-1], strict=True):
            side = lateral(feature)
            x = side if x is None else side + functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = functional.relu(smooth(x), inplace=True)
        logits: Tensor = self.head(x if self.finer is None or x is None else self.finer(x, finest))
        frame: Tensor = self.frame_head(torch.amax(features[-1], dim=(2, 3)))[:, 0]
        return without_padding(logits, height, width, self.map_stride), frame
