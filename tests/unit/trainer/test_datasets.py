"""The layouts of labelled data, whole and damaged."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from inspector.errors import InputError
from tests.support import drawn
from tests.support.labelled import HEIGHT, WIDTH, make_labelled, write_coco, write_label_maps, write_severstal
from trainer.data.formats import open_dataset
from trainer.data.frames import load_frames


@pytest.mark.parametrize("old_spelling", [False, True])
def test_severstal_labels_survive_either_spelling_of_the_table(tmp_path: Path, old_spelling: bool) -> None:
    """Every label comes back as drawn, frames without a mask as normal."""
    dataset = open_dataset(write_severstal(tmp_path / "d", old_spelling=old_spelling))
    assert dataset.classes == ("normal", "class_1", "class_2", "class_3", "class_4")
    loaded = load_frames(dataset, dataset.names)
    assert len(loaded) == 8
    for index in range(8):
        frame, label = make_labelled(index)
        np.testing.assert_array_equal(loaded.frames[index], frame)
        np.testing.assert_array_equal(loaded.labels[index], label)


def _append(text: str) -> Callable[[Path], object]:
    def damage(root: Path) -> None:
        with (root / "train.csv").open("a") as file:
            file.write(text)

    return damage


def _write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_append("nowhere.png,1,1 4\n"), r"train\.csv: row 8: image nowhere\.png is not in"),
        (_append("000.png,5,1 4\n"), r"row 8: class 5 is out of range 1\.\.4"),
        (_append("000.png,x,1 4\n"), r"row 8: class must be a whole number, got 'x'"),
        (_append("000.png,1,7190 40\n"), r"row 8 \(000\.png, class 1\): .*runs over the frame"),
        (
            _append("001.png,3,1 7200\n"),
            r"row 8 \(001\.png, class 3\): overlaps row 2 \(001\.png, class 1\) in 400 px",
        ),
        (_append("000.png,1,1 2 3\n"), r"row 8 \(000\.png, class 1\): .*pairs"),
        (_append("001.png,1,1 4\n"), r"row 8: a second mask of class 1 for 001\.png"),
        (_append("000.png,1"), r"row 8: must have 3 cells, got 2"),
        (_write("train.csv", b"image,runs\n"), r"row 1: columns must be ImageId,ClassId,EncodedPixels or"),
        (_write("train_images/000.png", b"not a picture"), r"000\.png: not a JPEG, PNG, BMP, TIFF, WebP or PGM"),
        (_write("classes.json", b'["normal"]'), r"classes\.json: must name 2 to 256 different classes"),
        (_write("classes.json", b'{"a": 1}'), r"classes\.json: must be a JSON list"),
    ],
)
def test_a_damaged_severstal_folder_is_named_by_file_and_row(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    """One line says what is wrong, and where."""
    root = write_severstal(tmp_path / "d", old_spelling=False)
    damage(root)
    with pytest.raises(InputError, match=message):
        load_frames(dataset := open_dataset(root), dataset.names)


def _mask(array: np.ndarray) -> Callable[[Path], object]:
    return lambda root: cv2.imwrite(str(root / "masks" / "001.png"), array)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_mask(np.zeros((HEIGHT, WIDTH + 1), np.uint8)), rf"masks/001\.png: mask is {HEIGHT}×{WIDTH + 1} px but"),
        (_mask(np.full((HEIGHT, WIDTH), 9, np.uint8)), r"masks/001\.png: label map holds 9 but the classes are 0"),
        (_mask(np.zeros((HEIGHT, WIDTH, 3), np.uint8)), r"masks/001\.png: a label map must be an 8-bit grey"),
        (_write("masks/001.png", b""), r"masks/001\.png: not a PNG"),
        (lambda root: (root / "masks" / "001.png").unlink(), r"images/001\.png: no mask 001\.png"),
        (lambda root: (root / "images" / "001.png").unlink(), r"masks/001\.png: no image 001"),
        (_write("images/001.jpg", b"x"), r"images/001\.png: shares its mask with 001\.jpg"),
    ],
)
def test_a_damaged_label_map_folder_is_named_by_file(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    """One line says what is wrong, and where."""
    root = write_label_maps(tmp_path / "d", frames=4)
    damage(root)
    with pytest.raises(InputError, match=message):
        load_frames(dataset := open_dataset(root), dataset.names)


def test_a_palette_mask_is_read_as_class_numbers_not_colours(tmp_path: Path) -> None:
    """Labelling tools save label maps with a display palette."""
    root = write_label_maps(tmp_path / "d", frames=4)
    label = make_labelled(1)[1]
    image = Image.fromarray(label, "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(root / "masks" / "001.png")
    np.testing.assert_array_equal(open_dataset(root).label("001.png", label.shape), label)


def test_without_classes_json_the_masks_tell_how_many_there_are(tmp_path: Path) -> None:
    """The highest number in any mask counts."""
    root = write_label_maps(tmp_path / "d", frames=4)
    (root / "classes.json").unlink()
    assert open_dataset(root).classes == ("normal", "class_1", "class_2")


def test_frames_of_two_sizes_are_refused(tmp_path: Path) -> None:
    """An engine takes one size; the message names both frames."""
    root = write_label_maps(tmp_path / "d", frames=4)
    small = np.zeros((HEIGHT // 2, WIDTH), np.uint8)
    for folder in ("images", "masks"):
        cv2.imwrite(str(root / folder / "002.png"), small)
    with pytest.raises(InputError, match=r"002\.png: frame is 36×100 px but 000\.png is 72×100"):
        load_frames(dataset := open_dataset(root), dataset.names)


def test_without_classes_json_values_above_a_gap_are_refused(tmp_path: Path) -> None:
    """A black-and-white mask of 0 and 255 is not a data set of 255 classes."""
    root = write_label_maps(tmp_path / "d", frames=4)
    (root / "classes.json").unlink()
    cv2.imwrite(str(root / "masks" / "002.png"), np.full((HEIGHT, WIDTH), 255, np.uint8))
    dataset = open_dataset(root)
    assert dataset.classes == ("normal", "class_1", "class_2")
    with pytest.raises(InputError, match=r"masks/002\.png: label map holds 255 but the classes are 0\.\.2"):
        dataset.label("002.png", (HEIGHT, WIDTH))


def test_what_an_interrupted_download_leaves_is_called_by_its_name(tmp_path: Path) -> None:
    """A zip, half a zip, a table without images, images without a table, a row whose image is gone."""
    root = write_severstal(tmp_path / "d", old_spelling=False)
    whole = Path(shutil.make_archive(str(tmp_path / "severstal"), "zip", root))
    half = tmp_path / "half.zip"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    zipped = tmp_path / "zipped"
    zipped.mkdir()
    (zipped / "train_images.zip").write_bytes(half.read_bytes())
    no_images, no_table = (Path(shutil.copytree(root, tmp_path / name)) for name in ("no_images", "no_table"))
    shutil.rmtree(no_images / "train_images")
    (no_table / "train.csv").unlink()
    (root / "train_images" / "001.png").unlink()
    for path, message in (
        (whole, r"severstal\.zip: is still zipped: unzip it"),
        (half, r"half\.zip: not a whole zip: was the download interrupted\?"),
        (zipped, r"train_images\.zip: not a whole zip"),
        (no_images, r"no_images/train_images: missing, though train\.csv is there"),
        (no_table, r"no_table/train\.csv: missing, though train_images/ is there"),
        (root, r"train\.csv: row 2: image 001\.png is not in train_images/: was the download or the unzipping"),
    ):
        with pytest.raises(InputError, match=message):
            open_dataset(path)


def test_a_folder_without_a_known_layout_says_what_is_needed(tmp_path: Path) -> None:
    """Every layout is named."""
    with pytest.raises(InputError, match=r"no data set here: need train_images/ .* or images/ with masks/"):
        open_dataset(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        open_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "tool", ["labelme", "yolo", "cvat", "via", "labelstudio", "supervisely", "voc", "mvtec", "coco"]
)
def test_labels_of_another_tool_are_named_with_their_import(tmp_path: Path, tool: str) -> None:
    """Instead of a list of layouts that they do not have."""
    if tool == "coco":
        (write_coco(tmp_path) / "annotations.json").rename(tmp_path / "mine.json")
    else:
        getattr(drawn, f"write_{tool}")(tmp_path)
    with pytest.raises(InputError, match=f"looks like labels of {tool}: `trainer import {tool} "):
        open_dataset(tmp_path)


def test_the_digest_tells_contents_apart_and_ignores_order(data: Path) -> None:
    """A split or card can prove which frames it speaks of."""
    dataset = open_dataset(data)
    forward = load_frames(dataset, dataset.names[:4])
    backward = load_frames(dataset, dataset.names[3::-1])
    assert forward.digest() == backward.digest()
    assert forward.digest() != forward.digest([0, 1, 2])
