"""Recognises the labels of other tools in a folder, so that a message can name the import that reads them."""

import json
from pathlib import Path
from typing import Any, Final

_MARKS: Final = (
    ("yolo", "data.yaml"),
    ("cvat", "annotations.xml"),
    ("voc", "SegmentationClass"),
    ("mvtec", "ground_truth"),
    ("supervisely", "meta.json"),
    ("masks", "masks"),
)
"""Format of `trainer import` → a file or folder that says so."""


def format_of(root: Path) -> str | None:
    """Return the format of `trainer import` that seems to read the folder; None if it looks like none."""
    for name, mark in _MARKS:
        if (root / mark).exists():
            return name
    files = (path for folder in ("*.json", "*/*.json") for path in sorted(root.glob(folder)))
    file = next((path for path in files if not path.name.startswith(".")), None)
    return None if file is None else _format_in(file)


def _format_in(file: Path) -> str | None:
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None
    if isinstance(content, list):
        return "labelstudio" if content and isinstance(content[0], dict) and "annotations" in content[0] else None
    if not isinstance(content, dict):
        return None
    if "shapes" in content:
        return "labelme"
    if "images" in content and "annotations" in content:
        return "coco"
    first = next(iter(content.values()), None)
    is_via = "_via_img_metadata" in content or (isinstance(first, dict) and "regions" in first)
    return "via" if is_via else None
