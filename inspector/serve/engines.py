"""The engines on this PC that the line could use: the one in its config, and those beside it."""

import hashlib
import time
from pathlib import Path
from typing import Any, Final

from inspector.engine.manifest import MANIFEST_NAME, Manifest, check_successor, read_manifest
from inspector.errors import EngineError

MOST: Final = 30
"""Newest engine folders shown."""


def engines(configured: Path, in_use: str) -> list[dict[str, Any]]:
    """Return the line's engine and the folders beside it, newest first; `in_use` is the worker's engine.

    The folders are read but not verified; a swap verifies its engine.
    """
    configured = configured.resolve()
    line = read_manifest(configured)
    folders = {configured, *(path.parent for path in configured.parent.glob(f"*/{MANIFEST_NAME}"))}
    found = []
    for folder in sorted(folders, key=_made_s, reverse=True)[:MOST]:
        try:
            manifest = read_manifest(folder)
        except EngineError:
            continue  # a folder that is being written, or no engine of this version
        found.append(_values(folder, manifest, line, folder == configured, in_use))
    return found


def _made_s(folder: Path) -> float:
    try:
        return (folder / MANIFEST_NAME).stat().st_mtime
    except OSError:
        return time.time()


def _values(folder: Path, manifest: Manifest, line: Manifest, configured: bool, in_use: str) -> dict[str, Any]:
    try:
        check_successor(manifest, line)
        refused = None
    except EngineError as error:
        refused = str(error)
    name, _, digest = in_use.partition("@")
    used = name == manifest.name and bool(digest) and _digest(folder).startswith(digest)
    quality, speed = manifest.quality, manifest.speed
    return {
        "name": manifest.name,
        "identity": f"{manifest.name}@{_digest(folder)[:12]}",
        "folder": str(folder),
        "backend": manifest.backend,
        "precision": manifest.precision,
        "made_ms": round(_made_s(folder) * 1000),
        "in_config": configured,
        "in_use": used,
        "refused": refused,
        "defect_iou": _number(quality.get("defect_iou")),
        "escape": _number(quality.get("escape")),
        "overkill": _number(quality.get("overkill")),
        "measured_on": str(quality.get("measured_on", ""))[:200],
        "frames_per_second": _number(speed.get("frames_per_second")),
    }


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / MANIFEST_NAME).read_bytes()).hexdigest()


def _number(value: Any) -> float | None:
    return round(float(value), 4) if isinstance(value, int | float) else None
