"""Corrects a camera's pictures by its calibration, before anything else uses them."""

from collections.abc import Iterator

import msgspec

from inspector.core.strip.optics import Optics
from inspector.values import Capture, Code, Uninspected


def corrected(captures: Iterator[Capture | None], optics: Optics) -> Iterator[Capture | None]:
    """Yield the same captures with corrected pictures; one of another size than the calibration's is a fault."""
    for capture in captures:
        if capture is None or capture.pixels is None:
            yield capture
        elif capture.pixels.shape != optics.size:
            (height, width), (own_height, own_width) = capture.pixels.shape, optics.size
            why = f"frame of {height}×{width} px, the camera's calibration is of {own_height}×{own_width}"
            fault = Uninspected(Code.WRONG_SIZE, why)
            yield msgspec.structs.replace(capture, pixels=None, fault=fault)
        else:
            yield msgspec.structs.replace(capture, pixels=optics.correct(capture.pixels))
