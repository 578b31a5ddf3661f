"""A plain U-Net (Ronneberger et al. 2015) with a strided stem, for frames of any size.

Its logits have the resolution of the stem, or full size if the head answers for every pixel of a cell (sub-pixel
convolution, Shi et al. 2016).
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from inspector.errors import InputError
from inspector.values import MAP_STRIDES
from trainer.models.network import Network

GREY_MEAN: Final = 128.0
GREY_SCALE: Final = 64.0
"""Bring grey levels 0..255 to about ±2. The first batch norm removes the remaining shift and scale, so no
statistics of a data set are needed."""

GROUPS: Final = 8
"""Groups of a group norm; fewer for channels that 8 does not divide."""

NORMS: Final[dict[str, Callable[[int], nn.Module]]] = {
    "batch": nn.BatchNorm2d,
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "group": lambda channels: nn.GroupNorm(math.gcd(GROUPS, channels), channels),
}
"""Name → norm of a number of channels. `batch` folds into the convolutions at export and costs nothing on the
line; the others do not fold."""


class ConvBlock(nn.Module):
    """Two times 3×3 convolution, norm and ReLU; `residual` adds the input before the last ReLU."""

    def __init__(self, inputs: int, outputs: int, norm: str, residual: bool) -> None:
        super().__init__()
        self.first = conv_norm(inputs, outputs, norm)
        self.second = conv_norm(outputs, outputs, norm)
        self.shortcut: nn.Module | None = None
        if residual:
            self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, h, w] → [N, outputs, h, w]."""
        y = self.second(functional.relu(self.first(x), inplace=True))
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return functional.relu(y, inplace=True)


def conv_norm(inputs: int, outputs: int, norm: str, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution without bias and its norm; padding gives an output of H/stride × W/stride."""
    padding = (kernel - stride + 1) // 2
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return nn.Sequential(convolution, NORMS[norm](outputs))


class UNet(Network):
    """U-Net with `widths` as the channels of each level; reflection pads the frame to a multiple of the strides.

    With `sub_pixel` the head gives s² answers per cell of the stem, one per pixel, instead of one answer per cell.
    """

    def __init__(
        self,
        classes: int,
        widths: Sequence[int],
        stem_stride: int = 1,
        *,
        residual: bool = False,
        norm: str = "batch",
        sub_pixel: bool = False,
    ) -> None:
        super().__init__()
        if stem_stride not in MAP_STRIDES:
            raise InputError(f"stem stride must be one of {MAP_STRIDES}, got {stem_stride}")
        if len(widths) < 2 or min(widths) < 1:
            raise InputError(f"a U-Net needs two or more widths, each at least 1, got {list(widths)}")
        if norm not in NORMS:
            raise InputError(f"no norm {norm!r}: there is {', '.join(NORMS)}")
        self.map_stride = 1 if sub_pixel else stem_stride
        self.multiple = stem_stride * 2 ** (len(widths) - 1)
        """Height and width are padded to a multiple of this, px."""
        self.stem: nn.Module | None = None
        first = 1
        if stem_stride > 1:
            # The kernel is twice as wide as its step: neighbouring windows overlap, so a hair crack never falls
            # between two.
            self.stem = nn.Sequential(
                conv_norm(1, widths[0], norm, kernel=2 * stem_stride, stride=stem_stride), nn.ReLU(inplace=True)
            )
            first = widths[0]
        inputs = [first, *widths[:-1]]
        self.down = nn.ModuleList(ConvBlock(i, o, norm, residual) for i, o in zip(inputs, widths, strict=True))
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(deep, wide, 2, 2) for deep, wide in pairs)
        self.up = nn.ModuleList(ConvBlock(2 * wide, wide, norm, residual) for _, wide in pairs)
        self.answers = stem_stride if sub_pixel else 1
        """Answers per cell along each axis."""
        self.head = nn.Conv2d(widths[0], classes * self.answers**2, 1)

    def forward(self, grey: Tensor) -> Tensor:
        """Grey levels 0..255, float [N, 1, H, W] → logits [N, classes, ⌈H/s⌉, ⌈W/s⌉], s the map stride."""
        height, width = int(grey.shape[-2]), int(grey.shape[-1])
        x = padded((grey - GREY_MEAN) / GREY_SCALE, self.multiple)
        if self.stem is not None:
            x = self.stem(x)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            if level:
                skips.append(x)
                x = functional.max_pool2d(x, 2)
            x = block(x)
        for grow, block in zip(self.grow, self.up, strict=True):
            x = block(torch.cat((grow(x), skips.pop()), dim=1))
        logits: Tensor = self.head(x)
        if self.answers > 1:
            logits = functional.pixel_shuffle(logits, self.answers)
        return without_padding(logits, height, width, self.map_stride)


def padded(grey: Tensor, multiple: int) -> Tensor:
    """[N, 1, H, W] with height and width padded below and on the right to a multiple, by reflection."""
    height, width = int(grey.shape[-2]), int(grey.shape[-1])
    bottom, right = -height % multiple, -width % multiple
    if not bottom and not right:
        return grey
    # Reflection needs a frame larger than the padding; a tiny one repeats its last row and column.
    mode = "reflect" if bottom < height and right < width else "replicate"
    return functional.pad(grey, (0, right, 0, bottom), mode=mode)


def without_padding(logits: Tensor, height: int, width: int, stride: int) -> Tensor:
    """The part of padded logits that shows the frame, [N, classes, ⌈H/stride⌉, ⌈W/stride⌉]."""
    rows, columns = -(-height // stride), -(-width // stride)
    return logits if logits.shape[-2:] == (rows, columns) else logits[..., :rows, :columns]


def at_full_size(logits: Tensor, height: int, width: int) -> Tensor:
    """Enlarge logits bilinearly to the frame's size, [N, classes, H, W]."""
    if logits.shape[-2:] == (height, width):
        return logits
    return functional.interpolate(logits, size=(height, width), mode="bilinear", align_corners=False)
