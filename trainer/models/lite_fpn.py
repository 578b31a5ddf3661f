"""A pretrained encoder with a plain top-down decoder (Lin et al. 2017, FPN) and a score of the whole frame."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from inspector.errors import InputError
from trainer.models.lite import STAGES, STRIDE, TAPPED_CHANNELS, Lite0
from trainer.models.network import Network
from trainer.models.unet import conv_norm, padded, without_padding

MAP_STRIDE: Final = 4


class LiteFPN(Network):
    """Lite0's features, merged from the deepest to stride 4, where the head answers.

    The frame's score stands on the largest value of each deepest channel, so a small defect in a wide frame is not
    diluted, and a network trained on crops answers whole frames.
    """

    scores_frames = True

    def __init__(self, classes: int, decoder: int = 48, frozen: int = 0) -> None:
        super().__init__()
        if decoder < 1:
            raise InputError(f"a decoder needs at least 1 channel, got {decoder}")
        if not 0 <= frozen <= len(STAGES):
            raise InputError(f"frozen stages: 0 to {len(STAGES)}, got {frozen}")
        self.map_stride = MAP_STRIDE
        self.encoder = Lite0(frozen)
        self.lateral = nn.ModuleList(nn.Conv2d(channels, decoder, 1) for channels in TAPPED_CHANNELS)
        self.smooth = nn.ModuleList(conv_norm(decoder, decoder, "batch") for _ in TAPPED_CHANNELS)
        self.head = nn.Conv2d(decoder, classes, 1)
        self.frame_head = nn.Linear(TAPPED_CHANNELS[-1], 1)

    def forward(self, grey: Tensor) -> Tensor:
        """Grey levels 0..255, float [N, 1, H, W] → logits [N, classes, ⌈H/4⌉, ⌈W/4⌉]."""
        return self.with_frame(grey)[0]

    def with_frame(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        """The same logits, and the logit of "this frame shows a defect", [N]."""
        height, width = int(grey.shape[-2]), int(grey.shape[-1])
        features = self.encoder(padded(grey, STRIDE))
        x: Tensor | None = None
        for feature, lateral, smooth in zip(features[::-1], self.lateral[::-1], self.smooth[::-1], strict=True):
            side = lateral(feature)
            x = side if x is None else side + functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = functional.relu(smooth(x), inplace=True)
        logits: Tensor = self.head(x)
        frame: Tensor = self.frame_head(torch.amax(features[-1], dim=(2, 3)))[:, 0]
        return without_padding(logits, height, width, self.map_stride), frame
