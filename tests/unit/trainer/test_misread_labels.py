"""Labels that can be read and mean something else: each is refused or said, never trained on in silence."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from inspector.errors import InputError
from tests.support.labelled import (
    HEIGHT,
    WIDTH,
    make_labelled,
    write_coco,
    write_label_maps,
    write_severstal,
)
from trainer.cli import main
from trainer.data.class_order import in_classes, match_classes
from trainer.data.formats import open_dataset
from trainer.data.frames import load_frames
from trainer.data.mask_order import looks_row_major, smoothed_class
from trainer.data.rle import encode
from trainer.training.settings import TrainSettings
from trainer.training.training_data import load_training_data


def _masks(root: Path) -> list[Path]:
    return sorted((root / "masks").iterdir())


def _read(path: Path) -> np.ndarray:
    label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert label is not None
    return label


def _check_refuses(root: Path, capsys: pytest.CaptureFixture[str], says: str) -> None:
    """By check-data (1 or 2) and by split, in words that hold `says`."""
    capsys.readouterr()
    assert main(["check-data", str(root)]) in {1, 2}
    shown = capsys.readouterr()
    assert says in shown.out + shown.err
    assert main(["split", str(root), "--out", str(root.parent / "s.json")]) == 2
    assert says in capsys.readouterr().err


def test_grey_pictures_are_no_label_maps_of_many_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Values 1..255 of a former JPEG."""
    root = write_label_maps(tmp_path / "d", frames=4)
    (root / "classes.json").unlink()
    ramp = (np.arange(HEIGHT * WIDTH) % 256).astype(np.uint8).reshape(HEIGHT, WIDTH)
    for path in _masks(root):
        cv2.imwrite(str(path), ramp)
    _check_refuses(root, capsys, "grey pictures, not label maps of 255 kinds")


