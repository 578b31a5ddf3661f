"""The pictures of rejects inside the report, made small enough to be mailed."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from inspector.sinks.number_text import thousands
from inspector.sinks.pictures import picture_name
from inspector.values import Verdict

PICTURE_PX: Final = 1200
PICTURE_QUALITY: Final = 72
"""40 frames of 256×1600 then take about 2 MB."""
MAX_REASONS: Final = 6
"""Reasons told of one picture."""


@dataclass(frozen=True, slots=True)
class RejectPicture:
    """One rejected frame as the report shows it."""

    camera: str
    frame_id: int
    coil: str | None
    position_mm: float
    reasons: tuple[str, ...]
    more: int
    """Reasons left out."""
    jpeg: str | None
    """Base64; None where the file cannot be read."""
    width_px: int
    height_px: int
    """Of the frame, before it was made smaller."""


def show_rejects(rejects: Sequence[Verdict], folder: Path) -> tuple[RejectPicture, ...]:
    """Load the pictures of `rejects` from `folder`; one that has gone or is damaged is shown without."""
    return tuple(_show(verdict, folder) for verdict in rejects)


def tell_rest(shown: int, pictured: int, rejected: int) -> str:
    """Say which rejects are shown and where the others are."""
    if not rejected:
        return ""
    if not pictured:
        return "No picture of a reject was kept."
    said = [
        "All of them, largest area of defects first."
        if shown == rejected
        else f"The {thousands(shown)} with the largest area of defects, of {thousands(rejected)}."
    ]
    if pictured > shown:
        said.append(f"Pictures of {thousands(pictured - shown)} more are in the folder rejects.")
    if rejected > pictured:
        said.append(f"Of {thousands(rejected - pictured)} no picture was kept.")
    return " ".join(said)


def _show(verdict: Verdict, folder: Path) -> RejectPicture:
    jpeg, (width_px, height_px) = None, (0, 0)
    try:
        content = (folder / f"{picture_name(verdict.camera, verdict.frame_id)}.jpg").read_bytes()
    except OSError:
        content = b""  # said in the report, in the picture's place
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if picture is not None:
        height_px, width_px = picture.shape[:2]
        if width_px > PICTURE_PX:
            size = (PICTURE_PX, max(1, round(height_px * PICTURE_PX / width_px)))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        _, encoded = cv2.imencode(
            ".jpg",
            picture,
            [
                cv2.IMWRITE_JPEG_QUALITY,
                PICTURE_QUALITY,
                cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,  # thin coloured lines
            ],
        )
        jpeg = base64.b64encode(encoded.tobytes()).decode()
    return RejectPicture(
        verdict.camera,
        verdict.frame_id,
        verdict.coil,
        verdict.position_mm,
        verdict.reasons[:MAX_REASONS],
        len(verdict.reasons[MAX_REASONS:]),
        jpeg,
        width_px,
        height_px,
    )
