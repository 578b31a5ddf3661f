"""Writes imported frames in the plain layout, whole or not at all: images/, masks/, classes.json, split.json."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
from PIL import Image, ImageOps

from inspector.errors import InputError, WorkError
from inspector.images import GreyWindow, ImageFault, read_mono
from inspector.numbers import thousands
from inspector.values import Pixels
from trainer.artifacts.bar import bar
from trainer.artifacts.new_folder import check_is_new, new_folder
from trainer.data.dataset import CLASSES_NAME, MAX_CLASSES, NORMAL_NAMES, UPRIGHT, read_orientation
from trainer.data.drawing import DrawnMask, draw
from trainer.data.faults import Fault, by_kind
from trainer.data.flat_names import flat_stems
from trainer.data.formats import open_dataset
from trainer.data.importing.regions import OUTSIDE
from trainer.data.importing.source import Mark, Source, SourceFrame
from trainer.data.label_maps import IMAGES_NAME, MASKS_NAME
from trainer.data.split_file import PARTS, freeze

NORMAL: Final = "normal"
SPLIT_NAME: Final = "split.json"
_OVERLAP_KIND: Final = "overlapping classes"
_WAYS_ON: Final = {
    _OVERLAP_KIND: "--overlap smaller or --overlap later decides",
    OUTSIDE: "--clip cuts outlines at the frame's edge",
    "16-bit image": "--grey-window LOW HIGH states the samples that are black and white",
}
"""Kind of fault → the option that may settle it."""
_CHUNK: Final = 16
"""Frames drawn ahead of the one that is written."""
_ORIENTATION_TAG: Final = 0x0112
_WRITERS: Final = 2
"""Threads that decode and draw. OpenCV and Pillow release the interpreter lock; more wait for each other."""


@dataclass(frozen=True, slots=True)
class Policies:
    """Decisions where labels leave a choice."""

    overlap: Literal["refuse", "smaller", "later"] = "refuse"
    """Pixels of two classes: refuse, or take the smaller mark, or the one listed later."""
    unlisted: Literal["refuse", "normal", "skip"] | None = None
    """Images without labels: refuse, take as normal, or skip; None is what the format says, else refuse."""
    grey_window: GreyWindow | None = None
    """Samples of 10- to 16-bit images that become black and white."""


@dataclass(slots=True)
class Imported:
    """Result of an import."""

    classes: tuple[str, ...]
    frames: int
    skipped: int
    shown: dict[str, int] = field(default_factory=dict)
    """Class → frames that show it."""
    parts: dict[str, list[str]] = field(default_factory=dict)
    """The source's own split; empty if it has none."""


@dataclass(slots=True)
class _Drawn:
    """One frame with its marks."""

    pixels: Pixels | None
    is_as_stored: bool
    """Whether the image file can be copied."""
    marks: Sequence[Mark]
    faults: list[Fault]


def write_imported(source: Source, root: Path, out: Path, policies: Policies, *, show_progress: bool) -> Imported:
    """Write every frame of the source to the new folder `out`.

    Draws all marks first, to know the classes and every fault. Raises InputError for labels at fault (one line,
    with the first of each kind), and for an `out` in use.
    """
    check_is_new(out)
    frames, skipped = _kept(source, root, policies)
    classes = _checked(source, frames, root, policies, show_progress=show_progress)
    numbers = {name: number for number, name in enumerate(classes)}
    imported = Imported(classes, len(frames), skipped)
    stems = flat_stems([frame.image.relative_to(_folder(source, root)) for frame in frames])
    with new_folder(out) as building:
        for folder in (IMAGES_NAME, MASKS_NAME):
            (building / folder).mkdir()
        drawn_frames = _draw_all(frames, policies, "writing", show_progress=show_progress)
        for frame, drawn, stem in zip(frames, drawn_frames, stems, strict=True):
            label = _label_map(frame, drawn, numbers, policies, [])
            name = _write(building, stem, frame, drawn, label)
            for number in np.unique(label[label > 0]).tolist():
                imported.shown[classes[number]] = imported.shown.get(classes[number], 0) + 1
            if frame.part is not None:
                imported.parts.setdefault(frame.part, []).append(name)
        text = json.dumps(classes, ensure_ascii=False) + "\n"
        (building / CLASSES_NAME).write_text(text, encoding="utf-8")
        if frames and not imported.shown and not source.are_classes_listed:
            raise InputError(
                f"{root}: no label marks a defect ({', '.join(classes[1:])}): check labels, --value and --colour"
            )
        if len(imported.parts) < 2:
            imported.parts = {}
        else:
            imported.parts = {part: imported.parts.get(part, []) for part in PARTS}
            about = {"made_by": "trainer import"}
            freeze(
                building / SPLIT_NAME, imported.parts, open_dataset(building), about, show_progress=show_progress
            )
    return imported


