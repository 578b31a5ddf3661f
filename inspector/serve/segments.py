"""Joins the frames of a coil into stretches with one decision, for its map."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

GAP: Final = 1.5
"""A step between two frames of more than this many usual steps leaves a gap in the map."""


def join_segments(frames: Iterable[Any], decisions: Mapping[str, int]) -> list[list[Any]]:
    """Return camera, start, end and decision of each stretch, positions in mm.

    `frames` are rows of camera, position_mm, decision and ingest, in the order of capture. A frame ends where the
    next one of its camera begins; the last one is as long as the one before.
    """
    segments: list[list[Any]] = []
    ingest: tuple[Any, Any] | None = None
    start_mm = length_mm = 0.0
    for camera, position_mm, decision, epoch in frames:
        step_mm = position_mm - start_mm
        # Records of older versions have a negative number, different for each frame, instead of the ingest.
        of = (camera, max(epoch, 0))
        follows = ingest == of and step_mm > 0 and (not length_mm or step_mm < GAP * length_mm)
        if follows:
            length_mm = step_mm
        if segments:
            segments[-1][2] = start_mm + length_mm
        if not follows or segments[-1][3] != decisions[decision]:
            segments.append([camera, position_mm, position_mm, decisions[decision]])
        ingest, start_mm = of, position_mm
    if segments:
        segments[-1][2] = start_mm + length_mm
    return segments
