"""`trainer combine`: the old data and the new become one set, and held-out frames stay held out."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.labelled import make_labelled, write_label_maps
from trainer.cli import main
from trainer.data.corrections import read_corrections
from trainer.data.formats import open_dataset


def write_set(root: Path, frames: list[tuple[np.ndarray, np.ndarray]], classes: list[str]) -> Path:
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index, (pixels, label) in enumerate(frames):
        cv2.imwrite(str(root / "images" / f"{index:03}.png"), pixels)
        cv2.imwrite(str(root / "masks" / f"{index:03}.png"), label)
    (root / "classes.json").write_text(json.dumps(classes))
    return root


def textured(index: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame that no other one looks like."""
    pixels, label = make_labelled(index)
    texture = cv2.resize(np.random.default_rng(index).integers(0, 60, (9, 12), dtype=np.uint8), pixels.shape[::-1])
    return np.clip(pixels.astype(int) // 2 + texture, 0, 255).astype(np.uint8), label


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write_set(tmp_path / "old", [textured(n) for n in range(16)], ["normal", "pit", "streak"])


def write_split_of_fourteen(folder: Path) -> None:
    """Twelve frames of `old` to train on, one to validate, one to test; it does not name the last two."""
    split = {"train": [f"{n:03}.png" for n in range(12)], "val": ["012.png"], "test": ["013.png"]}
    (folder / "split.json").write_text(json.dumps(split))


def combine_by_split(folder: Path, *options: str) -> None:
    """`old` and `new` become `both`, by the split of `old`."""
    sets = [str(folder / "old"), str(folder / "new")]
    split = ["--split", str(folder / "split.json")]
    assert main(["combine", *sets, *split, "--out", str(folder / "both"), *options]) == 0


def test_held_out_frames_stay_held_out(old: Path, tmp_path: Path) -> None:
    """The old test part is the new one; a new frame that repeats one of it is left out, and said."""
    assert main(["split", str(old), "--val", "0.25", "--test", "0.25", "--out", str(tmp_path / "split.json")]) == 0
    split = json.loads((tmp_path / "split.json").read_text())
    held = int(Path(split["test"][0]).stem)
    new = write_set(tmp_path / "new", [textured(n) for n in (*range(40, 48), held)], ["normal", "pit", "streak"])
    corrections = {
        "schema_version": 1,
        "corrections": [
            {"images": [f"{n:03}.png" for n in range(9)], "answers": {"redraw": 9}, "engines": {"a@1": 9}}
        ],
    }
    (new / "corrections.json").write_text(json.dumps(corrections))
    combine_by_split(tmp_path, "--val", "0.25")
    both = json.loads((tmp_path / "both" / "split.json").read_text())
    assert both["test"] == split["test"]
    assert set(split["val"]) <= set(both["val"])
    assert set(split["train"]) <= set(both["train"])
    dataset = open_dataset(tmp_path / "both")
    assert len(dataset.names) == 16 + 8
    assert "1-008.png" not in dataset.names
    (entry,) = read_corrections(tmp_path / "both")
    assert entry["images"] == [f"1-{n:03}.png" for n in range(8)]
    assert main(["check-data", str(tmp_path / "both")]) == 0


def test_classes_are_matched_by_name(old: Path, tmp_path: Path) -> None:
    """Another order of the same classes becomes the first data set's; an unknown class is refused."""
    swapped = [(pixels, np.array([0, 2, 1], np.uint8)[label]) for pixels, label in map(textured, range(40, 44))]
    new = write_set(tmp_path / "new", swapped, ["normal", "streak", "pit"])
    assert main(["combine", str(old), str(new), "--out", str(tmp_path / "both")]) == 0
    dataset = open_dataset(tmp_path / "both")
    for n in range(4):
        assert (dataset.label(f"1-{n:03}.png", (72, 100)) == textured(40 + n)[1]).all()
    odd = write_set(tmp_path / "odd", [textured(50), textured(51)], ["normal", "pit", "rust"])
    assert main(["combine", str(old), str(odd), "--out", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "no").exists()


def test_one_data_set_is_nothing_to_combine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error says what is missing."""
    data = write_label_maps(tmp_path / "data", 4)
    assert main(["combine", str(data), "--out", str(tmp_path / "both")]) == 2
    assert "name two data sets or more" in capsys.readouterr().err


def test_copies_of_training_frames_stay_in_training(old: Path, tmp_path: Path) -> None:
    """A validation frame whose steel is in training says nothing; and a split that names few frames is told."""
    write_split_of_fourteen(tmp_path)
    copies = [
        (np.clip(pixels.astype(int) + 3, 0, 255).astype(np.uint8), label)
        for pixels, label in map(textured, range(12))
    ]
    write_set(tmp_path / "new", [*copies, *map(textured, range(40, 44))], ["normal", "pit", "streak"])
    combine_by_split(tmp_path, "--val", "0.5")
    both = json.loads((tmp_path / "both" / "split.json").read_text())
    assert {f"1-{n:03}.png" for n in range(12)} <= set(both["train"])
    assert {each for each in both["val"] if each.startswith("1-")} <= {f"1-{n:03}.png" for n in range(12, 16)}
    assert len(both["val"]) > 1


def test_frames_that_the_split_does_not_name_are_told(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They look like nothing: they are in no part."""
    write_split_of_fourteen(tmp_path)
    write_set(tmp_path / "new", [textured(n) for n in range(40, 44)], ["normal", "pit", "streak"])
    combine_by_split(tmp_path)
    told = capsys.readouterr().out
    assert f"left out: 2 frames of {old} that {tmp_path / 'split.json'} does not name" in told
    assert "look like" not in told


def test_without_a_split_look_alikes_of_the_old_set_stay_together(tmp_path: Path) -> None:
    """Five pieces of steel, four pictures of each."""
    frames = [
        (np.clip(textured(steel)[0].astype(int) + light, 0, 255).astype(np.uint8), textured(steel)[1])
        for steel in range(5)
        for light in range(4)
    ]
    old = write_set(tmp_path / "old", frames, ["normal", "pit", "streak"])
    new = write_set(tmp_path / "new", [textured(n) for n in range(40, 44)], ["normal", "pit", "streak"])
    assert main(["combine", str(old), str(new), "--val", "0.4", "--out", str(tmp_path / "both")]) == 0
    both = json.loads((tmp_path / "both" / "split.json").read_text())
    train, val = ({int(each[:3]) // 4 for each in both[part] if "-" not in each} for part in ("train", "val"))
    assert train
    assert val
    assert not train & val
