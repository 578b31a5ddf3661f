"""Frames of any size become frames of one size, and settings follow what the frames show."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.errors import InputError
from tests.support.labelled import write_label_maps
from trainer.cli import main
from trainer.data.fit import Fit, usual_size
from trainer.data.formats import open_dataset
from trainer.data.frames import load_frames
from trainer.models import PRESETS
from trainer.training import choices
from trainer.training.choices import follow_data, traits_of
from trainer.training.settings import TrainSettings
from trainer.training.training_data import TrainingData, load_training_data


@given(st.integers(8, 70), st.integers(8, 70), st.integers(8, 40), st.integers(8, 40))
def test_tiles_cover_every_pixel_and_stay_in_the_frame(height: int, width: int, tall: int, wide: int) -> None:
    """A frame smaller than a tile is mirrored at its edges, its label with it."""
    fit = Fit("tile", tall, wide)
    frame = (np.arange(height * width) % 251).astype(np.uint8).reshape(height, width)
    seen = np.zeros((height, width), np.bool_)
    for top, left in fit.windows(height, width):
        tile, label = fit.apply(frame, frame // 2, (top, left))
        assert tile.shape == label.shape == (tall, wide)
        np.testing.assert_array_equal(label, tile // 2)
        inside = tile[: min(tall, height), : min(wide, width)]
        np.testing.assert_array_equal(inside, frame[top : top + tall, left : left + wide])
        seen[top : top + tall, left : left + wide] = True
    assert seen.all()


def test_scaling_keeps_the_numbers_of_the_classes() -> None:
    """No class appears between two others."""
    label = np.zeros((40, 60), np.uint8)
    label[10:30, 20:40] = 3
    _, scaled = Fit("resize", 25, 32).apply(label, label, (0, 0))
    assert set(np.unique(scaled)) == {0, 3}


def test_the_usual_size_is_the_most_frequent_or_holds_most_frames_whole() -> None:
    """Nine of ten heights and widths, rounded up to 16; the medians, rounded down, where that is far too large."""
    assert usual_size([(200, 200)] * 5 + [(90, 70)]) == (200, 200)
    assert usual_size([(100 + i, 200 + 2 * i) for i in range(21)]) == (128, 240)
    assert usual_size([(100 + i, 200) for i in range(14)] + [(900 + i, 4000) for i in range(6)]) == (96, 192)


def test_what_is_mirrored_does_not_count_as_a_defect() -> None:
    """The choices that follow the data measure the frame's own part of a tile."""
    fit = Fit("tile", 64, 64)
    assert fit.filled(40, 50, (0, 0)) == (40, 50)
    assert fit.filled(100, 130, (36, 66)) == (64, 64)
    assert Fit("resize", 64, 64).filled(40, 50, (0, 0)) == (64, 64)


def _mixed(root: Path) -> Path:
    """Labelled frames, every one of another size."""
    write_label_maps(root, frames=12)
    for index, path in enumerate(sorted((root / "images").iterdir())):
        for folder in ("images", "masks"):
            picture = cv2.imread(str(root / folder / path.name), cv2.IMREAD_UNCHANGED)
            assert picture is not None
            side = cv2.BORDER_REFLECT
            cv2.imwrite(
                str(root / folder / path.name), cv2.copyMakeBorder(picture, 0, 5 * index, 0, 3 * index, side)
            )
    return root


def test_frames_of_many_sizes_are_checked_split_and_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Check-data remarks on them in one line; tiles of a frame stay in its part; split takes the same data."""
    root = _mixed(tmp_path / "d")
    assert main(["check-data", str(root)]) == 0
    shown = capsys.readouterr().out
    assert "are not 128×144 px: `trainer train` cuts them into tiles" in shown
    assert "and 8 other sizes" in shown
    assert main(["split", str(root), "--out", str(tmp_path / "s.json")]) == 0
    settings = TrainSettings(data=root, out=tmp_path, model={}, epochs=1, val=0.3)
    assert load_training_data(settings, resume=False).fit == Fit("tile", 128, 144)
    (tmp_path / "split.json").unlink()
    settings = settings.model_copy(update={"frame": (96, 112)})
    data = load_training_data(settings, resume=False)
    assert data.loaded.size == (96, 112)
    assert len(data.loaded) > 12
    parts = [{data.loaded.frame_names[index] for index in part} for part in (data.train, data.val)]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == set(open_dataset(root).names)
    assert sorted([*data.train, *data.val]) == list(range(len(data.loaded)))
    assert set(json.loads((tmp_path / "split.json").read_text())["train"]) == parts[0]
    scaled = load_training_data(settings.model_copy(update={"fit": "resize", "frame": (64, 80)}), resume=False)
    assert scaled.loaded.frames.shape == (12, 64, 80)


def test_without_a_policy_two_sizes_are_refused_with_a_way_on(tmp_path: Path) -> None:
    """Where one size is needed."""
    root = _mixed(tmp_path / "d")
    dataset = open_dataset(root)
    with pytest.raises(InputError, match="--fit tile cuts them, --fit resize scales them"):
        load_frames(dataset, dataset.names)


def test_frames_too_small_for_a_network_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are refused in one line."""
    root = write_label_maps(tmp_path / "d", frames=4)
    for folder in ("images", "masks"):
        for path in (root / folder).iterdir():
            cv2.imwrite(str(path), np.eye(6, dtype=np.uint8))
    assert main(["check-data", str(root)]) == 1
    assert "frame is 6×6 px: needs at least 8 px each way" in capsys.readouterr().out
    dataset = open_dataset(root)
    with pytest.raises(InputError, match="needs at least 8 px each way"):
        load_frames(dataset, dataset.names)


