"""The network and the contract around it."""

from typing import Any

import pytest
import torch
from torch.nn import functional

from inspector.errors import InputError
from trainer.models import PRESETS, build_model
from trainer.models.contract import InspectionNet, choose_map_stride, fold_batch_norms
from trainer.models.unet import UNet
from trainer.training.schedule import one_cycle


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", [(64, 96), (50, 72), (37, 61)])
def test_logits_cover_a_frame_of_any_size(stride: int, size: tuple[int, int]) -> None:
    """Padding happens inside; what comes out is the frame's size over the stem stride, rounded up."""
    net = UNet(3, (4, 8, 16), stride).eval()
    logits = net(torch.zeros(2, 1, *size))
    assert logits.shape == (2, 3, -(-size[0] // stride), -(-size[1] // stride))


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("size", [(64, 96), (50, 72), (37, 61)])
def test_a_sub_pixel_head_answers_for_every_pixel(stride: int, size: tuple[int, int]) -> None:
    """Full size behind a strided stem, and next to no weights more than the same network without it."""
    net = UNet(3, (8, 16), stride, sub_pixel=True).eval()
    assert net.map_stride == 1
    assert net(torch.zeros(2, 1, *size)).shape == (2, 3, *size)
    weights = sum(p.numel() for p in net.parameters()) - sum(
        p.numel() for p in UNet(3, (8, 16), stride).parameters()
    )
    assert weights == (8 + 1) * 3 * (stride**2 - 1)


def test_padding_does_not_move_the_answer() -> None:
    """A defect keeps its place in a frame that has to be padded: the net sees the same pixels from the left."""
    torch.manual_seed(1)
    net = UNet(2, (4, 8), 2).eval()
    frame = torch.rand(1, 1, 64, 96) * 255
    whole, cut = net(frame), net(frame[..., :93])
    torch.testing.assert_close(whole[..., :32], cut[..., :32])


def test_the_presets_are_the_nets_they_are_named_for() -> None:
    """Weights as published for Ronneberger's (31 M), 1.9 M for the small ones."""
    nets = {name: build_model(config, 2 if name == "cnn" else 5) for name, config in PRESETS.items()}
    count = {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}
    assert count["paper"] == pytest.approx(31.0e6, rel=0.01)
    assert count["balanced"] == pytest.approx(1.93e6, rel=0.02)
    assert count["fast"] == pytest.approx(1.93e6, rel=0.02)


@pytest.mark.parametrize(
    "options", [{"residual": True}, {"norm": "group"}, {"norm": "instance"}, {"sub_pixel": True}]
)
def test_variants_learn_in_every_layer(options: dict[str, Any]) -> None:
    """Every weight of a residual or differently normalised net gets a gradient."""
    net = build_model({"architecture": "unet", "widths": [8, 16], "stem_stride": 2, **options}, 3)
    (net(torch.rand(2, 1, 32, 32) * 255) ** 2).mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


@pytest.mark.parametrize(
    "config",
    [
        {"architecture": "vgg"},
        {"architecture": "unet", "widths": [8]},
        {"architecture": "unet", "widths": [8, 16], "stem_stride": 3},
        {"architecture": "unet", "widths": [8, 16], "norm": "layer"},
        {"architecture": "unet", "widths": [8, 16], "depth": 4},
    ],
)
def test_an_impossible_network_is_refused_by_name(config: dict[str, Any]) -> None:
    """The message names the available choices."""
    with pytest.raises(InputError, match=r"vgg|widths|stem stride|layer|depth"):
        build_model(config, 3)


def test_folding_batch_norms_keeps_the_answer() -> None:
    """The folded net has no norm left and gives the same logits."""
    torch.manual_seed(1)
    net = UNet(3, (4, 8), 2, residual=True)
    for _ in range(3):
        net(torch.rand(4, 1, 32, 32) * 255)  # moves the running statistics away from 0 and 1
    net.eval()
    frames = torch.rand(1, 1, 32, 48) * 255
    with torch.inference_mode():
        before = net(frames).clone()
        after = fold_batch_norms(net)(frames)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())


@pytest.mark.parametrize("map_stride", [1, 2, 4])
def test_the_contract_gives_kind_without_normal_and_score_of_all_defects(map_stride: int) -> None:
    """kind is the arg-max over 1..K even where normal wins; score is 255·(1 − p(normal)), rounded."""
    torch.manual_seed(1)
    net = UNet(4, (4, 8), 4).eval()
    frames = torch.randint(0, 256, (2, 48, 64), dtype=torch.uint8)
    kind, score = InspectionNet(net, 48, 64, map_stride)(frames)
    assert kind.shape == score.shape == (2, 48 // map_stride, 64 // map_stride)
    assert kind.dtype == score.dtype == torch.uint8
    assert kind.min() >= 1
    assert kind.max() <= 3
    logits = net(frames[:, None].float())
    logits = functional.interpolate(logits, kind.shape[1:], mode="bilinear") if map_stride < 4 else logits
    expected = torch.round(255 * (1 - logits.softmax(1)[:, 0]))
    torch.testing.assert_close(score.float(), expected, atol=1.0, rtol=0)


def test_the_map_stride_is_the_coarsest_that_fits() -> None:
    """Small defects, and frames that 4 does not divide, get a finer one; an impossible wish is refused."""
    assert choose_map_stride(4, 256, 1600, None) == 4
    assert choose_map_stride(4, 102, 100, None) == 2
    assert choose_map_stride(2, 101, 100, None) == 1
    assert [choose_map_stride(4, 256, 1600, None, area_px) for area_px in (256, 255, 63, 5)] == [4, 2, 1, 1]
    assert choose_map_stride(4, 256, 1600, 4, 5) == 4
    with pytest.raises(InputError, match="this network allows 1, 2"):
        choose_map_stride(2, 256, 1600, 4)
    with pytest.raises(InputError, match="does not divide frames of 101×100"):
        choose_map_stride(4, 101, 100, 4)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    """One cycle: a twenty-fifth at the start, the peak early, next to nothing at the end."""
    rates = [one_cycle(done / 100) for done in range(101)]
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 15
    assert rates[-1] < 1e-3
    assert one_cycle(1.5) == rates[-1]