def test_smoothed_edges_are_no_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Interpolation draws class 1 between normal and class 2; a thin defect on normal steel is left alone."""
    label = make_labelled(3)[1]
    assert smoothed_class(label) is None
    blurred = cv2.blur(label, (3, 3))
    assert smoothed_class(blurred) == 1  # type: ignore[arg-type]
    thin = np.zeros_like(label)
    thin[:, 20] = 1
    thin[:, 40:60] = 2
    assert smoothed_class(thin) is None
    root = write_label_maps(tmp_path / "d", frames=8)
    for path in _masks(root):
        cv2.imwrite(str(path), cv2.blur(_read(path), (3, 3)))
    assert main(["check-data", str(root)]) == 0  # named classes: a remark
    assert "lies between a lower and a higher one" in capsys.readouterr().out
    (root / "classes.json").unlink()
    _check_refuses(root, capsys, "lies between a lower and a higher one")


@pytest.mark.parametrize("layout", ["masks", "csv", "coco"])
def test_a_list_of_classes_without_normal_is_refused(
    tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would make the first kind of defect the normal class, in every layout."""
    root = tmp_path / "d"
    if layout == "masks":
        write_label_maps(root, frames=4)
    elif layout == "csv":
        write_severstal(root, old_spelling=False)
    else:
        write_coco(root)
    (root / "classes.json").write_text('["pit", "streak", "rust"]')
    _check_refuses(root, capsys, "must be called normal (or background, good, ok …), got 'pit': write [\"normal\"")
    (root / "classes.json").write_text('["pit", "normal", "streak"]')
    _check_refuses(root, capsys, "put 'normal' first")
    (root / "classes.json").write_text('\ufeff["Background", "pit", "streak"]')
    assert open_dataset(root).classes[0] == "Background"


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_frame_that_viewers_turn_is_refused(
    tmp_path: Path, orientation: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its mask was drawn on the turned picture."""
    root = write_label_maps(tmp_path / "d", frames=8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(make_labelled(1)[0])
    (root / "images" / "001.png").unlink()
    image.save(root / "images" / "001.jpg", exif=exif, quality=95)
    _check_refuses(root, capsys, f"001.jpg: its EXIF orientation {orientation} makes viewers")
    exif[0x0112] = 1
    image.save(root / "images" / "001.jpg", exif=exif, quality=95)
    assert open_dataset(root).frame("001.jpg").shape == (HEIGHT, WIDTH)


def test_images_that_a_coco_file_does_not_list_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With their number, one of them, and how to add them as normal frames."""
    root = write_coco(tmp_path / "d")
    document = json.loads((root / "annotations.json").read_text())
    annotated = {annotation["image_id"] for annotation in document["annotations"]}
    document["images"] = [image for image in document["images"] if image["id"] in annotated]
    (root / "annotations.json").write_text(json.dumps(document))
    assert main(["check-data", str(root)]) == 0
    said = "2 image files are not in its list of images and are left out (000.png)"
    shown = capsys.readouterr().out
    assert said in shown
    assert "--unlisted normal" in shown
    assert main(["split", str(root), "--out", str(tmp_path / "s.json"), "--val", "0.3"]) == 0
    assert said in capsys.readouterr().err
    settings = TrainSettings(data=root, out=tmp_path, model={}, epochs=1, val=0.3)
    load_training_data(settings, resume=False)
    assert said in capsys.readouterr().err


def test_runs_along_the_rows_are_recognised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a table and in COCO, by the outline that only the right order makes short."""
    root = write_severstal(tmp_path / "d", old_spelling=False)
    names = [f"{index:03}.png" for index in range(8)]
    with (root / "train.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("ImageId", "ClassId", "EncodedPixels"))
        for index, name in enumerate(names):
            label = make_labelled(index)[1]
            for kind in (1, 2):
                if (label == kind).any():
                    table.writerow((name, kind, encode(np.ascontiguousarray((label == kind).T))))
    _check_refuses(root, capsys, "the runs go along the rows")
    random = np.random.default_rng(1)
    for _ in range(20):
        mask = np.zeros((64, 200), np.uint8)
        for _ in range(5):
            centre = (int(random.integers(200)), int(random.integers(64)))
            cv2.ellipse(
                mask, centre, (int(random.integers(3, 30)), int(random.integers(2, 12))), 30, 0, 360, 1, -1
            )
        right = mask > 0
        assert not looks_row_major(right)
        assert looks_row_major(right.reshape(-1).reshape(200, 64).T)


def test_a_table_that_counts_from_0_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The way on is named."""
    root = write_severstal(tmp_path / "d", old_spelling=False)
    with (root / "train.csv").open("a") as table:
        table.write("000.png,0,1 4\n")
    _check_refuses(root, capsys, "class 0: classes count from 1")


def test_labels_that_count_from_1_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No pixel of any mask is normal."""
    root = write_label_maps(tmp_path / "d", frames=8)
    (root / "classes.json").unlink()
    for path in _masks(root):
        cv2.imwrite(str(path), _read(path) + 1)
    _check_refuses(root, capsys, "no pixel of any frame is normal")


def test_normal_frames_alone_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are refused, also by `train`."""
    root = write_label_maps(tmp_path / "d", frames=8)
    for path in _masks(root):
        cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH), np.uint8))
    _check_refuses(root, capsys, "none of the 8 frames shows a defect")
    options = ["--device", "cpu", "--epochs", "1", "--widths", "4,8"]
    assert main(["train", "--data", str(root), "--out", str(tmp_path / "r"), *options]) == 2
    assert "none of the 8 frames shows a defect" in capsys.readouterr().err


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    """Another order is translated, missing names are allowed, an unknown one is refused."""
    ours = ("normal", "pit", "streak")
    assert match_classes(ours, ours, "m", "d") == ([0, 1, 2], None)
    numbers, note = match_classes(ours, ("normal", "Streak", "pit"), "m", "d")
    assert numbers == [0, 2, 1]
    assert note is not None
    assert match_classes(ours, ("normal", "streak"), "m", "d")[0] == [0, 2]
    twins = ("normal", "pit", "Pit")
    assert match_classes(twins, twins, "m", "d") == ([0, 1, 2], None)
    with pytest.raises(InputError, match="it does not know Pit"):
        match_classes(ours, twins, "m", "d")
    with pytest.raises(InputError, match="it does not know rust"):
        match_classes(ours, ("normal", "pit", "rust"), "m", "d")
    numbers, note = match_classes(ours, ("normal", "class_1", "class_2"), "m", "d")
    assert numbers == [0, 1, 2]
    assert note is not None
    root = write_label_maps(tmp_path / "d", frames=4)
    dataset = open_dataset(root)
    data = load_frames(dataset, dataset.names)
    turned = in_classes(("normal", "streak", "pit"), dataset.classes, data)
    np.testing.assert_array_equal(turned.labels, np.array([0, 2, 1], np.uint8)[data.labels])
    np.testing.assert_array_equal(turned.present, data.present[:, [0, 2, 1]])


def test_hidden_files_are_no_frames(tmp_path: Path) -> None:
    """macOS writes hidden files beside the images."""
    root = write_label_maps(tmp_path / "d", frames=4)
    (root / "images" / "._000.png").write_bytes(b"\0\5\26\7")
    (root / "masks" / "._000.png").write_bytes(b"\0\5\26\7")
    assert open_dataset(root).names == [f"{index:03}.png" for index in range(4)]


def test_faults_come_in_one_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every check of the same folder prints the same, and one kind of fault is a few lines and a count."""
    root = write_label_maps(tmp_path / "d", frames=16)
    for path in _masks(root):
        cv2.imwrite(str(path), np.full((HEIGHT, WIDTH), 255, np.uint8))
    outputs = []
    for _ in range(3):
        assert main(["check-data", str(root), "--json"]) == 1
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] == outputs[2]
    files = [fault["file"] for fault in json.loads(outputs[0])["faults"] if fault["kind"] == "unknown class"]
    assert files == sorted(files)
    assert len(files) == 16
    assert main(["check-data", str(root)]) == 1
    shown = capsys.readouterr().out
    assert shown.count("label map holds 255") == 3
    assert "and 13 more of this kind, unknown class" in shown
    assert "--ignore 255" in shown
