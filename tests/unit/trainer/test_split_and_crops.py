"""How frames are divided, and how batches are cut from them."""

import json
from pathlib import Path

import numpy as np
import pytest

from inspector.errors import InputError
from trainer.data.crops import CropBatches, CropSettings
from trainer.data.formats import open_dataset
from trainer.data.frames import LoadedFrames
from trainer.data.split import make_split, read_split, write_split


def test_a_split_is_seeded_complete_and_has_every_class_in_both_parts() -> None:
    """A class of three frames among a hundred is in validation, too."""
    names = [str(index) for index in range(100)]
    present = np.zeros((100, 3), np.bool_)
    present[:, 0] = True
    present[:50, 1] = True
    present[:3, 2] = True
    split = make_split(names, present, 0.1, seed=3)
    assert sorted(split["train"] + split["val"], key=int) == names
    assert len(split["val"]) == pytest.approx(10, abs=2)
    for kind in (1, 2):
        assert any(present[int(name), kind] for name in split["val"])
        assert any(present[int(name), kind] for name in split["train"])
    assert split == make_split(names, present, 0.1, seed=3)
    assert split != make_split(names, present, 0.1, seed=4)


def test_a_split_file_may_leave_endings_out(data: Path, tmp_path: Path) -> None:
    """Names are matched by stem where they have no ending."""
    path = tmp_path / "split.json"
    write_split(path, {"train": ["000", "001.png"], "val": ["002"], "test": []})
    split = read_split(path, open_dataset(data))
    assert split["train"] == ["000.png", "001.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train": ["000"], "val": ["x9"]}, r"val: frame 'x9' is not in .*another data set's"),
        ({"train": ["000"], "val": ["000.png"]}, r"frame 000\.png is listed twice \(train and val\)"),
        ({"train": "000"}, r"train must be a list of frame names"),
        (["000"], r"a split file is \{"),
    ],
)
def test_a_split_file_that_does_not_fit_is_refused(
    data: Path, tmp_path: Path, content: object, message: str
) -> None:
    """One line names the file and the frame."""
    path = tmp_path / "split.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_split(path, open_dataset(data))


@pytest.fixture
def coded() -> LoadedFrames:
    """Ten frames whose pixels tell where they are from: row + frame number; a rare defect in frame 7."""
    frames = np.zeros((10, 40, 60), np.uint8) + np.arange(40, dtype=np.uint8)[None, :, None]
    frames = frames + (np.arange(10, dtype=np.uint8) * 20)[:, None, None]
    labels = np.zeros_like(frames)
    labels[7, 33, 50] = 2
    labels[:7, 10:14, 10:20] = 1
    present = np.stack([[True, (label == 1).any(), (label == 2).any()] for label in labels])
    return LoadedFrames([str(i) for i in range(10)], frames, labels, present, [str(i) for i in range(10)])


def test_a_step_always_gives_the_same_crops(coded: LoadedFrames) -> None:
    """Whatever was asked before: that is what makes a resume exact."""
    settings = CropSettings(8, 16, 16, 0.5, seed=5)
    one, other = (CropBatches(coded, np.arange(10), settings) for _ in range(2))
    one.at(0), one.at(41)
    for step in (7, 3):
        for a, b in zip(one.at(step), other.at(step), strict=True):
            np.testing.assert_array_equal(a, b)
    assert (one.at(7)[0] != one.at(8)[0]).any()


def test_the_rarest_class_gets_its_share_of_the_balanced_crops(coded: LoadedFrames) -> None:
    """One pixel in ten frames is in about half of the balanced crops, and in the crop."""
    batches = CropBatches(coded, np.arange(10), CropSettings(20, 16, 16, 1.0, seed=5))
    labels = np.concatenate([batches.at(step)[1] for step in range(20)])
    share = (labels == 2).any(axis=(1, 2)).mean()
    assert 0.4 < share < 0.6
    assert labels.any(axis=(1, 2)).all()


def test_unbalanced_crops_walk_over_every_frame_once_an_epoch(coded: LoadedFrames) -> None:
    """Permutation after permutation, across the borders of batches."""
    batches = CropBatches(coded, np.arange(10), CropSettings(5, 40, 60, 0.0, seed=5))
    assert batches.steps_per_epoch == 2
    for epoch in range(3):
        lowest = [batches.at(2 * epoch + half)[0].min(axis=(1, 2)) for half in range(2)]
        assert sorted(np.concatenate(lowest).tolist()) == [20 * index for index in range(10)]


def test_labels_are_turned_with_their_crops() -> None:
    """Where the frame is dark the label says 1, mirrored and transposed or not."""
    random = np.random.default_rng(1)
    labels = (random.random((6, 24, 24)) < 0.3).astype(np.uint8)
    frames = np.where(labels, 10, 200).astype(np.uint8)
    data = LoadedFrames(list("abcdef"), frames, labels, np.ones((6, 2), np.bool_), list("abcdef"))
    crops, kinds = CropBatches(data, np.arange(6), CropSettings(64, 16, 16, 0.5, seed=1)).at(0)
    np.testing.assert_array_equal(crops == 10, kinds == 1)
