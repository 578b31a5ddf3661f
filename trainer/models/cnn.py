"""A plain convolutional classifier: defective frame or normal. The paper's "vanilla CNN", without positions."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from inspector.errors import InputError
from inspector.values import MAP_STRIDES
from trainer.models.network import Network
from trainer.models.unet import GREY_MEAN, GREY_SCALE, conv_norm

DECISIONS: Final = 2
"""Number of classes: normal and defect."""


class VanillaCNN(Network):
    """Convolution, norm, ReLU and pooling per width, then one decision, repeated in every pixel of the map."""

    frame_level = True

    def __init__(self, classes: int, widths: Sequence[int], *, norm: str = "batch") -> None:
        super().__init__()
        if classes != DECISIONS:
            raise InputError("the cnn only separates defective frames from normal ones: add --target binary")
        if not widths or min(widths) < 1:
            raise InputError(f"a cnn needs one or more widths, each at least 1, got {list(widths)}")
        self.map_stride = max(MAP_STRIDES)
        inputs = [1, *widths[:-1]]
        self.blocks = nn.ModuleList(conv_norm(i, o, norm) for i, o in zip(inputs, widths, strict=True))
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, grey: Tensor) -> Tensor:
        """Grey levels 0..255, float [N, 1, H, W] → logits [N, 2, ⌈H/4⌉, ⌈W/4⌉], constant over each frame."""
        height, width = int(grey.shape[-2]), int(grey.shape[-1])
        x = (grey - GREY_MEAN) / GREY_SCALE
        for block in self.blocks:
            # Rounded up, so that the smallest crop never shrinks to nothing.
            x = functional.max_pool2d(functional.relu(block(x), inplace=True), 2, ceil_mode=True)
        # The maximum over the frame, not the mean: a small defect in a wide frame is not diluted, and a net
        # trained on crops answers the same on whole frames.
        logits: Tensor = self.head(torch.amax(x, dim=(2, 3)))
        s = self.map_stride
        return logits[:, :, None, None].expand(-1, -1, -(-height // s), -(-width // s))
