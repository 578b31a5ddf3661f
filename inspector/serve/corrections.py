"""Writes kept frames as a data set: reviewed ones with the masks that people gave, waiting ones with the line's.

The data set has images/, masks/ and classes.json, as the trainer reads it. corrections.json says where the labels
come from, for the card of the engine that learns from them.
"""

import hashlib
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec

from inspector.errors import InputError, WorkError
from inspector.serve.review import SAMPLE_COLUMNS, kept_file, sample_values
from inspector.serve.store import Store, UnknownError, rows

CORRECTIONS_NAME: Final = "corrections.json"
REVIEWS_NAME: Final = "reviews.jsonl"

SCHEMA_VERSION: Final = 1


WAITING: Final = "waiting"
"""Answer of a frame that nobody has reviewed yet."""

_ORIGIN: Final = "LEFT JOIN origins ON origins.sample_id = samples.id"
_WAITING: Final = (
    f"SELECT {SAMPLE_COLUMNS}, captured_ns, origin, '{WAITING}' AS answer, '' AS who, NULL AS mask "  # noqa: S608
    f"FROM samples {_ORIGIN} "
    "WHERE samples.id NOT IN (SELECT sample_id FROM reviews WHERE undone_ns IS NULL){conditions} "
    "ORDER BY samples.id"
)
_REVIEWED: Final = (
    f"SELECT {SAMPLE_COLUMNS}, captured_ns, origin, reviews.id AS review, answer, "  # noqa: S608
    "reviews.decision AS truth, mask, who, at_ns, why "
    f"FROM reviews JOIN samples ON samples.id = reviews.sample_id {_ORIGIN} "
    "WHERE undone_ns IS NULL{conditions} ORDER BY reviews.id"
)


class Choice(msgspec.Struct, frozen=True):
    """Which kept frames are exported."""

    waiting: bool = False
    """Frames that nobody has reviewed yet, with the line's mask, to correct them in another tool."""
    coil: str | None = None
    from_ns: int | None = None
    """Capture time, ns since 1970."""
    to_ns: int | None = None

    def conditions(self) -> tuple[str, list[Any]]:
        """Return the SQL conditions and their values."""
        asked: list[tuple[str, Any]] = [
            ("coil = ?", self.coil),
            ("captured_ns >= ?", self.from_ns),
            ("captured_ns < ?", self.to_ns),
        ]
        given = [(text, value) for text, value in asked if value is not None]
        return "".join(f" AND {text}" for text, _ in given), [value for _, value in given]


def export_corrections(store: Store, out: Path, choice: Choice) -> dict[str, Any]:
    """Write the chosen frames to `out`, whole or not at all; returns the content of corrections.json.

    Raises InputError if `out` is in use, if no frame is chosen, or if the frames are of engines with different
    classes; WorkError if a file cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is not empty: give a new folder")
    found = _chosen(store, choice)
    classes = {row["classes"] for row in found}
    if len(classes) > 1:
        raise InputError(f"the frames are of engines with different classes: {' and '.join(sorted(classes))}")
    building = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        about = _write(store, building, found)
        building.replace(out)
    except OSError as error:
        raise WorkError(f"{out}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return about


def _chosen(store: Store, choice: Choice) -> list[dict[str, Any]]:
    conditions, values = choice.conditions()
    chosen = _WAITING if choice.waiting else _REVIEWED
    with store.reading() as connection:
        found = rows(connection.execute(chosen.format(conditions=conditions), values))
    if not found:
        raise InputError(
            "no such frame waits for a review"
            if choice.waiting
            else "no such frame was reviewed: review some on the page, or export those that wait with --waiting"
        )
    for row in found:
        row["origin"] = row["origin"] or row["source"]  # frames that an older inspector kept have no origin
    return found


def _write(store: Store, folder: Path, found: list[dict[str, Any]]) -> dict[str, Any]:
    for name in ("images", "masks"):
        (folder / name).mkdir()
    (folder / "classes.json").write_text(found[0]["classes"], encoding="utf-8")
    written = []
    with (folder / REVIEWS_NAME).open("wb") as file:
        for row in found:
            name = f"{row['camera']}-{row['frame_id']:08d}-{row['id']}.png"
            mask: bytes | None = row.pop("mask")
            try:
                picture = kept_file(store, row["id"], mask=False).read_bytes()
                if mask is None:
                    mask = kept_file(store, row["id"], mask=True).read_bytes()
            except (UnknownError, FileNotFoundError):
                if row["answer"] == WAITING:
                    continue  # the page has dropped it meanwhile, to make room for a newer one
                raise
            (folder / "images" / name).write_bytes(picture)
            (folder / "masks" / name).write_bytes(mask)
            row["image"] = name
            file.write(msgspec.json.encode(sample_values(row)) + b"\n")
            written.append(row)
    if not written:
        raise InputError("every frame that waited has been reviewed or dropped meanwhile: try again")
    return _about(folder, written)


def _about(folder: Path, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Write corrections.json; returns its entry."""
    about = {
        "frames": len(found),
        "answers": _counts(found, "answer"),
        "sources": _counts(found, "origin"),
        "engines": _counts(found, "engine"),
        "reviewers": len({row["who"] for row in found if row["who"]}),
        "first_captured_ns": min(row["captured_ns"] for row in found),
        "last_captured_ns": max(row["captured_ns"] for row in found),
        "reviews_sha256": hashlib.sha256((folder / REVIEWS_NAME).read_bytes()).hexdigest(),
        "images": [row["image"] for row in found],
    }
    content = {"schema_version": SCHEMA_VERSION, "corrections": [about]}
    (folder / CORRECTIONS_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
    return about


def _counts(found: list[dict[str, Any]], column: str) -> dict[str, int]:
    return dict(sorted(Counter(row[column] for row in found).items()))
