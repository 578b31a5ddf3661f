"""The labelled frames of tests/support/labelled.py, as other tools store them."""

import base64
import json
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.values import Pixels
from tests.support.labelled import HEIGHT, WIDTH, make_labelled

FRAMES = 8
NAMES = ("pit", "streak")


def write_frames(folder: Path, ending: str = ".png") -> list[str]:
    """The frames, and their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{index:03}{ending}" for index in range(FRAMES)]
    for index, name in enumerate(names):
        cv2.imwrite(str(folder / name), make_labelled(index)[0])
    return names


def boxes(index: int) -> list[tuple[str, int, int, int, int]]:
    """Every defect of a frame: class, left, top, right, bottom; each is a rectangle."""
    label = make_labelled(index)[1]
    found = []
    for kind, name in enumerate(NAMES, start=1):
        rows, columns = np.nonzero(label == kind)
        if len(rows):
            found.append((name, int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1))
    return found


def corners(box: tuple[str, int, int, int, int]) -> list[list[float]]:
    _, left, top, right, bottom = box
    return [[float(left), float(top)], [right, top], [right, bottom], [left, bottom]]


def write_labelme(root: Path) -> None:
    """Polygons, and one mask as a bitmap; paths as Windows writes them."""
    for index, name in enumerate(write_frames(root)):
        shapes: list[dict[str, Any]] = []
        for box in boxes(index):
            if index == 1:
                left, top, right, bottom = box[1:]
                filled = np.full((bottom - top, right - left), 255, np.uint8)
                shape = {"shape_type": "mask", "points": [[left, top], [right, bottom]], "mask": _png(filled)}
            else:
                shape = {"shape_type": "polygon", "points": corners(box)}
            shapes.append({"label": box[0], **shape})
        content = {"shapes": shapes, "imagePath": f"C:\\shots\\{name}", "imageHeight": HEIGHT, "imageWidth": WIDTH}
        (root / f"{index:03}.json").write_text("\ufeff" + json.dumps(content))


def write_yolo(root: Path) -> None:
    """Frames without a defect have no file."""
    (root / "labels" / "train").mkdir(parents=True)
    for index, name in enumerate(write_frames(root / "images" / "train")):
        lines = []
        for box in boxes(index):
            numbers = [f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in corners(box)]
            lines.append(f"{NAMES.index(box[0])} {' '.join(numbers)}")
        if lines:
            (root / "labels" / "train" / f"{Path(name).stem}.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text("names:\n  0: pit\n  1: streak\n")


def write_cvat(root: Path) -> None:
    """Polygons, boxes and run lengths."""
    images = []
    for index, name in enumerate(write_frames(root / "images")):
        shapes = ""
        for box in boxes(index):
            label, left, top, right, bottom = box
            width, height = right - left, bottom - top
            if index % 3 == 0:
                shapes += f'<box label="{label}" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}"/>'
            elif index % 3 == 1:
                shapes += (
                    f'<mask label="{label}" rle="0, {width * height}" left="{left}" top="{top}" width="{width}" '
                    f'height="{height}"/>'
                )
            else:
                points = ";".join(f"{x},{y}" for x, y in corners(box))
                shapes += f'<polygon label="{label}" points="{points}"/>'
        images.append(f'<image id="{index}" name="{name}" width="{WIDTH}" height="{HEIGHT}">{shapes}</image>')
    labels = "".join(f"<label><name>{name}</name></label>" for name in NAMES)
    meta = f"<meta><job><labels>{labels}</labels></job></meta>"
    (root / "annotations.xml").write_text(f"<annotations>{meta}{''.join(images)}</annotations>")


def write_via(root: Path) -> None:
    """VIA 2's project."""
    entries = {}
    for index, name in enumerate(write_frames(root)):
        regions = [
            {
                "shape_attributes": {
                    "name": "polygon",
                    "all_points_x": [x for x, _ in corners(box)],
                    "all_points_y": [y for _, y in corners(box)],
                },
                "region_attributes": {"kind": box[0]},
            }
            for box in boxes(index)
        ]
        entries[f"{name}123"] = {"filename": name, "size": 123, "regions": regions}
    (root / "via.json").write_text(json.dumps({"_via_img_metadata": entries}))