def _folder(source: Source, root: Path) -> Path:
    return source.folder or (root if root.is_dir() else root.parent)


def _kept(source: Source, root: Path, policies: Policies) -> tuple[list[SourceFrame], int]:
    """(frames to write, number of those left out); raises InputError for images without labels and no policy."""
    bare = [frame for frame in source.frames if frame.draw is None]
    policy = policies.unlisted or ("normal" if source.unlabelled_is_normal else "refuse")
    if bare and policy == "refuse":
        raise InputError(
            f"{root}: {thousands(len(bare))} of {thousands(len(source.frames))} images have no labels, such as "
            f"{bare[0].image.relative_to(_folder(source, root))}: --unlisted normal takes them "
            "as frames without a defect, --unlisted skip leaves them out"
        )
    if policy == "normal":
        return list(source.frames), 0
    return [frame for frame in source.frames if frame.draw is not None], len(bare)


def _checked(
    source: Source, frames: Sequence[SourceFrame], root: Path, policies: Policies, *, show_progress: bool
) -> tuple[str, ...]:
    """Return the names of the classes, normal first; raises InputError with all faults of the labels."""
    labels: set[str] = set()
    faults: list[Fault] = []
    for frame, drawn in zip(
        frames, _draw_all(frames, policies, "checking", show_progress=show_progress), strict=True
    ):
        faults += drawn.faults
        labels |= {mark.label for mark in drawn.marks}
        if drawn.pixels is not None:
            numbers = {name: number for number, name in enumerate(sorted(labels), start=1)}
            _label_map(frame, drawn, numbers, policies, faults)
    if faults:
        raise InputError(_refusal(faults))
    listed = [name.strip() for name in source.classes]
    names = list(dict.fromkeys([*listed, *sorted(labels - set(listed))]))
    defects = [name for name in names if name.lower() not in NORMAL_NAMES]
    _check_names(defects, root)
    if not defects:
        raise InputError(f"{root}: no label names a defect: there is nothing to learn")
    if len(defects) >= MAX_CLASSES:
        raise InputError(
            f"{root}: {len(defects)} classes: at most {MAX_CLASSES - 1} kinds of defect are supported"
        )
    return (NORMAL, *defects)


def _check_names(names: Sequence[str], root: Path) -> None:
    """Raise InputError for a class without a name, and for two whose names differ only in case."""
    spelling: dict[str, str] = {}
    for name in names:
        if not name:
            raise InputError(f"{root}: a label has no name: give it one")
        first = spelling.setdefault(name.casefold(), name)
        if first != name:
            raise InputError(f"{root}: the classes {first} and {name} differ only in case: give them one name")


def _draw_all(
    frames: Sequence[SourceFrame], policies: Policies, doing: str, *, show_progress: bool
) -> Iterable[_Drawn]:
    with ThreadPoolExecutor(_WRITERS) as pool:
        drawn = (one for chunk in _chunks(frames) for one in pool.map(lambda frame: _draw(frame, policies), chunk))
        yield from bar(drawn, doing, total=len(frames), show=show_progress)


def _chunks(frames: Sequence[SourceFrame]) -> Iterable[Sequence[SourceFrame]]:
    """Yield a few frames at a time: the pool would decode all of them before the first one is used."""
    return (frames[start : start + _CHUNK] for start in range(0, len(frames), _CHUNK))


