"""Tells masks from images by the names of files and folders, and finds the image of each mask."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from inspector.errors import InputError
from trainer.data.importing.source import PARTS, images_below, part_named

MASK_FOLDERS: Final = frozenset(
    [
        "mask",
        "masks",
        "label",
        "labels",
        "gt",
        "groundtruth",
        "ground_truth",
        "annotation",
        "annotations",
        "seg",
        "segmentation",
        "segmentations",
        "labelmaps",
        "label_maps",
    ]
)
"""Folders that hold masks, lower case."""
IMAGE_FOLDERS: Final = frozenset(["image", "images", "img", "imgs", "jpegimages", "frames", "pictures", "photos"])
"""Folders that hold images, lower case."""
_MASK_WORDS: Final = MASK_FOLDERS | {"ann", "annot", "lab"}
_FILLERS: Final = frozenset(["dir", "folder", "png"])
"""Words of a folder's name that say nothing: ann_dir holds masks, img_dir their images."""
_JOINED: Final = re.compile(rf"({'|'.join(PARTS)})(?:{'|'.join(sorted(_MASK_WORDS))})")
"""Names such as trainannot."""
_AFFIX: Final = re.compile(
    r"^(?:mask|label|gt|seg)[_-]|[_-](?:masks?|labels?|gt|seg|segmentation|labelids|masks?[_-]?\d+)$"
    r"|\.(?:jpe?g|png|bmp|tiff?)$",
    re.IGNORECASE,
)
"""Suffixes and prefixes of mask names that image names lack."""
_LABEL_OR_LEFT: Final = re.compile(r"[_-]l$", re.IGNORECASE)
"""A suffix of masks only if there is an image without it: a_l may be the left half of a strip."""
_IMAGE_PREFIX: Final = re.compile(r"^(?:image|img|frame|photo)[_-]", re.IGNORECASE)
LOSSY: Final = frozenset([".jpg", ".jpeg"])
"""Endings of images; of two files with one name, the other one is the mask."""

Folders = tuple[str, ...]
"""The folders above a file that are more than images/, masks/ and the like."""


def sort_out(root: Path) -> tuple[list[Path], list[Path]]:
    """Return (masks, images) below `root`: by folder if one has a name for masks, else by file name or ending."""
    found = images_below(root)
    masks = [p for p in found if any(_role(part)[0] == "mask" for part in p.relative_to(root).parts[:-1])]
    masks = masks or [path for path in found if _AFFIX.search(path.stem)] or _labels_of_neighbours(found)
    masks = masks or _beside_photographs(found)
    taken = set(masks)
    return masks, [path for path in found if path not in taken]


def _labels_of_neighbours(found: Sequence[Path]) -> list[Path]:
    """Return the files called a_l beside a file called a."""
    there = {path.with_suffix("") for path in found}
    return [
        path
        for path in found
        if _LABEL_OR_LEFT.search(path.stem) and path.parent / _LABEL_OR_LEFT.sub("", path.stem) in there
    ]


def _beside_photographs(found: Sequence[Path]) -> list[Path]:
    """Return the files that have the folder and the name of a JPEG: a.png beside a.jpg."""
    photographs = {path.with_suffix("") for path in found if path.suffix.lower() in LOSSY}
    return [path for path in found if path.suffix.lower() not in LOSSY and path.with_suffix("") in photographs]


def _role(folder: str) -> tuple[Literal["mask", "image"] | None, str]:
    """(what a folder with this name holds, the rest of its name, with a part as train, val or test)."""
    name = folder.lower()
    if name in MASK_FOLDERS:
        return "mask", ""
    if name in IMAGE_FOLDERS:
        return "image", ""
    words = re.split(r"[_\-. ]+", name)
    for role, own in (("mask", _MASK_WORDS), ("image", IMAGE_FOLDERS)):
        rest = [word for word in words if word not in own]
        if len(rest) < len(words) and rest and all(part_named(word) or word in _FILLERS for word in rest):
            return role, "_".join(part_named(word) or "" for word in rest).strip("_")  # type: ignore[return-value]
    if joined := _JOINED.fullmatch(name):
        return "mask", PARTS[joined[1]]
    return None, part_named(name) or folder


