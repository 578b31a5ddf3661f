"""The vanilla CNN of the comparison."""

from typing import Any

import pytest
import torch

from inspector.errors import InputError
from trainer.models import PRESETS, build_model
from trainer.models.contract import InspectionNet, choose_map_stride


@pytest.mark.parametrize("size", [(64, 96), (50, 72), (16, 16), (37, 61)])
def test_the_cnn_gives_one_decision_a_frame_whatever_its_size(size: tuple[int, int]) -> None:
    """Every place of its map carries the same logits; another frame has its own."""
    torch.manual_seed(1)
    net = build_model(PRESETS["cnn"], 2).eval()
    logits = net(torch.rand(2, 1, *size) * 255)
    assert logits.shape == (2, 2, -(-size[0] // 4), -(-size[1] // 4))
    assert (logits == logits[..., :1, :1]).all()
    assert not torch.equal(logits[0], logits[1])


def test_a_small_spot_weighs_as_much_in_a_wide_frame() -> None:
    """The strongest answer decides: more plain steel around a defect does not thin it out."""
    torch.manual_seed(1)
    net = build_model(PRESETS["cnn"], 2).eval()
    narrow = torch.full((1, 1, 64, 64), 120.0)
    narrow[..., 24:32, 24:32] = 20.0
    wide = torch.full((1, 1, 64, 640), 120.0)
    wide[..., :64] = narrow
    torch.testing.assert_close(net(wide)[..., 0, 0], net(narrow)[..., 0, 0])


def test_the_cnn_keeps_the_engine_contract() -> None:
    """Maps of its decision, so that it can be exported and run on the line like any network."""
    net = build_model(PRESETS["cnn"], 2).eval()
    frames = torch.randint(0, 256, (2, 48, 64), dtype=torch.uint8)
    stride = choose_map_stride(net.map_stride, 48, 64, None)
    kind, score = InspectionNet(net, 48, 64, stride)(frames)
    assert kind.shape == score.shape == (2, 12, 16)
    assert (kind == 1).all()
    assert (score == score[:, :1, :1]).all()


@pytest.mark.parametrize(
    ("config", "classes", "message"),
    [
        ({"architecture": "cnn", "widths": [8]}, 4, "--target binary"),
        ({"architecture": "cnn", "widths": []}, 2, "one or more widths"),
        ({"architecture": "cnn", "widths": [8], "stem_stride": 2}, 2, "does not take these parameters"),
    ],
)
def test_an_impossible_cnn_is_refused(config: dict[str, Any], classes: int, message: str) -> None:
    """With the way out."""
    with pytest.raises(InputError, match=message):
        build_model(config, classes)
