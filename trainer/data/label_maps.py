"""The plain layout: images/ and masks/ with the same stems, each mask a label map 0..K."""

from pathlib import Path
from typing import Final

import numpy as np

from inspector.errors import InputError
from inspector.images import ImageFault
from inspector.values import Pixels
from trainer.data.dataset import CLASSES_NAME, Dataset, default_classes, find_images, read_classes
from trainer.data.faults import Complain, DataError, Fault, refuse
from trainer.data.indexed_png import read_labels

IMAGES_NAME: Final = "images"
MASKS_NAME: Final = "masks"


class LabelMaps(Dataset):
    """Every image needs a mask: an image without one does not count as a normal frame."""

    def __init__(
        self, root: Path, classes: tuple[str, ...], images: dict[str, Path], masks: dict[str, Path]
    ) -> None:
        super().__init__(root, classes, images)
        self._masks = masks

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether `root` has this layout."""
        return (root / IMAGES_NAME).is_dir() and (root / MASKS_NAME).is_dir()

    @classmethod
    def open(cls, root: Path, complain: Complain = refuse) -> "LabelMaps":
        """Pair images and masks; an image or mask without its counterpart goes to `complain`.

        Without classes.json it reads every mask once to find the classes: 0..K without a gap. Raises InputError
        for a folder without images or without any pair.
        """
        masks = _pair(root, find_images(root / IMAGES_NAME), find_images(root / MASKS_NAME), complain)
        if not masks:
            raise InputError(f"{root}: no image has a mask: both need the same stem")
        images = {name: root / IMAGES_NAME / name for name in masks}
        classes = read_classes(root) or default_classes(_kinds(masks))
        return cls(root, classes, images, masks)

    def label(self, name: str, shape: tuple[int, int], complain: Complain = refuse) -> Pixels:
        """Class of every pixel; raises DataError for a mask of another size or with an unknown value."""
        del complain  # a label map is one file: a fault spoils all of it
        path = self._masks[name]
        label = _read(path, name)
        if label.shape != shape:
            text = (
                f"mask is {label.shape[0]}×{label.shape[1]} px but its image {name} is {shape[0]}×{shape[1]}: "
                "export it at the image's size"
            )
            raise DataError(Fault("mask of another size", path, text, frame=name))
        if int(label.max()) >= len(self.classes):
            unknown = sorted(set(np.unique(label).tolist()) - set(range(len(self.classes))))
            text = (
                f"label map holds {', '.join(map(str, unknown[:5]))} but the classes are "
                f"0..{len(self.classes) - 1} ({', '.join(self.classes)}): more are named in {CLASSES_NAME}"
            )
            raise DataError(Fault("unknown class", path, text, frame=name))
        return label

    def label_source(self, name: str) -> bytes:
        """The mask file."""
        return self._masks[name].read_bytes()


def _pair(root: Path, images: dict[str, Path], masks: dict[str, Path], complain: Complain) -> dict[str, Path]:
    """Image name → its mask, without images that lack a mask or share one."""
    by_stem = {path.stem: path for path in masks.values()}
    owner: dict[str, str] = {}
    for name, path in images.items():
        if path.stem not in by_stem:
            complain(Fault("missing mask", path, f"no mask {path.stem}.png in {root / MASKS_NAME}", frame=name))
        elif path.stem in owner:
            text = f"shares its mask with {owner[path.stem]}: rename one image and its mask"
            complain(Fault("shared mask", path, text, frame=name))
        else:
            owner[path.stem] = name
    for stem, path in by_stem.items():
        if stem not in owner:
            complain(Fault("missing image", path, f"no image {stem}.* in {root / IMAGES_NAME}"))
    return {name: by_stem[stem] for stem, name in owner.items()}


def _kinds(masks: dict[str, Path]) -> int:
    """K of masks that hold 0..K, at least 1. Values above a gap, such as 255 for "defect", do not count."""
    seen: set[int] = set()
    for path in masks.values():
        try:
            seen.update(np.unique(read_labels(path)).tolist())
        except ImageFault:
            continue  # label() reports it with the frame's name
    kinds = 1
    while kinds + 1 in seen:
        kinds += 1
    return kinds


def _read(path: Path, frame: str) -> Pixels:
    try:
        return read_labels(path)
    except ImageFault as error:
        raise DataError(Fault("unreadable mask", path, str(error), frame=frame)) from None
