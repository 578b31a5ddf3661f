"""The split file: which frame is in which part. A frozen file also holds the hashes of its data."""

import hashlib
import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from inspector.errors import InputError
from inspector.files import write_whole
from trainer.artifacts.bar import bar
from trainer.data.dataset import Dataset

PARTS: Final = ("train", "val", "test")

Split = dict[str, list[str]]
"""Part → frame names."""

FRAMES: Final = "frames_sha256"
"""Key of the hashes by frame name (`Dataset.fingerprint`). A file without it only lists names and is not
frozen."""
_OWN: Final = "sha256"
_CLASSES: Final = "classes"

_READERS: Final = 2
"""Hashing threads; hashing releases the interpreter lock."""


def read_split(path: Path, dataset: Dataset) -> Split:
    """The parts of a split file; raises InputError if it does not fit the data.

    A frozen file (see `freeze`) must be unchanged, and so must every frame of the data set. A file that only lists
    names, {"train": [names], "val": […], "test": […]}, must name existing frames.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable split file ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f'{path}: a split file is {{"train": [names], "val": [names], "test": [names]}}')
    split: Split = {}
    owner: dict[str, str] = {}
    for part in PARTS:
        listed = content.get(part, [])
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise InputError(f"{path}: {part} must be a list of frame names")
        split[part] = dataset.resolve(listed, f"{path}: {part}")
        for name in split[part]:
            if name in owner:
                raise InputError(f"{path}: frame {name} is listed twice ({owner[name]} and {part})")
            owner[name] = part
    if FRAMES in content or _OWN in content:
        _check(path, content, dataset)
    else:
        print(
            f"trainer: warning: {path}: lists names only: nothing says that these are the frames it was made for",
            file=sys.stderr,
        )
    return split


def write_split(path: Path, split: Split) -> None:
    """Write a split file that lists names only."""
    write_whole(path, (json.dumps(split, indent=1) + "\n").encode())


def freeze(
    path: Path, split: Split, dataset: Dataset, about: Mapping[str, Any], *, show_progress: bool = False
) -> str:
    """Write a split file that fits only this data set; returns the SHA-256 of the data.

    `about` describes how the split was made. Raises OSError.
    """
    frames = _fingerprints(dataset, show_progress=show_progress)
    data_sha256 = _digest(frames)
    content = {**about, _CLASSES: list(dataset.classes), "data_sha256": data_sha256, **split, FRAMES: frames}
    write_whole(path, (json.dumps({**content, _OWN: _digest(content)}, indent=1) + "\n").encode())
    return data_sha256


def _check(path: Path, content: dict[str, Any], dataset: Dataset) -> None:
    """Raise InputError for the first difference."""
    own = content.pop(_OWN, None)
    frames = content.get(FRAMES)
    if own != _digest(content) or not isinstance(frames, dict):
        raise InputError(f"{path}: was edited after `trainer split` wrote it: write it again with `trainer split`")
    if content.get(_CLASSES) != list(dataset.classes):
        raise InputError(
            f"{path}: was made for the classes {', '.join(content.get(_CLASSES, []))} but {dataset.root} has "
            f"{', '.join(dataset.classes)}: is it another data set's?"
        )
    advice = "restore the data, or make a new split with `trainer split`"
    missing = sorted(frames.keys() - dataset.images.keys())
    if missing:
        raise InputError(
            f"{path}: {len(missing)} of its frames are not in {dataset.root} ({missing[0]}): {advice}"
        )
    added = sorted(dataset.images.keys() - frames.keys())
    if added:
        raise InputError(f"{path}: {dataset.root} has {len(added)} frames more than it ({added[0]}): {advice}")
    now = _fingerprints(dataset, show_progress=True)
    changed = [name for name in dataset.names if now[name] != frames[name]]
    if changed:
        raise InputError(
            f"{path}: image or label of {changed[0]} changed since it was made"
            f"{f', and {len(changed) - 1} more' if len(changed) > 1 else ''}: {advice}"
        )


def _fingerprints(dataset: Dataset, *, show_progress: bool) -> dict[str, str]:
    """Frame name → fingerprint."""
    names = dataset.names
    with ThreadPoolExecutor(_READERS) as pool:
        hashed = pool.map(dataset.fingerprint, names)
        shown = bar(hashed, "hashing", total=len(names), show=show_progress)
        try:
            return dict(zip(names, shown, strict=True))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
