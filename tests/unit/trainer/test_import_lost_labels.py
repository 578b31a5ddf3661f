"""No label gets lost, lands on another image or becomes another class: what is not clear is refused."""

import base64
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.support.labelled import write_coco
from trainer.cli import main
from trainer.data.formats import open_dataset

HEIGHT, WIDTH = 24, 32
SQUARE = [[4, 4], [12, 4], [12, 12], [4, 12]]
OUTLINE = [value for point in SQUARE for value in point]
Write = Callable[[Path], object]


def picture(path: Path, level: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((HEIGHT, WIDTH), level, np.uint8))


def mask(path: Path, *values: int) -> None:
    """One square for each value, from left to right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    for at, value in enumerate(values):
        label[4:12, 2 + 9 * at : 10 + 9 * at] = value
    assert cv2.imwrite(str(path), label)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def labelme(path: Path, image: str, label: str = "pit", **shape: Any) -> None:
    content = {"imagePath": image, "shapes": [{"label": label, "points": SQUARE, **shape}]}
    text(path, json.dumps(content))


def coco(images: list[str], category: str = "pit") -> dict[str, Any]:
    return {
        "images": [{"id": at, "file_name": name} for at, name in enumerate(images)],
        "categories": [{"id": 1, "name": category}],
        "annotations": [
            {"id": at, "image_id": at, "category_id": 1, "segmentation": [OUTLINE]} for at in range(len(images))
        ],
    }


def task(name: str, *, answers: int = 1, labels: tuple[str, ...] = ("pit",), **region: Any) -> dict[str, Any]:
    points = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in SQUARE]
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    value = {"points": points, "polygonlabels": list(labels)}
    return {
        "id": 7,
        "data": {"image": name},
        "annotations": [{"result": [{"type": "polygonlabels", "value": value, **size, **region}]}] * answers,
    }


def via(*names: str, label: object = "pit") -> str:
    shape = {"name": "polygon", "all_points_x": [4, 12, 12], "all_points_y": [4, 4, 12]}
    attributes = {"kind": label} if label else {}
    region = {"shape_attributes": shape, "region_attributes": attributes}
    return json.dumps({f"{at}": {"filename": name, "regions": [region]} for at, name in enumerate(names)})


def cvat(inner: str, name: str = "a.png") -> str:
    return f'<annotations><image name="{name}" width="{WIDTH}" height="{HEIGHT}">{inner}</image></annotations>'


BOX = '<box label="pit" xtl="4" ytl="8" xbr="20" ybr="12" {}/>'


def imported(name: str, root: Path, out: Path, *options: str) -> dict[str, list[int]]:
    """Image → the classes that its label map shows."""
    assert main(["import", name, str(root), str(out), *options]) == 0
    data = open_dataset(out)
    return {each: np.unique(data.label(each, (HEIGHT, WIDTH))).tolist() for each in data.names}


def refused(capsys: pytest.CaptureFixture[str], name: str, root: Path, out: Path, *options: str) -> str:
    capsys.readouterr()
    assert main(["import", name, str(root), str(out), *options]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert not out.exists()
    return error


@pytest.mark.parametrize(
    ("tool", "files"),
    [
        ("labelme", {"b.json": lambda at: labelme(at, "a.png"), "c.json": lambda at: labelme(at, "x/../a.png")}),
        ("via", {"v.json": lambda at: text(at, via("a.png", "a.png"))}),
        ("labelstudio", {"p.json": lambda at: text(at, json.dumps([task("a.png"), task("/up/0123abcd-a.png")]))}),
        ("cvat", {f"{n}/a.xml": lambda at: text(at, cvat(BOX.format("")))for n in "xy"}),
        ("coco", {f"{n}.json": lambda at: text(at, json.dumps(coco(["a.png"])))for n in "xy"}),
    ],
)  # fmt: skip
def test_an_image_is_labelled_once(
    tmp_path: Path, tool: str, files: dict[str, Write], capsys: pytest.CaptureFixture[str]
) -> None:
    """Else one of its labels would be lost: the message names the label files."""
    root = tmp_path / "labels"
    picture(root / "a.png")
    for name, write in files.items():
        write(root / name)
    error = refused(capsys, tool, root, tmp_path / "d")
    assert f"{root}/a.png: labelled " in error
    assert all(f"{root}/{name}" in error for name in files)


def test_equal_names_in_folders_are_told_apart(tmp_path: Path) -> None:
    """Also if the names with their folders are equal again, or differ only in case."""
    root = tmp_path / "labels"
    names = ["a/1.png", "b/1.png", "a/b_2.png", "a_b/2.png", "c/2.png", "c/b_2.png", "d/x.png", "d/X.png"]
    for at, name in enumerate(names):
        picture(root / name, 90 + at)
    text(root / "all.json", json.dumps(coco(names)))
    found = imported("coco", root, tmp_path / "d")
    assert len({name.lower() for name in found}) == len(names)
    data = open_dataset(tmp_path / "d")
    assert sorted(int(data.frame(name)[0, 0]) for name in found) == list(range(90, 98))


@pytest.mark.parametrize(
    ("tool", "image", "label"),
    [
        ("masks", "{coil}/{n}.jpg", "{coil}/{n}_label.bmp"),
        ("masks", "images/{coil}/{n}.png", "masks/{coil}/{n}.png"),
        ("masks", "{coil}/train/{n}.png", "{coil}/train/Label/{n}_label.png"),
        ("voc", "JPEGImages/{coil}/{n}.png", "SegmentationClass/{coil}/{n}.png"),
    ],
)
def test_masks_pair_by_folder(tmp_path: Path, tool: str, image: str, label: str) -> None:
    """Frames count from 1 in the folder of each coil."""
    root = tmp_path / "labels"
    for at, coil in enumerate(["A", "B"]):
        for number in range(2):
            picture(root / image.format(coil=coil, n=number), 90 + at)
            mask(root / label.format(coil=coil, n=number), *[1, 2][: 1 + at])
    found = imported(tool, root, tmp_path / "d")
    data = open_dataset(tmp_path / "d")
    assert data.classes == ("normal", "class_1", "class_2")
    assert len(found) == 4
    for name, kinds in found.items():
        assert kinds == ([0, 1] if round(int(data.frame(name)[0, 0])) == 90 else [0, 1, 2])


@pytest.mark.parametrize(
    ("images", "masks", "says"),
    [
        (["images/a/1.png", "images/b/1.png"], ["masks/1.png"], "images/a/1.png or to images/b/1.png"),
        (["images/1.png", "images/1.bmp"], ["masks/1.png"], "call it 1.bmp.png"),
        (["images/a/1.png"], ["masks/a/1.png", "masks/b/1.png"], "the first is masks/b/1.png"),
    ],
)
def test_a_mask_that_may_belong_to_two_images_is_refused(
    tmp_path: Path, images: list[str], masks: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With an example of both."""
    for name in images:
        picture(tmp_path / "s" / name)
    for name in masks:
        mask(tmp_path / "s" / name, 255)
    assert says in refused(capsys, "masks", tmp_path / "s", tmp_path / "d")


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("img_dir/train/{n}.jpg", "ann_dir/train/{n}.png"),
        ("train_img/{n}.jpg", "train_lab/{n}.png"),
        ("train/{n}.jpg", "trainannot/{n}.png"),
        ("images/image_{n}.png", "masks/gt_{n}.png"),
        ("images/{n}.png", "masks/{n}_mask_0.png"),
        ("strip{n}_l.png", "strip{n}_l_mask.png"),
        ("{n}.png", "{n}_l.png"),
    ],
)
def test_usual_names_of_masks_are_known(tmp_path: Path, image: str, label: str) -> None:
    """An image called a_l is not a mask unless there is an a."""
    for number in range(2):
        picture(tmp_path / "s" / image.format(n=number))
        mask(tmp_path / "s" / label.format(n=number), 255)
    assert list(imported("masks", tmp_path / "s", tmp_path / "d").values()) == [[0, 1], [0, 1]]


