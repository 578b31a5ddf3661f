"""Labels of other tools arrive as they were drawn, and what could mean several things is refused with a way on."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.support import drawn
from tests.support.drawn import FRAMES, NAMES, write_frames, write_masks
from tests.support.labelled import HEIGHT, WIDTH, make_labelled, write_coco, write_severstal
from trainer.cli import main
from trainer.commands.import_labels import NAMES as FORMAT_NAMES
from trainer.data.formats import open_dataset
from trainer.data.importing.formats import READERS
from trainer.data.rle import encode

LOOK_UP = np.array([0, 1, 2], np.uint8)


def _import(name: str, root: Path, out: Path, *options: str) -> None:
    assert main(["import", name, str(root), str(out), *options]) == 0


def _check(out: Path, frames: int = FRAMES, table: tuple[int, ...] = (0, 1, 2)) -> None:
    """Every frame and every label is the one that was drawn; `table` are the numbers of its classes."""
    dataset = open_dataset(out)
    assert len(dataset.names) == frames
    for name in dataset.names:
        index = int(Path(name).stem[:3])
        frame, label = make_labelled(index)
        np.testing.assert_array_equal(dataset.frame(name), frame, err_msg=name)
        np.testing.assert_array_equal(dataset.label(name, label.shape), np.array(table)[label], err_msg=name)


def _refused(capsys: pytest.CaptureFixture[str], out: Path, *command: str) -> str:
    """The one line of a refusal, which leaves no folder."""
    capsys.readouterr()
    assert main(["import", *command, str(out)]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert error.startswith("trainer import: error: ")
    assert not out.exists()
    return error


def test_the_command_names_every_reader() -> None:
    """Its help is written without the libraries that the readers need."""
    assert tuple(READERS) == FORMAT_NAMES


@pytest.mark.parametrize("tool", ["labelme", "yolo", "cvat", "via", "labelstudio", "supervisely", "voc"])
def test_every_tool_s_labels_arrive_as_drawn(tmp_path: Path, tool: str) -> None:
    """Outlines, boxes, bitmaps, run lengths and brushes; the classes have their names."""
    root = tmp_path / "labels"
    root.mkdir()
    getattr(drawn, f"write_{tool}")(root)
    _import(tool, root, tmp_path / "d")
    assert open_dataset(tmp_path / "d").classes == ("normal", *NAMES)
    _check(tmp_path / "d")
    assert main(["check-data", str(tmp_path / "d")]) == 0
    split = tmp_path / "d" / "split.json"
    assert split.exists() == (tool == "voc")
    if tool == "voc":
        stored = json.loads(split.read_text())
        assert [len(stored[part]) for part in ("train", "val", "test")] == [6, 2, 0]


def test_mvtec_frames_keep_apart_under_equal_names(tmp_path: Path) -> None:
    """Its normal frames are called alike in every folder."""
    root = tmp_path / "tile"
    drawn.write_mvtec(root)
    _import("mvtec", root, tmp_path / "d")
    dataset = open_dataset(tmp_path / "d")
    assert dataset.classes == ("normal", *NAMES)
    assert len(dataset.names) == FRAMES
    labels = [dataset.label(name, (HEIGHT, WIDTH)) for name in dataset.names]
    assert sum(not label.any() for label in labels) == 2
    assert sum((label == 1).any() for label in labels) == 4


@pytest.mark.parametrize(
    ("look", "options", "names"),
    [
        (lambda label: label, (), ("class_1", "class_2")),
        (lambda label: label + 1, ("--first", "1"), ("class_1", "class_2")),
        (lambda label: label * 100, ("--value", "100=pit", "--value", "200=streak"), NAMES),
        (lambda label: label, ("--classes", "normal,pit,streak"), NAMES),
        (lambda label: label.astype(np.uint16) * 257, (), ("class_1", "class_2")),
        (lambda label: label.astype(np.uint16) * 1000, ("--value", "1000=pit", "--value", "2000=streak"), NAMES),
        (
            lambda label: np.array([[0, 0, 0], [0, 0, 255], [0, 255, 0]], np.uint8)[label],
            ("--colour", "ff0000=pit", "--colour", "#00ff00=streak"),
            NAMES,
        ),
        (
            lambda label: np.array([[9, 9, 9, 0], [0, 0, 255, 255], [0, 255, 0, 255]], np.uint8)[label],
            ("--colour", "ff0000=pit", "--colour", "00ff00=streak"),
            NAMES,
        ),
        (lambda label: np.dstack([label] * 3), (), ("class_1", "class_2")),
    ],
    ids=["plain", "from 1", "stated", "named", "16-bit white", "16-bit", "colours", "RGBA", "grey as RGB"],
)
def test_masks_of_every_depth_are_read(
    tmp_path: Path, look: Callable[[np.ndarray], np.ndarray], options: tuple[str, ...], names: tuple[str, ...]
) -> None:
    """By values, or by colours."""
    root = tmp_path / "labels"
    write_frames(root / "images")
    write_masks(root / "masks", look)
    _import("masks", root, tmp_path / "d", *options)
    assert open_dataset(tmp_path / "d").classes == ("normal", *names)
    _check(tmp_path / "d")


@pytest.mark.parametrize("suffix", ["_mask", "-label", "_gt", ".jpg", ""])
def test_masks_find_their_images_by_name(tmp_path: Path, suffix: str) -> None:
    """Masks are beside their images with a suffix, or in a separate folder."""
    root = tmp_path / "labels"
    in_one = suffix.startswith(("_", "-"))
    write_frames(root if in_one else root / "img", ".bmp")
    write_masks(root if in_one else root / "Labels", lambda label: label, suffix)
    _import("masks", root, tmp_path / "d")
    _check(tmp_path / "d")


def test_a_folder_of_masks_a_kind_names_the_classes(tmp_path: Path) -> None:
    """Black and white, some of a JPEG; a frame of two kinds has two masks."""
    root = tmp_path / "labels"
    write_frames(root / "images")
    write_masks(root / "masks" / "pit", lambda label: 255 * (label == 1))
    write_masks(root / "masks" / "streak", lambda label: (label == 2).astype(np.uint8))
    _import("masks", root, tmp_path / "d")
    assert open_dataset(tmp_path / "d").classes == ("normal", *NAMES)
    _check(tmp_path / "d")


@pytest.mark.parametrize("layout", ["{kind}/Imgs/{name}.png", "{kind}/masks/{name}.png"])
@pytest.mark.parametrize("white", [255, 1])
def test_folders_name_the_classes_when_stated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str, white: int
) -> None:
    """Masks beside JPEGs, or in a folder of their own inside each kind; the kind of normal frames is no class."""
    root = tmp_path / "labels"
    for number, kind in enumerate(["free", *NAMES]):
        for name in (f"{kind}-{at}" for at in range(3)):
            label = np.zeros((32, 48), np.uint8)
            label[4:20, 8:30] = white * bool(number)
            mask = root / layout.format(kind=kind, name=name)
            image = root / kind / "Imgs" / f"{name}.jpg"
            for path, pixels in ((mask, label), (image, np.full((32, 48), 90 + number, np.uint8))):
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), pixels)
    error = _refused(capsys, tmp_path / "d", "masks", str(root))
    assert f"in the folders {', '.join(NAMES)}: state --by-folder" in error
    _import("masks", root, tmp_path / "d", "--by-folder")
    data = open_dataset(tmp_path / "d")
    assert data.classes == ("normal", *NAMES)
    assert len(data.names) == 9
    for name in data.names:
        found = set(np.unique(data.label(name, (32, 48))).tolist())
        assert found == {"free": {0}, NAMES[0]: {0, 1}, NAMES[1]: {0, 2}}[Path(name).name.split("-")[0]], name
    _import("masks", root, tmp_path / "one", "--value", f"{white}=defect")
    assert open_dataset(tmp_path / "one").classes == ("normal", "defect")


def test_a_mask_without_a_folder_of_a_class_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A picture of the data set's own page is no label."""
    root = tmp_path / "labels"
    for path in ("pit/a", "streak/b", "overview"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / f"{path}.jpg"), np.full((32, 48), 90, np.uint8))
        assert cv2.imwrite(str(root / f"{path}.png"), np.full((32, 48), 255, np.uint8))
    error = _refused(capsys, tmp_path / "d", "masks", str(root), "--by-folder")
    assert "overview.png: lies in no folder that names its class" in error