def write_labelstudio(root: Path) -> None:
    """Polygons in per cent, rectangles, and brushes; names as an upload has them."""
    tasks = []
    for index, name in enumerate(write_frames(root / "images")):
        results = []
        for box in boxes(index):
            label, left, top, right, bottom = box
            value: dict[str, Any]
            if index % 3 == 0:
                kind = "rectanglelabels"
                value = {"x": 100 * left / WIDTH, "y": 100 * top / HEIGHT, "rotation": 0}
                value |= {"width": 100 * (right - left) / WIDTH, "height": 100 * (bottom - top) / HEIGHT}
            elif index % 3 == 1:
                kind = "brushlabels"
                value = {"format": "rle", "rle": brush(make_labelled(index)[1] > 0)}
            else:
                kind = "polygonlabels"
                value = {"points": [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in corners(box)]}
            size = {"original_width": WIDTH, "original_height": HEIGHT}
            results.append({"type": kind, "value": {**value, kind: [label]}, **size})
        data = {"image": f"/data/upload/1/a1b2c3d4-{name}"}
        tasks.append({"id": index, "data": data, "annotations": [{"was_cancelled": False, "result": results}]})
    (root / "project.json").write_text(json.dumps(tasks))


def brush(mask: np.ndarray) -> list[int]:
    """Label Studio's run lengths of an RGBA picture, all in runs of equal values."""
    values = np.zeros((*mask.shape, 4), np.uint8)
    values[mask] = 255
    flat = values.ravel()
    bits = f"{flat.size:032b}{7:05b}" + "".join(f"{length - 1:04b}" for length in (3, 4, 8, 16))
    borders = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    for start, end in pairwise(borders):
        for at in range(start, end, 1 << 16):
            run = min(end - at, 1 << 16)
            bits += f"1{3:02b}{run - 1:016b}{int(flat[at]):08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def write_supervisely(root: Path) -> None:
    """Polygons and bitmaps."""
    (root / "ds" / "ann").mkdir(parents=True)
    for index, name in enumerate(write_frames(root / "ds" / "img")):
        objects = []
        for box in boxes(index):
            label, left, top, right, bottom = box
            if index % 2:
                filled = np.full((bottom - top, right - left), 255, np.uint8)
                bitmap = {"origin": [left, top], "data": _png(filled, packed=True)}
                objects.append({"classTitle": label, "geometryType": "bitmap", "bitmap": bitmap})
            else:
                points = {"exterior": corners(box), "interior": []}
                objects.append({"classTitle": label, "geometryType": "polygon", "points": points})
        content = {"size": {"height": HEIGHT, "width": WIDTH}, "objects": objects}
        (root / "ds" / "ann" / f"{name}.json").write_text(json.dumps(content))
    (root / "meta.json").write_text(json.dumps({"classes": [{"title": name} for name in NAMES]}))


def write_voc(root: Path) -> None:
    """Coloured masks with CVAT's labelmap.txt, and two lists."""
    write_masks(root / "SegmentationClass", lambda label: np.array([[0, 0, 0], [0, 0, 200], [0, 200, 0]])[label])
    names = write_frames(root / "JPEGImages")
    (root / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\npit:200,0,0::\nstreak:0,200,0::\n"
    )
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(Path(name).stem for name in names[:6]))
    (lists / "val.txt").write_text("\n".join(Path(name).stem for name in names[6:]))


def write_masks(
    folder: Path, look: Callable[[Pixels], np.ndarray], suffix: str = "", ending: str = ".png"
) -> None:
    """One mask a frame, as `look` draws its label."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(FRAMES):
        drawn = look(make_labelled(index)[1])
        drawn = drawn.astype(np.uint8) if drawn.dtype == np.int64 else drawn
        assert cv2.imwrite(str(folder / f"{index:03}{suffix}{ending}"), drawn)


def write_mvtec(root: Path) -> None:
    """Frames by kind; normal frames of train/ and test/ have the same names."""
    for index in range(FRAMES):
        frame, label = make_labelled(index)
        kind = "good" if not label.any() else NAMES[int(label.max()) - 1]
        folder = root / ("train" if index == 0 else "test") / kind
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "000.png" if kind == "good" else folder / f"{index:03}.png"), frame)
        if kind != "good":
            (root / "ground_truth" / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(
                str(root / "ground_truth" / kind / f"{index:03}_mask.png"), 255 * (label > 0).astype(np.uint8)
            )


def _png(picture: Pixels, *, packed: bool = False) -> str:
    content = cv2.imencode(".png", picture)[1].tobytes()
    return base64.b64encode(zlib.compress(content) if packed else content).decode()


def tiff_16(path: Path, index: int) -> None:
    """A frame with 12-bit samples."""
    cv2.imwrite(str(path), make_labelled(index)[0].astype(np.uint16) * 16)