@pytest.mark.parametrize("folders", ["images/{}", "images"])
@pytest.mark.parametrize(
    ("options", "classes"),
    [
        ((), ("class_1", "class_2")),
        (("--classes", "normal,pit,streak"), ("pit", "streak")),
        (("--value", "1=pit", "--value", "2=streak"), ("pit", "streak")),
    ],
)
def test_a_folder_of_label_maps_is_no_class(
    tmp_path: Path, folders: str, options: tuple[str, ...], classes: tuple[str, ...]
) -> None:
    """Their values name the classes, and stated options do."""
    for coil in ("coilA", "train2017"):
        picture(tmp_path / "s" / folders.format(coil) / f"{coil}.png")
        mask(tmp_path / "s" / "masks" / coil / f"{coil}.png", 1, 2)
    found = imported("masks", tmp_path / "s", tmp_path / "d", *options)
    assert open_dataset(tmp_path / "d").classes == ("normal", *classes)
    assert list(found.values()) == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize(
    ("palettes", "says"),
    [
        ([(0, 0, 0, 255, 0, 0), (0, 0, 0, 0, 255, 0)], "1 has the colour 00ff00 in its palette, but ff0000"),
        ([(255, 0, 0, 0, 0, 0)], "0 has the colour ff0000 in its palette, not black"),
    ],
)  # fmt: skip
def test_palettes_that_number_colours_freely_are_refused(
    tmp_path: Path, palettes: list[tuple[int, ...]], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The number of a colour then says nothing: the colours need names."""
    root = tmp_path / "s"
    for number in range(2):
        picture(root / "images" / f"{number}.png")
        mask(root / "masks" / f"{number}.png", 1)
        with Image.open(root / "masks" / f"{number}.png") as stored:
            image = stored.copy()
        image.putpalette(palettes[number % len(palettes)])
        image.save(root / "masks" / f"{number}.png")
    error = refused(capsys, "masks", root, tmp_path / "d")
    assert says in error
    assert "--colour" in error


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"0.txt": "0 .1 .1 .2 .1 .2 .2", "1.jpg.txt": "0 .1 .1 .2 .1 .2 .2"}, "1 label files have no image"),
        ({"0.txt": "0 .1 .1 .2 .1 .2 .2", "9.txt": ""}, "such as labels/9.txt; images/0.png needs labels/0.txt"),
        ({"0.txt": "0 .1 .1 .2 .1 .2 .2 .3"}, "0.txt: line 1: has 7 numbers after the class"),
        ({"0.txt": "0 .1 .1 x .1 .2 .2"}, "0.txt: line 1: holds something else than numbers"),
        ({"0.txt": "0 .1 .1 .2 .15 .18 .3 .08 .25"}, "every row has four corners, as turned boxes have"),
    ],
)
def test_yolo_rows_that_are_no_outlines_are_refused(
    tmp_path: Path, labels: dict[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """So are label files that pair with no image, whose frames would count as normal."""
    root = tmp_path / "s"
    for number in range(2):
        picture(root / "images" / f"{number}.png")
    text(root / "data.yaml", "names: [pit]")
    for name, content in labels.items():
        text(root / "labels" / name, content)
    assert says in refused(capsys, "yolo", root, tmp_path / "d")


def test_yolo_endings_are_read_in_any_case(tmp_path: Path) -> None:
    """And so are four corners if data.yaml says that they are outlines."""
    root = tmp_path / "s"
    picture(root / "images" / "0.png")
    text(root / "labels" / "0.TXT", "0 .1 .1 .5 .15 .48 .6 .08 .55")
    text(root / "data.yaml", "names: [pit]\ntask: segment")
    assert imported("yolo", root, tmp_path / "d") == {"0.png": [0, 1]}


def test_yolo_poses_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their points would be drawn as an outline."""
    picture(tmp_path / "s" / "images" / "0.png")
    text(tmp_path / "s" / "data.yaml", "names: [pit]\nkpt_shape: [3, 2]")
    assert "describes poses (kpt_shape)" in refused(capsys, "yolo", tmp_path / "s", tmp_path / "d")


def _twice(document: dict[str, Any], key: str) -> None:
    document[key].append(dict(document[key][0]) | ({"file_name": "b.png"} if key == "images" else {"name": "x"}))


def _along_rows(document: dict[str, Any]) -> None:
    label = np.zeros((HEIGHT, WIDTH), np.bool_)
    label[4:20, 4:24] = True
    edges = np.flatnonzero(np.diff(label.ravel())) + 1
    counts = np.diff([0, *edges, label.size]).tolist()
    document["annotations"][0]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": counts}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda document: _twice(document, "categories"), "categories must have different ids and names"),
        (lambda document: _twice(document, "images"), "image 0 (b.png): listed twice"),
        (lambda document: document["annotations"][0].update(image_id=9), "image 9 is not in the list"),
        (_along_rows, "the run lengths go along the rows"),
        (lambda document: document["annotations"][0].update(segmentation=[[1, 1, 5, 5]]), "x, y pairs, three"),
        (lambda document: document["images"][0].update(file_name="top-a.png"), "its image 'top-a.png' is missing"),
        (lambda document: document.update(annotations=[{"caption": "a"}]), "holds captions"),
    ],
)  # fmt: skip
def test_coco_is_checked_as_when_it_is_opened(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], None], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ids, orphans, the order of run lengths; --clip is suggested only for outlines that leave the frame."""
    root = tmp_path / "s"
    for name in ("a.png", "b.png"):
        picture(root / name)
    document = coco(["a.png"])
    spoil(document)
    text(root / "a.json", json.dumps(document))
    error = refused(capsys, "coco", root / "a.json", tmp_path / "d", "--unlisted", "skip")
    assert says in error
    assert "--clip" not in error


def test_a_part_without_area_does_not_block_its_region(tmp_path: Path) -> None:
    """Tools leave parts of two corners."""
    document = coco(["a.png"])
    document["annotations"][0]["segmentation"].append([1, 1, 5, 5])
    picture(tmp_path / "s" / "a.png")
    text(tmp_path / "s" / "a.json", json.dumps(document))
    assert imported("coco", tmp_path / "s", tmp_path / "d") == {"a.png": [0, 1]}


@pytest.mark.parametrize("annotated", [True, False])
def test_coco_of_sound_frames_keeps_its_classes(tmp_path: Path, annotated: bool) -> None:
    """A category that is its own supercategory is a class; corrections may leave only frames without a defect."""
    document = coco(["a.png"])
    document["categories"] = [{"id": 1, "name": "pit", "supercategory": "streak"}]
    document["categories"].append({"id": 2, "name": "streak", "supercategory": "streak"})
    document["annotations"] *= annotated
    picture(tmp_path / "s" / "a.png")
    text(tmp_path / "s" / "a.json", json.dumps(document))
    assert imported("coco", tmp_path / "s", tmp_path / "d") == {"a.png": [0, 1] if annotated else [0]}
    assert open_dataset(tmp_path / "d").classes == ("normal", "pit", "streak")


def test_coco_s_own_layout_reads_one_file(tmp_path: Path) -> None:
    """Images lie beside annotations/."""
    picture(tmp_path / "s" / "train2017" / "a.png")
    text(tmp_path / "s" / "annotations" / "instances_train2017.json", json.dumps(coco(["a.png"])))
    file = tmp_path / "s" / "annotations" / "instances_train2017.json"
    assert imported("coco", file, tmp_path / "d") == {"a.png": [0, 1]}


@pytest.mark.parametrize(
    ("tool", "name", "content", "says"),
    [
        ("cvat", "a.xml", cvat("") [:-14] + '<track label="pit"/></annotations>', 'export it as "CVAT for images'),
        ("labelstudio", "p.json", json.dumps([task("a.png", answers=2)]), "task 7 (a.png): has 2 annotations"),
        ("labelstudio", "p.json", json.dumps([task("a.png", labels=("pit", "x"))]), "has the labels pit, x"),
        ("labelstudio", "p.json", json.dumps([task("a.png", image_rotation=90)]), "a picture turned by 90°"),
        ("via", "v.json", via("a.png", label={"pit": True, "x": True}), "region 1 has the classes pit, x"),
        ("labelstudio", "p.json", json.dumps([task("top-a.png")]), "'top-a.png' is missing"),
    ],
)  # fmt: skip
def test_what_the_import_would_drop_is_refused(
    tmp_path: Path, tool: str, name: str, content: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tracks, second opinions, second labels, turned pictures."""
    picture(tmp_path / "s" / "a.png")
    text(tmp_path / "s" / name, content)
    assert says in refused(capsys, tool, tmp_path / "s", tmp_path / "d")


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ({"shape_type": "rectangle", "points": SQUARE[:1]}, "a.json: shape 1 (pit): a rectangle of 1 points"),
        ({"label": "__ignore__"}, "__ignore__ marks pixels without a class"),
        ({"points": None}, "a.json: not written as labelme"),
    ],
)
def test_labelme_shapes_at_fault_are_named(
    tmp_path: Path, shape: dict[str, Any], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With their file; a rectangle of four corners is one."""
    picture(tmp_path / "s" / "a.png")
    labelme(tmp_path / "s" / "a.json", "a.png", **{"shape_type": "rectangle", **shape})
    assert says in refused(capsys, "labelme", tmp_path / "s", tmp_path / "d")
    labelme(tmp_path / "s" / "a.json", "a.png", shape_type="rectangle")
    assert imported("labelme", tmp_path / "s", tmp_path / "d") == {"a.png": [0, 1]}


def test_a_turned_box_is_drawn_turned(tmp_path: Path) -> None:
    """CVAT turns a box clockwise about its middle."""
    picture(tmp_path / "s" / "a.png")
    text(tmp_path / "s" / "a.xml", cvat(BOX.format('rotation="90"')))
    imported("cvat", tmp_path / "s", tmp_path / "d")
    rows, columns = np.nonzero(open_dataset(tmp_path / "d").label("a.png", (HEIGHT, WIDTH)))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 17, 10, 13)


@pytest.mark.parametrize(
    ("look", "options", "classes"),
    [
        ({255}, (), ("defect",)),
        ({100, 255}, ("--value", "100=pit", "--value", "255=streak"), ("pit", "streak")),
        ({1, 255}, (), ("defect",)),
    ],
)
def test_voc_s_255_is_a_class_if_it_is_the_only_one_or_stated(
    tmp_path: Path, look: set[int], options: tuple[str, ...], classes: tuple[str, ...]
) -> None:
    """Else it is the border without a class."""
    picture(tmp_path / "s" / "JPEGImages" / "a.png")
    mask(tmp_path / "s" / "SegmentationClass" / "a.png", *sorted(look))
    found = imported("voc", tmp_path / "s", tmp_path / "d", *options)
    assert open_dataset(tmp_path / "d").classes == ("normal", *classes)
    assert found["a.png"] == list(range(len(classes) + 1))


def test_voc_s_border_colour_has_no_class(tmp_path: Path) -> None:
    """Beside labelmap.txt, which does not list it."""
    picture(tmp_path / "s" / "JPEGImages" / "a.png")
    label = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    label[4:12, 4:12] = (224, 224, 192)
    label[6:10, 6:10] = (200, 0, 0)
    (tmp_path / "s" / "SegmentationClass").mkdir()
    Image.fromarray(label).save(tmp_path / "s" / "SegmentationClass" / "a.png")
    text(tmp_path / "s" / "labelmap.txt", "background:0,0,0::\npit:200,0,0::\nfray:220,220,200::\n")
    assert imported("voc", tmp_path / "s", tmp_path / "d") == {"a.png": [0, 1]}


def test_a_bitmap_with_transparency_is_its_alpha(tmp_path: Path) -> None:
    """As Supervisely decodes it: the colour under it is black."""
    rgba = np.zeros((5, 6, 4), np.uint8)
    rgba[1:4, 1:5, 3] = 255
    data = base64.b64encode(zlib.compress(cv2.imencode(".png", rgba)[1].tobytes())).decode()
    one = {"classTitle": "pit", "geometryType": "bitmap", "bitmap": {"origin": [3, 2], "data": data}}
    picture(tmp_path / "s" / "ds" / "img" / "a.png")
    content = {"size": {"height": HEIGHT, "width": WIDTH}, "objects": [one]}
    text(tmp_path / "s" / "ds" / "ann" / "a.png.json", json.dumps(content))
    imported("supervisely", tmp_path / "s", tmp_path / "d")
    assert np.count_nonzero(open_dataset(tmp_path / "d").label("a.png", (HEIGHT, WIDTH))) == 12


def test_class_names_are_stripped_and_case_twins_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Typed by hand, they would be two classes."""
    for name, label in (("a", "pit"), ("b", " pit ")):
        picture(tmp_path / "s" / f"{name}.png")
        labelme(tmp_path / "s" / f"{name}.json", f"{name}.png", label)
    imported("labelme", tmp_path / "s", tmp_path / "d")
    assert open_dataset(tmp_path / "d").classes == ("normal", "pit")
    labelme(tmp_path / "s" / "b.json", "b.png", "Pit")
    assert "Pit and pit differ only in case" in refused(capsys, "labelme", tmp_path / "s", tmp_path / "e")


@pytest.mark.parametrize("hidden", ["._a.json", ".ipynb_checkpoints/a.json", "._a.xml", "._0.txt", "._data.yaml"])
@pytest.mark.parametrize("tool", ["labelme", "coco", "via", "labelstudio", "cvat", "yolo"])
def test_hidden_files_are_left_alone(tmp_path: Path, tool: str, hidden: str) -> None:
    """macOS's ._ files and Jupyter's copies: labels and images."""
    root = tmp_path / "s"
    picture(root / "a.png")
    picture(root / ".ipynb_checkpoints" / "a-checkpoint.png")
    text(root / hidden, "\x00\x05\x16\x07 Mac OS X")
    if tool == "labelme":
        labelme(root / "a.json", "a.png")
    elif tool == "yolo":
        text(root / "a.txt", "0 .1 .1 .5 .1 .5 .5")
        text(root / "data.yaml", "names: [pit]")
    else:
        content = {
            "coco": json.dumps(coco(["a.png"])),
            "via": via("a.png"),
            "labelstudio": json.dumps([task("a.png")]),
            "cvat": cvat(BOX.format("")),
        }[tool]
        text(root / ("a.xml" if tool == "cvat" else "a.json"), content)
    assert imported(tool, root, tmp_path / "d") == {"a.png": [0, 1]}


def test_label_studio_s_label_beside_a_shape_names_it(tmp_path: Path) -> None:
    """<Labels> beside <Polygon>: two results of one id; and a name quoted as in a URL."""
    one = task("/data/upload/1/0123abcd-a%20%C3%A9.png")
    (shape,) = one["annotations"][0]["result"]
    points = {"points": shape["value"]["points"]}
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    one["annotations"][0]["result"] = [
        {"id": "r1", "type": "polygon", "value": points, **size},
        {"id": "r1", "type": "labels", "value": {**points, "labels": ["pit"]}, **size},
    ]
    picture(tmp_path / "s" / "a é.png")
    text(tmp_path / "s" / "p.json", json.dumps([one]))
    assert imported("labelstudio", tmp_path / "s", tmp_path / "d") == {"a é.png": [0, 1]}


def test_cvat_s_subsets_tell_equal_names_apart(tmp_path: Path) -> None:
    """Each subset's images lie in a folder of its name, which is its part of the split."""
    images = ""
    for subset, box in (("Train", BOX.format("")), ("Validation", "")):
        picture(tmp_path / "s" / "images" / subset / "a.png")
        images += f'<image name="a.png" subset="{subset}" width="{WIDTH}" height="{HEIGHT}">{box}</image>'
    text(tmp_path / "s" / "annotations.xml", f"<annotations>{images}</annotations>")
    found = imported("cvat", tmp_path / "s", tmp_path / "d")
    assert found == {"Train_a.png": [0, 1], "Validation_a.png": [0]}
    assert json.loads((tmp_path / "d" / "split.json").read_text())["val"] == ["Validation_a.png"]


@pytest.mark.parametrize("options", [(), ("--value", "1=pit", "--value", "2=streak")])
def test_a_jpeg_s_neighbouring_values_are_refused(
    tmp_path: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Compression turns some of a class into its neighbour."""
    picture(tmp_path / "s" / "images" / "a.png")
    mask(tmp_path / "s" / "masks" / "a.jpg", 1, 2)
    assert "JPEG" in refused(capsys, "masks", tmp_path / "s", tmp_path / "d", *options)
    mask(tmp_path / "t" / "masks" / "a.jpg", 100, 200)
    picture(tmp_path / "t" / "images" / "a.png")
    stated = ("--value", "100=pit", "--value", "200=streak")
    assert imported("masks", tmp_path / "t", tmp_path / "e", *stated) == {"a.png": [0, 1, 2]}


def test_of_equal_names_the_one_in_the_folder_of_the_label_counts(tmp_path: Path) -> None:
    """Images and labels in separate folders, each with a folder a coil."""
    for at, coil in enumerate(["A", "B"]):
        picture(tmp_path / "s" / "images" / coil / "1.png", 90 + at)
        labelme(tmp_path / "s" / "labels" / coil / "1.json", "1.png", coil)
    found = imported("labelme", tmp_path / "s", tmp_path / "d")
    assert found == {"A_1.png": [0, 1], "B_1.png": [0, 2]}


def test_a_table_along_the_rows_is_recognised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its masks would be stripes: the message names the option."""
    picture(tmp_path / "s" / "train_images" / "a.png")
    runs = " ".join(f"{row * WIDTH + 5} 20" for row in range(4, 20))
    text(tmp_path / "s" / "train.csv", f"ImageId,ClassId,EncodedPixels\na.png,1,{runs}\n")
    assert "state --row-major" in refused(capsys, "severstal", tmp_path / "s", tmp_path / "d")
    assert imported("severstal", tmp_path / "s", tmp_path / "d", "--row-major") == {"a.png": [0, 1]}


def test_via_in_folders_keeps_its_parts(tmp_path: Path) -> None:
    """Mask R-CNN's train/via_region_data.json, of one class without attributes."""
    for part in ("train", "val"):
        picture(tmp_path / "s" / part / f"{part}.png")
        text(tmp_path / "s" / part / "via_region_data.json", via(f"{part}.png", label=None))
    imported("via", tmp_path / "s", tmp_path / "d", "--classes", "normal,balloon")
    assert open_dataset(tmp_path / "d").classes == ("normal", "balloon")
    assert json.loads((tmp_path / "d" / "split.json").read_text())["val"] == ["val.png"]


def test_mvtec_s_masks_may_have_another_ending(tmp_path: Path) -> None:
    """Else its frames would count as unlabelled."""
    picture(tmp_path / "s" / "test" / "pit" / "000.png")
    mask(tmp_path / "s" / "ground_truth" / "pit" / "000.bmp", 255)
    assert imported("mvtec", tmp_path / "s", tmp_path / "d") == {"000.png": [0, 1]}
    assert open_dataset(tmp_path / "d").classes == ("normal", "pit")


def test_an_import_leaves_an_earlier_one_alone(tmp_path: Path) -> None:
    """Its images and masks are no new frames."""
    root = tmp_path / "s"
    picture(root / "a.png")
    labelme(root / "a.json", "a.png")
    imported("labelme", root, root / "data")
    assert imported("labelme", root, tmp_path / "d") == {"a.png": [0, 1]}


def test_frames_in_folders_of_a_coco_set_are_exported_and_combined(tmp_path: Path) -> None:
    """The frames keep apart, a stored split keeps its frames, and no path of the file decides where copies go."""
    names = ["a/1.png", "b/1.png", f"{tmp_path}/s/images/c/1.png"]
    for at, name in enumerate(names):
        path = tmp_path / "s" / "images" / name
        picture(path, 90 + 30 * at)
    text(tmp_path / "s" / "annotations.json", json.dumps(coco(names)))
    text(tmp_path / "split.json", json.dumps({"train": names[:1], "val": names[1:], "test": []}))
    assert main(["export-coco", str(tmp_path / "s"), str(tmp_path / "coco")]) == 0
    assert open_dataset(tmp_path / "coco").names == ["a_1.png", "b_1.png", "c_1.png"]
    other = write_coco(tmp_path / "other")
    for each in (tmp_path / "s", tmp_path / "other"):
        (each / "classes.json").write_text(json.dumps(["normal", "pit", "streak"]))
    split = ["--split", str(tmp_path / "split.json"), "--out", str(tmp_path / "both")]
    assert main(["combine", str(tmp_path / "s"), str(other), *split]) == 0
    stored = json.loads((tmp_path / "both" / "split.json").read_text())
    assert "a_1.png" in stored["train"]
    assert {"b_1.png", "c_1.png"} <= set(stored["val"])
    again = ["--out", str(tmp_path / "again")]
    assert main(["combine", str(tmp_path / "both"), str(other), *again]) == 0


def test_kaggle_s_test_images_have_no_labels(tmp_path: Path) -> None:
    """They are not taken as sound; a frame of train_images/ without a row is, unless it is to be left out."""
    for name in ("train_images/a", "train_images/b", "train_images/c", "test_images/u"):
        picture(tmp_path / "s" / f"{name}.png")
    text(tmp_path / "s" / "train.csv", "ImageId,ClassId,EncodedPixels\na.png,1,100 8\nb.png,1,\n")
    assert imported("severstal", tmp_path / "s", tmp_path / "d") == {"a.png": [0, 1], "b.png": [0], "c.png": [0]}
    less = imported("severstal", tmp_path / "s", tmp_path / "e", "--unlisted", "skip")
    assert less == {"a.png": [0, 1], "b.png": [0]}


YOLO = "0 .1 .2 .4 .2 .4 .5 .1 .5\n"


def test_yolo_s_labels_belong_to_one_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names that differ in case are different names, and a file that fits two images is refused."""
    root = tmp_path / "s"
    text(root / "data.yaml", "names: [pit, scratch]\n")
    for name, kind in (("A", "1"), ("a", "0")):
        picture(root / "images" / f"{name}.png")
        text(root / "labels" / f"{name}.txt", YOLO.replace("0", kind, 1))
    found = imported("yolo", root, tmp_path / "d")
    assert sorted(found.values()) == [[0, 1], [0, 2]]
    assert len(found) == 2
    picture(root / "images" / "a.bmp")
    assert "rename one image and its labels" in refused(capsys, "yolo", root, tmp_path / "e")


@pytest.mark.parametrize(("policy", "pixels"), [("later", 64 - 16), ("smaller", 64 - 16)])
def test_a_region_called_background_cuts_a_hole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], policy: str, pixels: int
) -> None:
    """Like two classes, they need a decision; one around everything hides nothing."""
    whole = '<polygon label="background" points="0,0;31,0;31,23;0,23" z_order="0"/>'
    pit = '<polygon label="pit" points="4,4;12,4;12,12;4,12" z_order="1"/>'
    hole = '<polygon label="background" points="6,6;10,6;10,10;6,10" z_order="2"/>'
    picture(tmp_path / "s" / "a.png")
    text(tmp_path / "s" / "a.xml", cvat(whole + pit))
    assert imported("cvat", tmp_path / "s", tmp_path / "d") == {"a.png": [0, 1]}
    text(tmp_path / "s" / "a.xml", cvat(pit + whole))
    assert imported("cvat", tmp_path / "s", tmp_path / "g", "--overlap", policy) == {"a.png": [0, 1]}, "no eraser"
    text(tmp_path / "s" / "a.xml", cvat(whole + pit + hole))
    assert "a pixel has one class" in refused(capsys, "cvat", tmp_path / "s", tmp_path / "e")
    imported("cvat", tmp_path / "s", tmp_path / "f", "--overlap", policy)
    label = open_dataset(tmp_path / "f").label("a.png", (HEIGHT, WIDTH))
    assert np.count_nonzero(label) == pytest.approx(pixels, abs=18)
    assert not label[8, 8]


def test_mvtec_s_frames_may_have_several_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them count, and one without a frame is refused."""
    root = tmp_path / "s"
    picture(root / "test" / "pit" / "3.png")
    mask(root / "ground_truth" / "pit" / "3_mask.png", 255)
    mask(root / "ground_truth" / "pit" / "3_mask_2.png", 0, 255)
    imported("mvtec", root, tmp_path / "d")
    assert np.count_nonzero(open_dataset(tmp_path / "d").label("3.png", (HEIGHT, WIDTH))) == 2 * 64
    mask(root / "ground_truth" / "pit" / "9_mask.png", 255)
    assert "9_mask.png" in refused(capsys, "mvtec", root, tmp_path / "e")


def test_voc_s_lists_name_frames_with_spaces_and_each_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A frame in two lists is refused, and frames in none are told."""
    root = tmp_path / "s"
    for name in ("strip 1", "strip 2", "b"):
        picture(root / "JPEGImages" / f"{name}.png")
        mask(root / "SegmentationClass" / f"{name}.png", 1)
    text(root / "ImageSets" / "Segmentation" / "train.txt", "strip 1\n\n")
    text(root / "ImageSets" / "Segmentation" / "test.txt", "strip 2 \n")
    imported("voc", root, tmp_path / "d")
    split = json.loads((tmp_path / "d" / "split.json").read_text())
    assert (split["train"], split["test"]) == (["strip 1.png"], ["strip 2.png"])
    assert "1 frame in no part" in capsys.readouterr().out
    text(root / "ImageSets" / "Segmentation" / "val.txt", "strip 1\n")
    assert "a frame has one part" in refused(capsys, "voc", root, tmp_path / "e")


def test_label_studio_s_words_are_no_images_and_no_regions(tmp_path: Path) -> None:
    """A task may have other texts before its image, and a choice for a region."""
    one = task("/data/upload/1/0123abcd-a.png")
    one["data"] = {"coil": "C-17", **one["data"]}
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    one["annotations"][0]["result"].append({"id": "r", "type": "choices", "value": {"choices": ["deep"]}, **size})
    picture(tmp_path / "s" / "a.png")
    text(tmp_path / "s" / "p.json", json.dumps([one]))
    assert imported("labelstudio", tmp_path / "s", tmp_path / "d") == {"a.png": [0, 1]}


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("colour", [False, True])
def test_smoothed_edges_become_no_other_class(tmp_path: Path, ending: str, colour: bool) -> None:
    """A scratch of 200 beside a pit of 100: the scratch has no ring of pit, and each keeps its size."""
    drawn = np.zeros((96, 128), np.uint8)
    drawn[20:60, 20:50], drawn[20:60, 80:110], drawn[70:90, 20:110] = 200, 100, 200
    smooth = cv2.GaussianBlur(drawn, (5, 5), 1.2)
    stored = smooth if not colour else np.stack([np.zeros_like(smooth), smooth // 2, smooth], axis=-1)
    root = tmp_path / "s"
    for folder, pixels in (("images", np.full_like(drawn, 90)), ("masks", stored)):
        (root / folder).mkdir(parents=True)
        assert cv2.imwrite(str(root / folder / f"a.{ending}"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])
    options = (
        ("--colour", "c86400=scratch", "--colour", "643200=pit")
        if colour
        else ("--value", "100=pit", "--value", "200=scratch")
    )
    assert main(["import", "masks", str(root), str(tmp_path / "d"), *options]) == 0
    data = open_dataset(tmp_path / "d")
    label = data.label(data.names[0], drawn.shape)
    pit, scratch = data.classes.index("pit"), data.classes.index("scratch")
    assert not (label[:, :70] == pit).any()
    for kind, value in ((pit, 100), (scratch, 200)):
        assert np.count_nonzero((label == kind) != (drawn == value)) < 60


def test_a_thin_smoothed_line_is_kept(tmp_path: Path) -> None:
    """No pixel of it has its stated value."""
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn[10:12, 4:28] = 100
    root = tmp_path / "s"
    picture(root / "images" / "a.png")
    (root / "masks").mkdir()
    assert cv2.imwrite(str(root / "masks" / "a.png"), cv2.GaussianBlur(drawn, (5, 5), 1.0))
    found = imported("masks", root, tmp_path / "d", "--value", "100=pit", "--value", "200=scratch")
    assert found == {"a.png": [0, 1]}


def test_a_table_of_other_columns_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Semicolons make one column of three."""
    picture(tmp_path / "s" / "train_images" / "a.png")
    text(tmp_path / "s" / "train.csv", "ImageId;ClassId;EncodedPixels\na.png;1;100 8\n")
    assert "with commas between" in refused(capsys, "severstal", tmp_path / "s", tmp_path / "d")


def test_two_entries_of_coco_do_not_share_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two coils with equal names, of which one was copied: the labels of one would lie on the other's picture."""
    picture(tmp_path / "s" / "images" / "1.png")
    text(tmp_path / "s" / "annotations.json", json.dumps(coco(["kos01/1.png", "kos02/1.png"])))
    main(["check-data", str(tmp_path / "s")])
    assert "the files that they find must differ" in "".join(capsys.readouterr())


def test_a_stray_value_costs_no_thin_region(tmp_path: Path) -> None:
    """A line of one pixel beside another class, and a pixel of no class far away."""
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn[10:20, 4:24], drawn[9, 4:24], drawn[0, 31] = 200, 100, 7
    root = tmp_path / "s"
    picture(root / "images" / "a.png")
    (root / "masks").mkdir()
    assert cv2.imwrite(str(root / "masks" / "a.png"), drawn)
    assert (
        main(["import", "masks", str(root), str(tmp_path / "d"), "--value", "100=pit", "--value", "200=patch"])
        == 0
    )
    label = open_dataset(tmp_path / "d").label("a.png", (HEIGHT, WIDTH))
    assert np.bincount(label.ravel()).tolist()[1:] == [20, 200]