@pytest.mark.parametrize("white", [255, 1, 128, 65_535])
def test_masks_of_black_and_one_value_know_one_kind(tmp_path: Path, white: int) -> None:
    """Whatever the value is."""
    root = tmp_path / "labels"
    write_frames(root / "images")
    write_masks(root / "masks", lambda label: (label > 0).astype(np.uint16 if white > 255 else np.uint8) * white)
    _import("masks", root, tmp_path / "d")
    assert open_dataset(tmp_path / "d").classes == ("normal", "defect")
    _check(tmp_path / "d", table=(0, 1, 1))


def test_masks_of_a_jpeg_take_the_nearest_stated_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unstated they are refused, with the values that they hold."""
    root = tmp_path / "labels"
    write_frames(root / "images")
    write_masks(root / "masks", lambda label: 255 * (label > 0), ending=".jpg")
    error = _refused(capsys, tmp_path / "d", "masks", str(root))
    assert "different values, such as 0 (" in error
    assert "--value 255=scratch" in error
    _import("masks", root, tmp_path / "d", "--value", "255=pit")
    _check(tmp_path / "d", table=(0, 1, 1))


def test_ignored_pixels_take_the_nearest_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A border without a class around each defect is shared out."""

    def bordered(label: np.ndarray) -> np.ndarray:
        around = cv2.dilate(label, np.ones((3, 3), np.uint8)) != label
        return np.where(around, 255, label).astype(np.uint8)

    root = tmp_path / "labels"
    write_frames(root / "images")
    write_masks(root / "masks", bordered)
    assert "--ignore" in _refused(capsys, tmp_path / "d", "masks", str(root))
    _import("masks", root, tmp_path / "d", "--ignore", "255")
    dataset = open_dataset(tmp_path / "d")
    for index, name in enumerate(dataset.names):
        label = make_labelled(index)[1]
        read = dataset.label(name, label.shape)
        inside = bordered(label) != 255
        np.testing.assert_array_equal(read[inside], label[inside])
        assert set(np.unique(read)) == set(np.unique(label))