def folders_of(path: Path, root: Path) -> Folders:
    """Return the names of the folders between `root` and a file, without images/, masks/ and the like."""
    return tuple(rest for part in path.relative_to(root).parts[:-1] if (rest := _role(part)[1]))


def kind_of(mask: Path, root: Path, image: Folders) -> str | None:
    """Return the class that a mask's folder names; None if the image lies in a folder of that name, too."""
    folders = mask.relative_to(root).parts[:-1]
    below = next((at + 1 for at, name in enumerate(folders) if _role(name)[0] == "mask"), len(folders))
    inner = [name for name in folders[below:] if part_named(name) is None and _role(name)[0] is None]
    return inner[-1] if inner and inner[-1] not in image else None


def own_folder(path: Path, root: Path) -> str | None:
    """Return the nearest folder of a mask whose name says more than train, images or masks; None without one."""
    named = (name for name in reversed(path.relative_to(root).parts[:-1]) if part_named(name) is None)
    return next((name for name in named if _role(name)[0] is None), None)


def pair(
    masks: Mapping[Path, Folders], images: Mapping[Path, Folders], root: Path
) -> tuple[dict[Path, Path], list[Path]]:
    """(mask → its image, masks without one); a mask's name is the image's, with or without a suffix for masks.

    Of images with one name, the one in the folder of the same name counts. Raises InputError if several are left.
    """
    by_name: dict[str, dict[Folders, list[Path]]] = {}
    for path, folders in images.items():
        for name in dict.fromkeys((path.stem, path.name, _IMAGE_PREFIX.sub("", path.stem))):
            by_name.setdefault(name, {}).setdefault(folders, []).append(path)
    paired: dict[Path, Path] = {}
    guessed: list[Path] = []
    orphans: list[Path] = []
    for mask, folders in masks.items():
        found = _candidates(mask.stem, by_name)
        if not found:
            orphans.append(mask)
            continue
        distances = {_SAME: [folders]} if folders in found else _by_distance(folders, found)
        distance = min(distances)
        nearest = [path for each in distances[distance] for path in found[each]]
        if len(nearest) > 1:
            first, second = nearest[:2]
            way_on = (
                f"call it {first.name}{mask.suffix}, or remove one of the two"
                if first.parent == second.parent
                else "put masks into folders called as those of their images: masks/a/1.png for images/a/1.png"
            )
            raise InputError(
                f"{mask}: may belong to {first.relative_to(root)} or to {second.relative_to(root)}: {way_on}"
            )
        paired[mask] = nearest[0]
        if distance == _STRANGE:
            guessed.append(mask)
    masks_of = Counter(paired.values())
    orphans += [mask for mask in guessed if masks_of[paired[mask]] > 1]
    lost = set(orphans)
    return {mask: image for mask, image in paired.items() if mask not in lost}, orphans


_SAME, _WITHIN, _STRANGE = range(3)


def _by_distance(mask: Folders, images: Iterable[Folders]) -> dict[int, list[Folders]]:
    """Sort folders of images by how far they are from a mask's: those of one are among the other's, or others."""
    found: dict[int, list[Folders]] = {}
    for image in images:
        shorter, longer = sorted((mask, image), key=len)
        rest = iter(longer)
        distance = _WITHIN if all(name in rest for name in shorter) else _STRANGE
        found.setdefault(distance, []).append(image)
    return found


def _candidates(stem: str, by_name: Mapping[str, dict[Folders, list[Path]]]) -> dict[Folders, list[Path]]:
    """Images by folder under the longest part of a mask's name that names any."""
    while True:
        if stem in by_name:
            return by_name[stem]
        shorter = _AFFIX.sub("", stem)
        shorter = shorter if shorter != stem else _LABEL_OR_LEFT.sub("", stem)
        if shorter in ("", stem):
            return {}
        stem = shorter
