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
from trainer.data.mask_order import smoothed_class

IMAGES_NAME: Final = "images"
MASKS_NAME: Final = "masks"
MAX_GUESSED_KINDS: Final = 32
"""Most kinds that masks without classes.json may show: grey pictures taken for masks show more."""
_AGAIN: Final = (
    "export it again without smoothing (PNG, nearest neighbour), or `trainer import masks SRC OUT --value "
    "255=NAME`, which takes the nearest stated value"
)


class LabelMaps(Dataset):
    """Every image needs a mask: an image without one does not count as a normal frame."""

    def __init__(
        self, root: Path, classes: tuple[str, ...], images: dict[str, Path], masks: dict[str, Path], *, named: bool
    ) -> None:
        super().__init__(root, classes, images)
        self._masks = masks
        self._named = named

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
            raise InputError(_no_pair(root))
        images = {name: root / IMAGES_NAME / name for name in masks}
        named = read_classes(root)
        classes = named or default_classes(_kinds(root, masks, complain))
        return cls(root, classes, images, masks, named=named is not None)

    def label(self, name: str, shape: tuple[int, int], complain: Complain = refuse) -> Pixels:
        """Class of every pixel; raises DataError for a mask of another size or with an unknown value."""
        path = self._masks[name]
        label = _read(path, name)
        if label.shape != shape:
            text = (
                f"mask is {label.shape[0]}×{label.shape[1]} px but its image {name} is {shape[0]}×{shape[1]}: "
                "export it at the image's size"
            )
            raise DataError(Fault("mask of another size", path, text, frame=name))
        if int(label.max()) >= len(self.classes):
            raise DataError(Fault("unknown class", path, self._unknown(label), frame=name))
        between = smoothed_class(label)
        if between is not None:
            text = (
                f"every pixel of class {between} ({self.classes[between]}) lies between a lower and a higher one, "
                f"as smoothed or scaled masks have it: {_AGAIN}"
            )
            complain(Fault("smoothed mask", path, text, frame=name, refused=not self._named))
        return label

    def _unknown(self, label: Pixels) -> str:
        """What is wrong with a label map of values above the classes, and the way on."""
        values = np.unique(label).tolist()
        unknown = [value for value in values if value >= len(self.classes)]
        known = f"the classes are 0..{len(self.classes) - 1} ({', '.join(self.classes)})"
        text = f"label map holds {', '.join(map(str, unknown[:5]))} but {known}"
        if len(values) > MAX_GUESSED_KINDS:
            return f"{text}: {len(values)} different values are a grey picture, not a label map: {_AGAIN}"
        if values in ([0, 255], [255]) and len(self.classes) == 2:
            advice = f"`trainer import masks {self.root} OUT --value 255={self.classes[1]}` reads it"
            return f"{text}: a mask of black and white? {advice}"
        if unknown == [255]:
            return f"{text}: if 255 means ignore, `trainer import masks {self.root} OUT --ignore 255` reads it"
        return f"{text}: more are named in {CLASSES_NAME}"

    def label_source(self, name: str) -> bytes:
        """The mask file."""
        return self._masks[name].read_bytes()


def _pair(root: Path, images: dict[str, Path], masks: dict[str, Path], complain: Complain) -> dict[str, Path]:
    """Image name → its mask, without images that lack a mask or share one."""
    by_stem = {path.stem: path for path in masks.values()}
    owner: dict[str, str] = {}
    for name, path in images.items():
        if path.stem not in by_stem:
            text = f"no mask {path.stem}.png in {root / MASKS_NAME} (it holds {next(iter(masks))})"
            complain(Fault("missing mask", path, text, frame=name))
        elif path.stem in owner:
            text = f"shares its mask with {owner[path.stem]}: rename one image and its mask"
            complain(Fault("shared mask", path, text, frame=name))
        else:
            owner[path.stem] = name
    for stem, path in by_stem.items():
        if stem not in owner:
            text = f"no image {stem}.* in {root / IMAGES_NAME} (it holds {next(iter(images))})"
            complain(Fault("missing image", path, text))
    return {name: by_stem[stem] for stem, name in owner.items()}


def _no_pair(root: Path) -> str:
    """Why no image has a mask, with an example of each, and the way on."""
    image, mask = (next(iter(find_images(root / name))) for name in (IMAGES_NAME, MASKS_NAME))
    return (
        f"{root}: no image has a mask: both need the same stem, but {IMAGES_NAME}/ holds {image} and "
        f"{MASKS_NAME}/ holds {mask}: rename them, or `trainer import masks {root} OUT` pairs "
        "names such as a.jpg and a_mask.png"
    )


def _kinds(root: Path, masks: dict[str, Path], complain: Complain) -> int:
    """K of masks that hold 0..K, at least 1. Values above a gap, such as 255 for "defect", do not count.

    More than MAX_GUESSED_KINDS cannot be classes: they go to `complain` as grey pictures.
    """
    seen: set[int] = set()
    for path in masks.values():
        try:
            seen.update(np.unique(read_labels(path)).tolist())
        except ImageFault:
            continue  # label() reports it with the frame's name
    kinds = 1
    while kinds + 1 in seen:
        kinds += 1
    if kinds > MAX_GUESSED_KINDS:
        text = f"masks hold the values 0..{kinds}: grey pictures, not label maps of {kinds} kinds: {_AGAIN}"
        complain(Fault("grey masks", root / MASKS_NAME, text))
        return 1
    return kinds


def _read(path: Path, frame: str) -> Pixels:
    try:
        return read_labels(path)
    except ImageFault as error:
        raise DataError(Fault("unreadable mask", path, str(error), frame=frame)) from None