def test_colours_without_names_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With how much they cover, and an option that names one."""
    root = tmp_path / "labels"
    write_frames(root / "images")
    write_masks(root / "masks", lambda label: np.array([[0, 0, 0], [0, 0, 255], [0, 255, 0]], np.uint8)[label])
    error = _refused(capsys, tmp_path / "d", "masks", str(root))
    assert "000000 (" in error
    assert "ff0000 (" in error
    assert "--colour" in error


def test_names_that_do_not_pair_are_shown_from_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One example of each, and the way on."""
    root = tmp_path / "labels"
    write_frames(root / "images")
    write_masks(root / "masks", lambda label: label, "_of_today")
    error = _refused(capsys, tmp_path / "d", "masks", str(root))
    assert "masks are such as masks/000_of_today.png, images such as images/000.png" in error


def test_images_without_labels_need_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are normal, or left out, or refused: never lost in silence."""
    root = tmp_path / "labels"
    root.mkdir()
    drawn.write_labelme(root)
    for index in (0, 4):  # the frames without a defect
        (root / f"{index:03}.json").unlink()
    assert "2 of 8 images have no labels, such as 000.png" in _refused(
        capsys, tmp_path / "d", "labelme", str(root)
    )
    _import("labelme", root, tmp_path / "n", "--unlisted", "normal")
    _check(tmp_path / "n")
    _import("labelme", root, tmp_path / "s", "--unlisted", "skip")
    _check(tmp_path / "s", frames=6)
    assert "2 frames without labels left out" in capsys.readouterr().out


def test_coco_in_several_files_keeps_its_parts(tmp_path: Path) -> None:
    """Roboflow's folders, its heading category, text ids, and a byte-order mark."""
    whole = write_coco(tmp_path / "one")
    document = json.loads((whole / "annotations.json").read_text())
    root = tmp_path / "labels"
    for part, own in (("train", range(5)), ("valid", range(5, 7)), ("test", range(7, 8))):
        (root / part).mkdir(parents=True)
        images = [document["images"][index] for index in own]
        for image in images:
            (root / part / image["file_name"]).write_bytes((whole / "images" / image["file_name"]).read_bytes())
        listed = {image["id"] for image in images}
        annotations = [one for one in document["annotations"] if one["image_id"] in listed]
        content = {
            "images": [
                {**image, "id": f"i{image['id']}", "file_name": f"/home/x/{image['file_name']}"}
                for image in images
            ],
            "annotations": [{**one, "image_id": f"i{one['image_id']}"} for one in annotations],
            "categories": [
                {"id": 0, "name": "defects", "supercategory": "none"},
                *({**category, "supercategory": "defects"} for category in document["categories"]),
            ],
        }
        (root / part / "_annotations.coco.json").write_text("\ufeff" + json.dumps(content))
    _import("coco", root, tmp_path / "d")
    assert open_dataset(tmp_path / "d").classes == ("normal", *NAMES)
    _check(tmp_path / "d")
    split = json.loads((tmp_path / "d" / "split.json").read_text())
    assert [len(split[part]) for part in ("train", "val", "test")] == [5, 2, 1]


