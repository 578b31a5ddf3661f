"""Pictures of the live page: the newest frame of each camera, and the newest rejects."""

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np

from inspector.render.outlines import defective_part, draw_outlines, kinds_of
from inspector.values import Pixels
from inspector.wire.view import ViewMessage

LIVE_QUALITY: Final = 80
"""JPEG quality of the live frames: 60 to 90 kB for 256×1600 px of steel."""

REJECT_QUALITY: Final = 88

SIMPLIFY_PX: Final = 0.7
"""How far an outline on the page may lie beside the mask's edge, px."""

MOST_POINTS: Final = 6_000
"""Most corners of one frame's outlines; the largest pieces come first."""

Outline = tuple[int, list[int]]
"""Kind, then x and y of each corner in turn, px."""


def jpeg(pixels: Pixels, quality: int) -> bytes:
    """Encode grey [H, W] or BGR [H, W, 3]."""
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"an image of shape {pixels.shape} cannot be encoded")
    return encoded.tobytes()


def outlines(mask: Pixels) -> list[Outline]:
    """Return the outlines of every defect in a mask, largest first within a kind."""
    found: list[Outline] = []
    points = 0
    part = defective_part(mask)
    corner, mask = (part[1].start, part[0].start), mask[part]
    for kind in kinds_of(mask):
        pieces, _ = cv2.findContours(
            (mask == kind).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=corner
        )
        for piece in sorted(pieces, key=len, reverse=True):
            corners = cv2.approxPolyDP(piece, SIMPLIFY_PX, closed=True)
            points += len(corners)
            if points > MOST_POINTS:
                return found
            found.append((kind, corners.ravel().tolist()))
    return found


def reject_jpeg(seen: ViewMessage) -> bytes | None:
    """Return a reject's frame with its defects outlined, as JPEG; None for a verdict without a picture."""
    if seen.pixels is None or seen.mask is None:
        return None
    names = {defect.kind: defect.name for defect in seen.verdict.defects}
    return jpeg(draw_outlines(seen.pixels, seen.mask, names, seen.verdict.defects), REJECT_QUALITY)


def defect_values(defects: Sequence[Any]) -> list[dict[str, Any]]:
    """Return a verdict's defects for the page, largest first."""
    return [
        {
            "id": defect.id,
            "kind": defect.kind,
            "name": defect.name,
            "box": defect.box,
            "area_mm2": round(defect.area_mm2, 1),
            "across_mm": round(defect.across_mm, 1),
            "along_mm": round(defect.along_mm, 1),
            "score": round(defect.score, 3),
        }
        for defect in sorted(defects, key=lambda each: -each.area_px)
    ]
