"""Reads YOLO segmentation: images/ and labels/ of the same shape, and data.yaml."""

from functools import partial
from pathlib import Path

from inspector.errors import InputError
from inspector.extras import needs_extra
from trainer.artifacts.extras import EXTRAS
from trainer.data.faults import Complain, Fault
from trainer.data.importing.regions import Region, draw_regions, outline, refusal
from trainer.data.importing.source import Mark, Options, Size, Source, SourceFrame, images_below, part_of


def read_yolo(root: Path, options: Options) -> Source:
    """Read YOLO's segmentation labels: a .txt per frame, polygons as shares of the frame; no file means normal."""
    with needs_extra("YOLO's data.yaml", EXTRAS):
        import yaml
    described = sorted(root.glob("*.yaml")) + sorted(root.glob("*.yml"))
    if not described:
        raise InputError(f"{root}: no data.yaml here, which names the classes: add it (names: [scratch, pit])")
    try:
        names = yaml.safe_load(described[0].read_text(encoding="utf-8-sig"))["names"]
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{described[0]}: no `names` of classes in it ({error}): add names: [scratch, pit]"
        ) from None
    classes = {
        int(key): str(name) for key, name in (names.items() if isinstance(names, dict) else enumerate(names))
    }
    frames = []
    for image in images_below(root):
        inner = image.relative_to(root)
        swapped = ["labels" if part == "images" else part for part in inner.parts[:-1]]
        file = root.joinpath(*swapped, f"{image.stem}.txt")
        draw = partial(_yolo_marks, file, classes, options) if file.is_file() else None
        frames.append(SourceFrame(image, file, draw, None, part_of(image, root)))
    if all(frame.draw is None for frame in frames):
        raise InputError(
            f"{root}: no image has labels: {frames[0].image.relative_to(root)} needs "
            f"{frames[0].file.relative_to(root)}"
        )
    return Source(frames, [classes[key] for key in sorted(classes)], unlabelled_is_normal=True)


def _yolo_marks(
    file: Path, classes: dict[int, str], options: Options, size: Size, complain: Complain
) -> list[Mark]:
    height, width = size
    regions: list[tuple[str, str, Region]] = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        where = f"line {number}"
        label = classes.get(int(words[0])) if words[0].isdigit() else None
        if label is None:
            text = f"class {words[0]} is not in data.yaml (0..{len(classes) - 1})"
            complain(Fault("unknown class", file, text, number, where))
        elif len(words) == 5:
            text = "is a box, not an outline: export segmentation labels"
            regions.append((label, where, refusal(text)))
        else:
            points = [[float(x) * width, float(y) * height] for x, y in zip(words[1::2], words[2::2], strict=True)]
            regions.append((label, where, outline(points, clip=options.clip)))
    return draw_regions(file, regions, size, complain)
