"""Reads YOLO segmentation: images/ and labels/ of the same shape, and data.yaml."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from inspector.errors import InputError
from inspector.extras import needs_extra
from inspector.numbers import thousands
from trainer.artifacts.extras import EXTRAS
from trainer.data.faults import Complain, Fault
from trainer.data.importing.regions import Region, draw_regions, outline, refusal
from trainer.data.importing.source import (
    Mark,
    Options,
    Size,
    Source,
    SourceFrame,
    files_below,
    images_below,
    part_of,
)

_BOX: Final = 5
"""Words of a line that holds a box."""
_TURNED: Final = 9
"""Words of a line that holds a turned box: its class and four corners."""
_LISTS: Final = frozenset(["train", "val", "valid", "test", "classes", "obj", "readme", "requirements"])
"""Stems, up to the first dot, of .txt files that are no labels."""


def read_yolo(root: Path, options: Options) -> Source:
    """Read YOLO's segmentation labels: a .txt per frame, polygons as shares of the frame; no file means normal."""
    described, about = _description(root)
    listed = about["names"]
    classes = dict(listed.items() if isinstance(listed, dict) else enumerate(listed))
    for key, name in classes.items():
        if not isinstance(key, int) or isinstance(name, bool) or not isinstance(name, str | int):
            raise InputError(f"{described}: names: {key}: {name} must be a number and a text: put it in quotes")
        classes[key] = str(name)
    if about.get("kpt_shape"):
        raise InputError(f"{described}: describes poses (kpt_shape), not outlines: export segmentation labels")
    images = images_below(root)
    files = {path.relative_to(root): path for path in files_below(root, "*") if path.suffix.lower() == ".txt"}
    labels = _paired(images, files, root)
    frames = []
    for image in images:
        file = labels.get(image)
        draw = None if file is None else partial(_yolo_marks, file, classes, options)
        frames.append(SourceFrame(image, file or image, draw, None, part_of(image, root)))
    matched = set(labels.values())
    unmatched = [path for path in files.values() if path not in matched and _holds_labels(path, root)]
    example = f"{images[0].relative_to(root)} needs {_labels_of(images[0].relative_to(root))}"
    if unmatched:
        raise InputError(
            f"{root}: {thousands(len(unmatched))} label files have no image, such as "
            f"{unmatched[0].relative_to(root)}; {example}: rename the files, or add the images"
        )
    labelled = [frame.file for frame in frames if frame.draw is not None]
    if not labelled:
        raise InputError(f"{root}: no image has labels: {example}")
    if about.get("task") != "segment" and _are_turned_boxes(labelled):
        raise InputError(
            f"{labelled[0]}: every row has four corners, as turned boxes have: export segmentation labels, or "
            f"write task: segment into {described.name} if they are outlines"
        )
    names = [classes[key] for key in sorted(classes)]
    return Source(frames, names, are_classes_listed=True, unlabelled_is_normal=True)


def _description(root: Path) -> tuple[Path, dict[str, Any]]:
    """(data.yaml or another .yaml of the folder, its content with names); raises InputError."""
    with needs_extra("YOLO's data.yaml", EXTRAS):
        import yaml
    found = [path for ending in ("*.yaml", "*.yml") for path in files_below(root, ending) if path.parent == root]
    if not found:
        raise InputError(f"{root}: no data.yaml here, which names the classes: add it (names: [scratch, pit])")
    for path in sorted(found, key=lambda path: path.stem != "data"):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
        except (yaml.YAMLError, ValueError) as error:
            raise InputError(f"{path}: not YAML ({error}): add names: [scratch, pit]".replace("\n", " ")) from None
        if isinstance(content, dict) and "names" in content:
            return path, content
    raise InputError(f"{found[0]}: no `names` of classes in it: add names: [scratch, pit]")


def _labels_of(image: Path) -> Path:
    """Return the place of an image's labels; both paths are relative to the root."""
    swapped = ["labels" if part.lower() == "images" else part for part in image.parts[:-1]]
    return Path(*swapped, f"{image.stem}.txt")


def _paired(images: Sequence[Path], files: Mapping[Path, Path], root: Path) -> dict[Path, Path]:
    """Image → its label file; `files` are by their place below the root.

    Where no file is spelled like the image, upper and lower case are one. Raises InputError for a file that
    belongs to two images.
    """
    by_case: dict[str, list[Path]] = {}
    for place, path in files.items():
        by_case.setdefault(str(place).lower(), []).append(path)
    paired: dict[Path, Path] = {}
    image_of: dict[Path, Path] = {}
    for image in images:
        wanted = _labels_of(image.relative_to(root))
        alike = by_case.get(str(wanted).lower(), [])
        file = files.get(wanted) or (alike[0] if len(alike) == 1 else None)
        if file is None and alike:
            raise InputError(f"{image}: its labels are {alike[0].name} or {alike[1].name}: rename the files")
        if file is None:
            continue
        if file in image_of:
            first, second = (path.relative_to(root) for path in (image_of[file], image))
            raise InputError(f"{file}: belongs to {first} and to {second}: rename one image and its labels")
        paired[image], image_of[file] = file, image
    return paired


def _holds_labels(path: Path, root: Path) -> bool:
    """Whether a .txt file that pairs with no image is one of labels, not a list or a note."""
    if path.stem.lower().partition(".")[0] in _LISTS:
        return False
    if any(part.lower() == "labels" for part in path.relative_to(root).parts[:-1]):
        return True
    rows = list(_rows(path))
    return bool(rows) and all(len(words) >= _BOX and words[0].isdigit() for _, words in rows)


def _rows(file: Path) -> Iterable[tuple[int, list[str]]]:
    """Yield (line number, words) of every line that is not empty."""
    for number, line in enumerate(file.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        if words := line.split():
            yield number, words


def _are_turned_boxes(files: Iterable[Path]) -> bool:
    """Whether every row has four corners, and one has more than two x: it is no upright rectangle."""
    rows = [words for file in files for _, words in _rows(file)]
    return {len(words) for words in rows} == {_TURNED} and any(len(set(words[1::2])) > 2 for words in rows)


def _yolo_marks(
    file: Path, classes: dict[int, str], options: Options, size: Size, complain: Complain
) -> list[Mark]:
    regions: list[tuple[str, str, Region]] = []
    for number, words in _rows(file):
        where = f"line {number}"
        label = classes.get(int(words[0])) if words[0].isdigit() else None
        if label is None:
            text = f"class {words[0]} is not in data.yaml ({', '.join(map(str, sorted(classes)))})"
            complain(Fault("unknown class", file, text, number, where))
        else:
            regions.append((label, where, _outline(words[1:], size, options)))
    return draw_regions(file, regions, size, complain)


def _outline(words: list[str], size: Size, options: Options) -> Region:
    height, width = size
    if len(words) == _BOX - 1:
        return refusal("is a box, not an outline: export segmentation labels")
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return refusal("holds something else than numbers")
    if len(numbers) % 2:
        return refusal(f"has {len(numbers)} numbers after the class, not pairs of x and y: is it a prediction?")
    points = [[x * width, y * height] for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
    return outline(points, clip=options.clip)
