"""Gives images from any folders different names in one folder."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path


def flat_stems(images: Sequence[Path], prefix: str = "", taken: Collection[str] = ()) -> list[str]:
    """Return a name without ending for each image, different from all others and from those `taken`.

    It is the file's after `prefix`; the names of its folders stand before it if two would be equal, and the ending
    or a number after it if that is not enough. `images` are relative to the folder that holds them all. Names that
    differ only in case are equal: not every disk keeps them apart.
    """
    stems = [image.stem for image in images]
    for folders in range(1, max((len(image.parts) for image in images), default=0) + 1):
        counts = Counter(stem.lower() for stem in stems)
        stems = [
            _spelt(image, folders) if counts[stem.lower()] > 1 else stem
            for image, stem in zip(images, stems, strict=True)
        ]
    used = {name.lower() for name in taken}
    found = []
    for stem in stems:
        name, number = f"{prefix}{stem}", 1
        while name.lower() in used:
            number += 1
            name = f"{prefix}{stem}_{number}"
        used.add(name.lower())
        found.append(name)
    return found


def _spelt(image: Path, folders: int) -> str:
    """Return an image's stem after the names of so many folders, and with its ending if it has no more folders."""
    stem = "_".join([*image.parts[-1 - folders : -1], image.stem])
    return stem if folders < len(image.parts) else f"{stem}_{image.suffix[1:]}"