def _data(tmp_path: Path, side: int, share_defective: float, size: tuple[int, int]) -> TrainingData:
    """Frames of which some show one square defect of this side."""
    root = tmp_path / f"{side}-{share_defective}"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    random = np.random.default_rng(1)
    for index in range(20):
        frame = random.integers(90, 150, size).astype(np.uint8)
        label = np.zeros(size, np.uint8)
        if index < 20 * share_defective:
            label[20 : 20 + side, 30 : 30 + side] = 1
        cv2.imwrite(str(root / "images" / f"{index:02}.png"), frame)
        cv2.imwrite(str(root / "masks" / f"{index:02}.png"), label)
    settings = TrainSettings(data=root, out=root, model={}, epochs=1, val=0.2)
    return load_training_data(settings, resume=False)


def test_small_rare_defects_get_small_crops_and_more_weight(tmp_path: Path) -> None:
    """As magnetic tile needs it; large frequent ones keep the usual settings; what was stated stays."""
    settings = TrainSettings(data=tmp_path, out=tmp_path, model={})
    small = _data(tmp_path, 8, 0.5, (300, 600))
    chosen, reasons = follow_data(settings, small, traits_of(small, 2))
    assert (chosen.crop, chosen.loss, chosen.class_weighting, chosen.balanced) == (
        (128, 128),
        "ce+lovasz",
        0.25,
        0.75,
    )
    assert chosen.epochs is not None
    assert chosen.epochs * (len(small.train) // 16) >= 400
    assert len(reasons) == 6
    assert "64 px (median)" in reasons[0]
    large = _data(tmp_path, 100, 0.9, (200, 200))
    chosen, _ = follow_data(settings, large, traits_of(large, 2))
    assert (chosen.crop, chosen.loss) == ((200, 200), "ce+dice")
    assert (chosen.class_weighting, chosen.balanced) == (0.0, 0.5)
    assert traits_of(large, 2).median_px[1] == 10_000
    stated = TrainSettings(
        data=tmp_path,
        out=tmp_path,
        model={},
        crop=(96, 96),
        loss="ce",
        class_weighting=0.1,
        balanced=0.0,
        minutes=1,
    )
    assert follow_data(stated, small, traits_of(small, 2))[0] == stated


@pytest.mark.parametrize(
    ("more", "weights", "preset", "why"),
    [
        ({}, True, "pretrained", "are few, so the encoder starts from ImageNet weights"),
        ({}, False, "fast", "--preset pretrained learns more from them: pip install"),
        ({"encoder_weights": "w.pth"}, False, "pretrained", "ImageNet weights"),
        ({"target": "binary"}, True, "fast", "the usual network"),
        ({"init": "model"}, True, "fast", "the usual network"),
    ],
)
def test_few_defective_frames_get_a_pretrained_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], weights: bool, preset: str, why: str
) -> None:
    """If its weights are there; the preset's own batch and rate come with it, unless others are stated."""
    monkeypatch.setattr(choices, "has_weights", lambda: weights)
    settings = TrainSettings(data=tmp_path, out=tmp_path, **more)
    data = _data(tmp_path, 8, 0.5, (300, 600))
    chosen, reasons = follow_data(settings, data, traits_of(data, 2))
    assert chosen.network == PRESETS[preset]
    assert why in reasons[1]
    assert chosen.batch == (8 if preset == "pretrained" else 16)
    assert chosen.loss == "ce+lovasz", "defects are rare, whatever the network"
    assert follow_data(settings.model_copy(update={"batch": 4}), data, traits_of(data, 2))[0].batch == 4
    monkeypatch.setattr(choices, "FEW_DEFECTIVE", 5)
    chosen, reasons = follow_data(settings, data, traits_of(data, 2))
    assert chosen.network == PRESETS["fast"]
    assert "are enough to learn from random weights" in reasons[1]
