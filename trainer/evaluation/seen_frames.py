"""Detects frames that a model has seen in training: figures on such frames are too good."""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from inspector.engine.manifest import MANIFEST_NAME
from inspector.errors import InputError
from inspector.values import Pixels
from trainer.artifacts.card import is_model_folder, open_model
from trainer.data.fit import Fit, stored_fit
from trainer.data.frames import LoadedFrames

PRINT_BYTES: Final = 6
"""Length of a print: the first bytes of a frame's SHA-256. Among 10000 frames against 10000, a pair matches by
chance once in 3 million."""
PRINTS: Final = "frame_prints"
"""Key of the record in a checkpoint's facts, a card's `data` and a manifest's `quality`: part → prints."""
TRAIN: Final = "train"
VAL: Final = "val"


def frame_prints(frames: Iterable[Pixels]) -> list[bytes]:
    """Print of each frame, uint8 [H, W]: a hash of its pixels alone, independent of name and label."""
    return [hashlib.sha256(frame.tobytes()).digest()[:PRINT_BYTES] for frame in frames]


def pack(prints: Iterable[bytes]) -> str:
    """Encode the prints of one part as text for a record, sorted so that the order reveals nothing."""
    return base64.b64encode(b"".join(sorted(prints))).decode()


def unpack(text: str) -> frozenset[bytes]:
    """Decode the prints of a record; raises ValueError for a damaged text."""
    packed = base64.b64decode(text, validate=True)
    if len(packed) % PRINT_BYTES:
        raise ValueError(f"{len(packed)} bytes are not a whole number of prints")
    return frozenset(packed[at : at + PRINT_BYTES] for at in range(0, len(packed), PRINT_BYTES))


@dataclass(frozen=True, slots=True)
class Origin:
    """Record that a checkpoint, model or engine keeps of the frames it was made with."""

    prints: dict[str, frozenset[bytes]]
    """Part → prints of its frames; empty if it keeps no record."""
    digests: dict[str, str]
    """Part → SHA-256 over the whole part (`LoadedFrames.digest`)."""
    names: dict[str, list[str]]
    """Part → frame names; only a checkpoint has them."""
    fit: Fit | None = None
    """How frames of other sizes were brought to one; an engine keeps no record of it."""


def read_origin(what: Path) -> Origin:
    """Read the record of a checkpoint, model or engine that has been opened before.

    Raises InputError for a damaged record.
    """
    names: dict[str, list[str]] = {}
    if (what / MANIFEST_NAME).is_file():
        quality = json.loads((what / MANIFEST_NAME).read_bytes())["quality"]
        known = {PRINTS: quality.get(PRINTS), "val_sha256": quality.get("data_sha256")}
    elif is_model_folder(what):
        known = open_model(what).card.data
    else:
        from trainer.artifacts.checkpoint import load_checkpoint

        known = load_checkpoint(what).facts
        names = {part: list(known["split"].get(part, [])) for part in (TRAIN, VAL)}
    try:
        prints = {part: unpack(text) for part, text in (known.get(PRINTS) or {}).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{what}: its record of frames seen in training is damaged ({error}): export or build it again"
        ) from None
    digests = {part: known[key] for part in (TRAIN, VAL) if (key := f"{part}_sha256") in known and known[key]}
    return Origin(prints, digests, names, stored_fit(known))


def count_seen(origin: Origin, data: LoadedFrames) -> dict[str, Any]:
    """Count the frames that were used in training, as JSON values.

    `train` and `val` are counts, None if unknown; `told_by` names the evidence, None if there is none.
    """
    if origin.prints:
        prints = frame_prints(data.frames)
        return {
            **{part: sum(one in origin.prints.get(part, ()) for one in prints) for part in (TRAIN, VAL)},
            "told_by": "pixels",
        }
    seen: dict[str, int | None] = {}
    for part in (TRAIN, VAL):
        chosen = _indices(origin.names.get(part, []), data.names)
        if chosen is not None and data.digest(chosen) == origin.digests.get(part):
            seen[part] = len(chosen)
        elif data.digest() == origin.digests.get(part):
            seen[part] = len(data)
        else:
            seen[part] = None
    if any(value is not None for value in seen.values()):
        return {**{part: value or 0 for part, value in seen.items()}, "told_by": "the part's hash"}
    return {TRAIN: None, VAL: None, "told_by": None}


def warn_of_seen(seen: dict[str, Any], frames: int) -> str | None:
    """One warning line; None if the figures look sound, as far as the record shows."""
    if seen[TRAIN]:
        return (
            f"{seen[TRAIN]} of the {frames} frames were trained on: escape, overkill and every other figure "
            "flatter; measure on frames kept out of training"
        )
    if seen[VAL]:
        return (
            f"{seen[VAL]} of the {frames} frames chose the checkpoint, thresholds and areas: the figures flatter "
            "a little; measure on frames kept out of training and validation"
        )
    return None


def _indices(names: Sequence[str], where: Sequence[str]) -> list[int] | None:
    """Indices of all `names`; None if one is missing or `names` is empty."""
    place = {name: index for index, name in enumerate(where)}
    if not names or any(name not in place for name in names):
        return None
    return [place[name] for name in names]