def test_outlines_that_leave_the_frame_are_cut_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused otherwise, as one line with the number of them."""
    root = write_coco(tmp_path / "labels")
    document = json.loads((root / "annotations.json").read_text())
    for one in document["annotations"]:
        (polygon,) = one["segmentation"]
        if one["category_id"] == 12:  # streaks run from edge to edge
            one["segmentation"] = [
                [value + (9 if at in (5, 7) else -9 if at in (1, 3) else 0) for at, value in enumerate(polygon)]
            ]
    (root / "annotations.json").write_text(json.dumps(document))
    error = _refused(capsys, tmp_path / "d", "coco", str(root))
    assert "2 × outline outside the frame, the first " in error
    assert "--clip" in error
    _import("coco", root, tmp_path / "d", "--clip")
    _check(tmp_path / "d")


def test_overlaps_are_settled_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the smaller region, or by the later one."""
    root = tmp_path / "labels"
    write_frames(root)
    shapes = [
        {"label": "pit", "points": [[10, 10], [40, 10], [40, 40], [10, 40]]},
        {"label": "streak", "points": [[0, 0], [60, 0], [60, 60], [0, 60]]},
    ]
    for index in range(FRAMES):
        (root / f"{index:03}.json").write_text(json.dumps({"shapes": shapes, "imagePath": f"{index:03}.png"}))
    error = _refused(capsys, tmp_path / "d", "labelme", str(root))
    assert "8 × overlapping classes, the first " in error
    assert "--overlap smaller" in error
    for policy, kind in (("smaller", 1), ("later", 2)):
        _import("labelme", root, tmp_path / policy, "--overlap", policy)
        label = open_dataset(tmp_path / policy).label("000.png", (HEIGHT, WIDTH))
        assert label[20, 20] == kind
        assert label[50, 50] == 2


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_turned_frames_arrive_upright_with_their_labels(tmp_path: Path, orientation: int) -> None:
    """The labels were drawn on the picture as viewers show it."""
    root = tmp_path / "labels"
    root.mkdir()
    drawn.write_labelme(root)
    undo = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[0x0112] = orientation
    for path in sorted(root.glob("*.png")):
        with Image.open(path) as image:
            stored = image.transpose(undo[orientation])
        stored.save(path, exif=exif)
    _import("labelme", root, tmp_path / "d")
    _check(tmp_path / "d")


