"""Converts a verdict to rows: one for the frame, one for each defect in it."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import msgspec
import structlog

from inspector.files import write_whole
from inspector.values import LATENCIES, Verdict

RUN_KEY_NAME: Final = ".run-key"
"""File with the key under which the folder's run is recorded."""

Row = dict[str, Any]

log = structlog.get_logger()
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Run:
    """The row in `runs` for the verdicts of one folder."""

    key: str
    line: str
    host: str
    folder: Path


def identify_run(folder: Path, line: str) -> Run:
    """Return the run in `folder`; a restarted decide finds the key of the first one there."""
    host = socket.gethostname()
    path = folder / RUN_KEY_NAME
    try:
        return Run(str(UUID(path.read_text(encoding="ascii").strip())), line, host, folder)
    except FileNotFoundError:
        pass
    except ValueError:
        # A power cut can leave an empty file. All runs with an empty key would become one.
        log.warning("the run's key cannot be read: the run gets another one", path=str(path))
    key = str(uuid4())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, key.encode())
    except OSError as error:
        # A key made from the folder's name survives a restart, but a later run in such a folder would share it.
        log.warning("the run's key cannot be written", path=str(path), error=error.strerror)
        key = str(uuid5(NAMESPACE_URL, f"{host}:{folder}"))
    return Run(key, line, host, folder)


@dataclass(frozen=True, slots=True)
class Entry:
    """A verdict to be recorded."""

    verdict: Verdict
    recorded_ns: int
    began_ns: Mapping[str, int]
    """Defect id → capture time of the first frame that shows the defect."""


class DefectBeginnings:
    """Remembers when the current defects began, because defect ids repeat when a camera counts from 0 again."""

    def __init__(self) -> None:
        self._cameras: dict[str, tuple[int, dict[str, int]]] = {}

    def follow(self, verdict: Verdict) -> Mapping[str, int]:
        """Return defect id → capture time of its first frame, for the defects of a camera's next frame."""
        if not verdict.defects:
            self._cameras.pop(verdict.camera, None)
            return {}
        epoch, before = self._cameras.get(verdict.camera, (verdict.ingest_epoch, {}))
        if epoch != verdict.ingest_epoch:
            before = {}
        began_ns = {each.id: before.get(each.id, verdict.captured_ns) for each in verdict.defects}
        self._cameras[verdict.camera] = (verdict.ingest_epoch, began_ns)
        return began_ns


def frame_row(entry: Entry, run_id: int, recipe_id: int, engine_id: int) -> Row:
    """Return the row for `verdicts`."""
    verdict = entry.verdict
    row = _key(verdict, run_id) | {
        "captured_ns": verdict.captured_ns,
        "recorded_ns": entry.recorded_ns,
        "position_mm": verdict.position_mm,
        "coil": verdict.coil,
        "decision": verdict.decision.value,
        "reasons": _encode(verdict.reasons).decode() if verdict.reasons else None,
        "codes": _encode(verdict.codes).decode() if verdict.codes else None,
        "defects": len(verdict.defects),
        "recipe_id": recipe_id,
        "engine_id": engine_id,
        "file": verdict.file,
    }
    for stage in LATENCIES:
        row[f"{stage}_ms"] = verdict.stage_ms.get(stage)
    return row


def defect_rows(entry: Entry, run_id: int) -> list[Row]:
    """Return the rows for `defects`: one for each part of a strip defect in the frame."""
    key = _key(entry.verdict, run_id)
    rows = []
    for n, defect in enumerate(entry.verdict.defects):
        x, y, width, height = defect.box
        rows.append(
            key
            | {
                "captured_ns": entry.verdict.captured_ns,
                "n": n,
                "defect_id": defect.id,
                "began_ns": entry.began_ns[defect.id],
                "kind": defect.kind,
                "name": defect.name,
                "x_px": x,
                "y_px": y,
                "width_px": width,
                "height_px": height,
                "area_px": defect.area_px,
                "area_mm2": defect.area_mm2,
                "across_mm": defect.across_mm,
                "along_mm": defect.along_mm,
                "score": defect.score,
            }
        )
    return rows


def _key(verdict: Verdict, run_id: int) -> Row:
    return {
        "run_id": run_id,
        "camera": verdict.camera,
        # Without an ingest, the capture time distinguishes frames with the same number.
        "ingest_epoch": verdict.ingest_epoch or -verdict.captured_ns,
        "frame_id": verdict.frame_id,
    }
