"""EfficientNet-Lite0's encoder (Tan & Le 2019) for grey frames: plain blocks without squeeze-excite, ReLU6."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE: Final = 32
"""Stride of the deepest features; height and width of the input are multiples of it."""
GREY_MEAN: Final = 127.0
GREY_SCALE: Final = 128.0
"""Scaling of grey levels that the ImageNet weights were trained with."""

STEM_WIDTH: Final = 32
NORM_EPS: Final = 1e-3
"""Added to the variance by every batch norm, as in the original training."""

STAGES: Final = (
    # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
TAPPED: Final = (1, 2, 4, 6)
"""Stages whose features the decoder takes: strides 4, 8, 16, 32."""
TAPPED_CHANNELS: Final = tuple(STAGES[stage][4] for stage in TAPPED)


class _SameConv(nn.Conv2d):
    """A convolution without bias that pads as TensorFlow does: with stride 2, one more on the right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> None:
        even = stride == 1
        super().__init__(inputs, outputs, kernel, stride, kernel // 2 if even else 0, groups=groups, bias=False)
        total = kernel - stride
        self._pad = None if even else (total // 2, total - total // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; with stride 2 height and width must be even."""
        return super().forward(x if self._pad is None else functional.pad(x, self._pad))


def _conv_norm(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(_SameConv(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs, eps=NORM_EPS))


class _Block(nn.Module):
    """Expand, convolve each channel, project; adds its input if the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = _conv_norm(inputs, inner) if expansion > 1 else None
        self.depthwise = _conv_norm(inner, inner, kernel, stride, groups=inner)
        self.project = _conv_norm(inner, outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, h, w] → [N, outputs, h/stride, w/stride]."""
        y = x if self.expand is None else functional.relu6(self.expand(x))
        projected: Tensor = self.project(functional.relu6(self.depthwise(y)))
        return projected + x if self.adds else projected


class Lite0(nn.Module):
    """The encoder: grey levels 0..255 to features at strides 4, 8, 16 and 32.

    The stem and the first `frozen` stages keep their weights and norm statistics in training. They know edges and
    textures from ImageNet, few frames teach them nothing better, and half of a training step is theirs.
    """

    def __init__(self, frozen: int = 0) -> None:
        super().__init__()
        self.frozen = frozen
        self.stem = _conv_norm(1, STEM_WIDTH, 3, 2)
        self.stages = nn.ModuleList()
        inputs = STEM_WIDTH
        for blocks, kernel, stride, expansion, channels in STAGES:
            stage = nn.Sequential(_Block(inputs, channels, kernel, stride, expansion))
            for _ in range(blocks - 1):
                stage.append(_Block(channels, channels, kernel, 1, expansion))
            self.stages.append(stage)
            inputs = channels
        for module in self._kept():
            module.requires_grad_(requires_grad=False)

    def _kept(self) -> list[nn.Module]:
        return [self.stem, *self.stages[: self.frozen]] if self.frozen else []

    def train(self, mode: bool = True) -> "Lite0":
        """Frozen stages stay in eval mode."""
        super().train(mode)
        for module in self._kept():
            module.eval()
        return self

    def forward(self, grey: Tensor) -> list[Tensor]:
        """Float [N, 1, H, W], H and W multiples of 32 → features of the TAPPED stages, finest first."""
        x = functional.relu6(self.stem((grey - GREY_MEAN) / GREY_SCALE))
        features = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in TAPPED:
                features.append(x)
        return features


def from_imagenet(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of `Lite0` from those of the published EfficientNet-Lite0, which takes three colours.

    A grey frame has three equal colours, so the kernels of the first convolution are summed over them. Raises
    KeyError for a missing weight; the classifier's weights are left out.
    """
    names = {"stem": ("_conv_stem", "_bn0")}
    number = 0
    for stage, (blocks, *_) in enumerate(STAGES):
        for block in range(blocks):
            ours, theirs = f"stages.{stage}.{block}", f"_blocks.{number}"
            if number:  # the first block does not expand
                names[f"{ours}.expand"] = (f"{theirs}._expand_conv", f"{theirs}._bn0")
            names[f"{ours}.depthwise"] = (f"{theirs}._depthwise_conv", f"{theirs}._bn1")
            names[f"{ours}.project"] = (f"{theirs}._project_conv", f"{theirs}._bn2")
            number += 1
    weights = {}
    for ours, (convolution, norm) in names.items():
        weights[f"{ours}.0.weight"] = stored[f"{convolution}.weight"]
        for part in ("weight", "bias", "running_mean", "running_var"):
            weights[f"{ours}.1.{part}"] = stored[f"{norm}.{part}"]
        weights[f"{ours}.1.num_batches_tracked"] = torch.zeros((), dtype=torch.long)
    weights["stem.0.weight"] = weights["stem.0.weight"].sum(dim=1, keepdim=True)
    return weights