@pytest.mark.parametrize("as_shown", [True, False])
def test_masks_of_turned_frames_tell_how_they_were_drawn(tmp_path: Path, as_shown: bool) -> None:
    """By their size: on the picture as viewers show it, or on the stored rows and columns."""
    root = tmp_path / "labels"
    (root / "images").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    for index in range(FRAMES):
        image = Image.fromarray(make_labelled(index)[0])
        stored = image.transpose(Image.Transpose.ROTATE_90) if as_shown else image
        stored.save(root / "images" / f"{index:03}.png", exif=exif)
    write_masks(root / "masks", lambda label: label)
    _import("masks", root, tmp_path / "d")
    _check(tmp_path / "d")


@pytest.mark.parametrize("ending", [".tif", ".webp", ".bmp"])
def test_other_image_files_are_taken(tmp_path: Path, ending: str) -> None:
    """As they are; those of 16 bits through a stated window."""
    root = tmp_path / "labels"
    (root / "images").mkdir(parents=True)
    for index in range(FRAMES):
        image = Image.fromarray(make_labelled(index)[0])
        image.save(root / "images" / f"{index:03}{ending}", **({"lossless": True} if ending == ".webp" else {}))  # type: ignore[arg-type]
    write_masks(root / "masks", lambda label: label)
    _import("masks", root, tmp_path / "d")
    for name in open_dataset(tmp_path / "d").names:
        assert name.endswith(ending)
        assert (
            np.abs(open_dataset(tmp_path / "d").frame(name).astype(int) - make_labelled(int(name[:3]))[0]).max()
            <= 1
        )