def _draw(frame: SourceFrame, policies: Policies) -> _Drawn:
    """Return pixels in the orientation of the labels, and the marks; faults are collected."""
    faults: list[Fault] = []
    try:
        pixels = read_mono(frame.image, policies.grey_window)
        orientation = read_orientation(frame.image)
    except ImageFault as error:
        kind = "16-bit image" if "grey_window" in str(error) else "unreadable image"
        return _Drawn(None, False, [], [Fault(kind, frame.image, _in_options(str(error)))])
    stored = (pixels.shape[0], pixels.shape[1])
    is_as_stored = orientation == UPRIGHT
    if not is_as_stored:
        upright = _upright(pixels, orientation)
        if frame.size == stored != upright.shape:
            upright = pixels  # the tool did not rotate the picture either
        pixels = upright
    size = (pixels.shape[0], pixels.shape[1])
    if frame.size is not None and frame.size != size:
        text = f"labels are of {frame.size[0]}×{frame.size[1]} px but {frame.image.name} is {size[0]}×{size[1]}"
        return _Drawn(None, False, [], [Fault("mask of another size", frame.file, text)])
    marks = [] if frame.draw is None else frame.draw(size, faults.append)
    marks = [replace(mark, label=mark.label.strip()) for mark in marks]
    copies = is_as_stored and policies.grey_window is None
    return _Drawn(pixels, copies, marks, faults)


def _in_options(text: str) -> str:
    """Return the image's fault in terms of this command, not of a line's config."""
    return text.partition(": state grey_window")[0]


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    image = Image.fromarray(pixels)
    image.getexif()[_ORIENTATION_TAG] = orientation
    return np.asarray(ImageOps.exif_transpose(image), np.uint8)


def _label_map(
    frame: SourceFrame, drawn: _Drawn, numbers: Mapping[str, int], policies: Policies, faults: list[Fault]
) -> Pixels:
    """Return the frame's label map. A mark of normal is one of class 0: it may cut a hole."""
    assert drawn.pixels is not None  # noqa: S101 (a frame that cannot be read has been refused)
    kinds = [0 if mark.label.lower() in NORMAL_NAMES else numbers[mark.label] for mark in drawn.marks]
    shape = (drawn.pixels.shape[0], drawn.pixels.shape[1])
    if policies.overlap == "later":
        label, area_of = np.zeros(shape, np.uint8), np.zeros(shape, np.int64)
        for mark, kind in zip(drawn.marks, kinds, strict=True):
            area = int(np.count_nonzero(mark.pixels))
            # A background that is listed last is no eraser: only a smaller one cuts a hole.
            place = mark.pixels if kind else mark.pixels & (area_of > area)
            label[place], area_of[place] = kind, area
        return label

    def complain(fault: Fault) -> None:
        if fault.kind != _OVERLAP_KIND or policies.overlap == "refuse":
            faults.append(fault)

    masks = [
        DrawnMask(min(kind, MAX_CLASSES - 1), mark.pixels, row, mark.where, has_seam=mark.has_seam)
        for row, (mark, kind) in enumerate(zip(drawn.marks, kinds, strict=True))
    ]
    return draw(masks, shape, frame.file, frame.image.name, complain)


def _write(building: Path, stem: str, frame: SourceFrame, drawn: _Drawn, label: Pixels) -> str:
    """Write image and mask, and return the image's name: a copy if the file can stay as it is, else a PNG."""
    name = stem + (frame.image.suffix if drawn.is_as_stored else ".png")
    image, mask = building / IMAGES_NAME / name, building / MASKS_NAME / f"{stem}.png"
    if drawn.is_as_stored:
        shutil.copyfile(frame.image, image)
    for path, pixels in ((image, None if drawn.is_as_stored else drawn.pixels), (mask, label)):
        if pixels is None:
            continue
        encoded, content = cv2.imencode(".png", pixels)
        if not encoded:
            raise WorkError(f"{path}: {pixels.shape[0]}×{pixels.shape[1]} px cannot be written as PNG")
        path.write_bytes(content.tobytes())
    return name


def _refusal(faults: Sequence[Fault]) -> str:
    """Return one line: each kind of fault with its count, first place, and the option that may settle it."""
    told = []
    for first, count in by_kind(faults):
        number = f"{thousands(count)} × {first.kind}, the first " if count > 1 else ""
        way_on = f" ({_WAYS_ON[first.kind]})" if first.kind in _WAYS_ON else ""
        told.append(f"{number}{first}{way_on}")
    return "; ".join(told) + ": nothing was written"
