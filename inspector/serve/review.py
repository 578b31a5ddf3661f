"""Reviews: people's answers about the kept frames. An answer is a decision and a mask, the truth for training."""

import json
import time
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np

from inspector.errors import InputError
from inspector.serve.audit import note
from inspector.serve.samples import mask_png
from inspector.serve.store import Store, UnknownError, rows
from inspector.values import Pixels

Answer = Literal["accept", "reject", "kind", "redraw"]
"""accept: sound steel, nothing to mark. reject: the line's mask is right. kind: the same places are of another
kind. redraw: the mask was drawn."""

SAMPLE_COLUMNS: Final = (
    "samples.id, source, camera, frame_id, captured_ns / 1000000 AS captured_ms, position_mm, coil, "
    "samples.decision AS decision, reasons, defects, classes, recipe, engine, width, height"
)
_ORDER: Final = (
    "ORDER BY CASE source WHEN 'marked' THEN 0 WHEN 'uncertain' THEN 1 WHEN 'reject' THEN 2 ELSE 3 END, "
    "samples.id DESC"
)


def waiting(store: Store, count: int) -> dict[str, Any]:
    """Return the frames that wait for a review, the marked ones first, and how many were reviewed."""
    with store.reading() as connection:
        found = rows(
            connection.execute(
                f"SELECT {SAMPLE_COLUMNS} FROM samples WHERE NOT EXISTS (SELECT 1 FROM reviews "  # noqa: S608
                f"WHERE sample_id = samples.id AND undone_ns IS NULL) {_ORDER} LIMIT ?",
                (count,),
            )
        )
        done = connection.execute("SELECT COUNT(*) FROM reviews WHERE undone_ns IS NULL").fetchone()[0]
    return {"frames": [sample_values(each) for each in found], "reviewed": done}


def reviewed(store: Store, count: int) -> list[dict[str, Any]]:
    """Return the newest reviews, newest first."""
    with store.reading() as connection:
        return rows(
            connection.execute(
                "SELECT reviews.id, sample_id, camera, frame_id, coil, answer, reviews.decision AS decision, "
                "samples.decision AS line_decision, who, at_ns / 1000000 AS at_ms, why FROM reviews "
                "JOIN samples ON samples.id = sample_id WHERE undone_ns IS NULL ORDER BY reviews.id DESC LIMIT ?",
                (count,),
            )
        )


def sample_values(row: dict[str, Any]) -> dict[str, Any]:
    """Return a sample's row with its JSON columns decoded."""
    return row | {name: json.loads(row[name]) for name in ("reasons", "defects", "classes")}


def kept_file(store: Store, sample: int, *, mask: bool) -> Path:
    """Return the picture or mask of a kept frame. Raises InputError if it is gone."""
    path = store.samples / (f"{sample}.mask.png" if mask else f"{sample}.png")
    if not path.is_file():
        raise UnknownError(f"frame {sample}: is not kept any more")
    return path


def runs_of(mask: Pixels) -> list[list[int]]:
    """Return a mask as runs: kind, first pixel and length, in reading order; normal pixels are left out."""
    flat = mask.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    starts = np.concatenate(([0], edges))
    lengths = np.diff(np.concatenate((starts, [flat.size])))
    kinds = flat[starts]
    marked = kinds > 0
    found: list[list[int]] = np.stack((kinds[marked], starts[marked], lengths[marked]), axis=1).tolist()
    return found


def mask_of(runs: list[tuple[int, int, int]], height: int, width: int, kinds: int) -> Pixels:
    """Return the mask of such runs. Raises InputError if they do not fit the frame."""
    flat = np.zeros(height * width, np.uint8)
    end = 0
    for kind, start, length in runs:
        if not 1 <= kind <= kinds or start < end or length < 1 or start + length > flat.size:
            raise InputError(f"mask: the run {kind}, {start}, {length} does not fit a frame of {height}×{width}")
        end = start + length
        flat[start:end] = kind
    return flat.reshape(height, width)


def answer(
    store: Store, sample: int, given: Answer, runs: list[tuple[int, int, int]] | None, who: str, why: str
) -> int:
    """Store a review; returns its number. Raises InputError if the frame is unknown or already reviewed."""
    with store.changing() as connection:
        row = connection.execute("SELECT * FROM samples WHERE id = ?", (sample,)).fetchone()
        if row is None:
            raise UnknownError(f"frame {sample}: is not kept any more")
        before = connection.execute(
            "SELECT who FROM reviews WHERE sample_id = ? AND undone_ns IS NULL", (sample,)
        ).fetchone()
        if before is not None:
            raise InputError(f"frame {sample}: {before['who']} has reviewed it")
        mask = _truth(store, dict(row), given, runs)
        decision = "reject" if mask.any() else "accept"
        made = connection.execute(
            "INSERT INTO reviews (sample_id, answer, decision, mask, who, at_ns, why) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (sample, given, decision, mask_png(mask), who, time.time_ns(), why),
        )
        note(connection, who, "frame reviewed", f"{row['camera']}:{row['frame_id']}", f"{given} {why}".strip())
        return int(made.lastrowid or 0)


def _truth(store: Store, row: dict[str, Any], given: Answer, runs: list[tuple[int, int, int]] | None) -> Pixels:
    height, width = row["height"], row["width"]
    if given == "accept":
        return np.zeros((height, width), np.uint8)
    if given == "reject":
        read = cv2.imread(str(kept_file(store, row["id"], mask=True)), cv2.IMREAD_GRAYSCALE)
        if read is None:
            raise InputError(f"frame {row['id']}: its mask cannot be read")
        mask: Pixels = np.asarray(read, np.uint8)
    elif runs is None:
        raise InputError(f"{given}: needs a mask")
    else:
        mask = mask_of(runs, height, width, len(json.loads(row["classes"])) - 1)
    if not mask.any():
        raise InputError(f"{given}: the mask is empty: draw the defect, or accept the frame")
    return mask


def undo(store: Store, review: int, who: str) -> int:
    """Undo the account's own review; returns its frame. Raises InputError for another's or an unknown one."""
    with store.changing() as connection:
        row = connection.execute(
            "SELECT sample_id, who FROM reviews WHERE id = ? AND undone_ns IS NULL", (review,)
        ).fetchone()
        if row is None:
            raise UnknownError(f"review {review}: no such review")
        if row["who"] != who:
            raise InputError(f"review {review}: is {row['who']}'s")
        connection.execute("UPDATE reviews SET undone_ns = ? WHERE id = ?", (time.time_ns(), review))
        note(connection, who, "review undone", str(review), "")
        return int(row["sample_id"])