def test_16_bit_images_need_a_window(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the option, once for all frames."""
    root = tmp_path / "labels"
    (root / "images").mkdir(parents=True)
    for index in range(FRAMES):
        drawn.tiff_16(root / "images" / f"{index:03}.tif", index)
    write_masks(root / "masks", lambda label: label)
    error = _refused(capsys, tmp_path / "d", "masks", str(root))
    assert "8 × 16-bit image, the first " in error
    assert "--grey-window LOW HIGH" in error
    _import("masks", root, tmp_path / "d", "--grey-window", "0", str(255 * 16))
    _check(tmp_path / "d")


@pytest.mark.parametrize(("first", "row_major"), [(1, False), (0, False), (1, True)])
def test_a_table_may_count_from_0_or_run_along_rows(tmp_path: Path, first: int, row_major: bool) -> None:
    """As stated."""
    root = write_severstal(tmp_path / "labels", old_spelling=False)
    lines = ["ImageId,ClassId,EncodedPixels"]
    for index in range(FRAMES):
        label = make_labelled(index)[1]
        for kind in (1, 2):
            mask = label == kind
            if mask.any():
                runs = encode(np.ascontiguousarray(mask.T)) if row_major else encode(mask)
                lines.append(f"{index:03}.png,{kind - 1 + first},{runs}")
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    options = [*(["--first", "0"] if first == 0 else []), *(["--row-major"] if row_major else [])]
    _import("severstal", root, tmp_path / "d", *options)
    _check(tmp_path / "d")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("labelme", {"a.json": "{"}, "a.json: not JSON"),
        ("labelme", {"a.json": '{"shapes": [{"label": "x"}], "imagePath": "000.png"}'}, "not written as labelme"),
        ("labelme", {"a.json": '{"shapes": [], "imagePath": "gone.png"}'}, "its image 'gone.png' is missing"),
        ("labelme", {}, "no labels here: looked for labelme's"),
        ("labelstudio", {"p.json": "[]"}, "holds no task: in Label Studio, export"),
        ("cvat", {"a.xml": "<annotations><image"}, "a.xml: not XML"),
        ("cvat", {"a.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a/>'}, "defines entities"),
        ("yolo", {}, "no data.yaml here"),
        ("yolo", {"data.yaml": "names: [pit]", "000.txt": "0 0.5 0.5 0.2 0.2"}, "is a box, not an outline"),
        ("yolo", {"data.yaml": "names: [pit]", "000.txt": "7 0 0 1 0 1 1"}, "class 7 is not in data.yaml"),
        ("voc", {"Annotations/a.xml": "<a/>"}, "hold boxes, not masks"),
        ("mvtec", {}, "no test/ with ground_truth/ here"),
        ("coco", {"a.json": '{"images": [], "annotations": []}'}, "must be COCO"),
        ("masks", {}, "no masks here, only such as 000.png"),
        (
            "via",
            {"v.json": '{"a": {"filename": "000.png", "regions": [{"region_attributes": {}}]}}'},
            "--attribute",
        ),
        ("supervisely", {"ann/000.png.json": "{}"}, "not written as supervisely"),
        (
            "severstal",
            {"train.csv": "ImageId,ClassId,EncodedPixels\nx.png,1,1 2\n"},
            "its image 'x.png' is missing",
        ),
    ],
)
def test_what_is_not_that_format_is_one_line(
    tmp_path: Path, name: str, content: dict[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, and nothing is written."""
    root = tmp_path / "labels"
    write_frames(root)
    for file, text in content.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    assert says in _refused(capsys, tmp_path / "d", name, str(root))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--value", "red=pit"], "--value red=pit: must be a number and a class"),
        (["--colour", "ff00=pit"], "--colour ff00=pit: must be six hex digits"),
        (["--colour", "ff0000="], "names no class"),
        (["--grey-window", "9", "9"], "--grey-window 9 9: needs 0 ≤ LOW < HIGH"),
    ],
)
def test_impossible_options_are_one_line(
    tmp_path: Path, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is read."""
    assert main(["import", "masks", str(tmp_path), str(tmp_path / "d"), *options]) == 2
    assert says in capsys.readouterr().err


def test_names_lie_beside_the_masks_although_a_folder_above_is_named(tmp_path: Path) -> None:
    """classes.json in data/, the import reads the folder above it."""
    root = tmp_path / "labels" / "data"
    _plain_masks(root, (0, 1))
    (root / "classes.json").write_text('["normal", "inclusion"]')
    _import("masks", tmp_path / "labels", tmp_path / "d")
    assert open_dataset(tmp_path / "d").classes == ("normal", "inclusion")


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        ((0, 255), ("--value", "999=a"), "no label marks a defect"),
        ((1, 2, 3), (), "State --first 1"),
    ],
)
def test_labels_that_would_become_another_truth_are_refused(
    tmp_path: Path,
    values: tuple[int, ...],
    options: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A stated value that no pixel has would make every defect sound; labels without 0 may count from 1."""
    _plain_masks(tmp_path / "labels", values)
    assert main(["import", "masks", str(tmp_path / "labels"), str(tmp_path / "d"), *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def _plain_masks(root: Path, values: tuple[int, ...]) -> None:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    random = np.random.default_rng(1)
    for number in range(6):
        grey = random.integers(0, 255, (64, 96), dtype=np.uint8)
        mask = np.full((64, 96), values[0], np.uint8)
        for at, value in enumerate(values[1:]):
            mask[10 + 20 * at : 20 + 20 * at, 10:40] = value
        cv2.imwrite(str(root / "images" / f"{number}.png"), grey)
        cv2.imwrite(str(root / "masks" / f"{number}.png"), mask)
