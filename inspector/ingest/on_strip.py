"""Places one camera's frames on the strip: position, coil, plan, and the strip's edges."""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from inspector.config.camera_calibration import load_calibration
from inspector.config.line import LineConfig, LoadedConfig
from inspector.config.strip import CameraPosition
from inspector.core.borders import Span
from inspector.core.strip.edges import EdgeFinder, with_edges
from inspector.core.strip.optics import Optics
from inspector.values import Capture, Code, Uninspected
from inspector.wire.strip_files import Located, StripReader

WANDER_MM: Final = 20.0
"""How far the strip may lie beside its middle, mm, before a camera beside it sees steel."""

EDGE_MM: Final = 50.0
"""How far inside of the stated width a found edge may lie, mm: wander, and widths before trimming. A camera that
sees this much further across shows the strip's edge instead."""


def _no_span(_: int) -> Span:
    return Span(0.0, 0.0)


class OnStrip:
    """Asks the strip process's files, and finds edges if the camera's config says so."""

    def __init__(
        self,
        reader: StripReader,
        edges: EdgeFinder | None = None,
        span: Callable[[int], Span] = _no_span,
        middle_mm: float | None = None,
        neighbours: tuple[bool, bool] = (False, False),
    ) -> None:
        """`span` returns what the camera sees across with pictures of a width in px. `middle_mm` is the place of
        the strip's middle; None if it is not known, and then no coil's stated width says anything. `neighbours`
        tells whether other cameras see beyond the picture, at the side of the smaller places and at the other."""
        self._reader, self._edges, self._span, self._middle_mm = reader, edges, span, middle_mm
        self._neighbours = neighbours

    def place(self, capture: Capture, monotonic_ns: int, length_mm: float, counted_mm: float) -> Located:
        """The place of a frame: see `StripReader.locate`."""
        found = self._reader.locate(monotonic_ns, length_mm, counted_mm, capture.encoder_count)
        if capture.pixels is None:
            return found
        if found.width_mm is not None and self._sees_no_steel(found.width_mm, capture.pixels.shape[1]):
            found = found._replace(mark=msgspec.structs.replace(found.mark, no_steel=True))
        if self._edges is None:
            return found
        left_mm, right_mm = self._edges.place(capture.pixels)
        if found.width_mm is None or self._middle_mm is None:
            # Another camera shows steel there: what is dark at this side may be a defect.
            left_mm, right_mm = (
                None if has_neighbour else edge_mm
                for edge_mm, has_neighbour in zip((left_mm, right_mm), self._neighbours, strict=True)
            )
        return found._replace(mark=with_edges(found.mark, left_mm, right_mm))

    def edge_fault(self, found: Located) -> Uninspected | None:
        """Why the edges found in a frame cannot be the strip's: they lie inside the coil's stated width.

        Steel that has lost its light looks like background.
        """
        if found.width_mm is None or self._middle_mm is None:
            return None
        half_mm = found.width_mm / 2 - EDGE_MM
        for edge_mm, outwards in ((found.mark.left_mm, -1), (found.mark.right_mm, 1)):
            if isinstance(edge_mm, msgspec.UnsetType):
                continue
            short_mm = half_mm - outwards * (edge_mm - self._middle_mm)
            if short_mm > 0:
                text = (
                    f"the strip's edge was found {short_mm + EDGE_MM:.0f} mm inside the coil's stated width: "
                    "unlit steel, or a wrong width"
                )
                return Uninspected(Code.PICTURE_UNEVEN, text)
        return None

    def _sees_no_steel(self, width_mm: float, picture_px: int) -> bool:
        """Whether a strip of this width ends before the camera's picture begins."""
        if self._middle_mm is None:
            return False
        reach_mm = width_mm / 2 + WANDER_MM
        span = self._span(picture_px)
        return span.from_mm - self._middle_mm > reach_mm or span.to_mm - self._middle_mm < -reach_mm


def open_on_strip(config: LoadedConfig, camera: str, mm_per_px_across: float, width_px: int) -> OnStrip | None:
    """The camera's place on this line's strip; None without a `[strip]` table. The scale is the recipe's, the
    width that of the engine's frames."""
    line = config.line
    if line.strip is None:
        return None
    position, place = line.strip.position, line.strip.camera(camera)
    carried = position.scale() if isinstance(position, CameraPosition) and position.camera == camera else None
    reader = StripReader(line.links, line.strip.speeds(), place.offset_along_mm, carried)
    middle_mm = line.strip.centre_across_mm
    spans = {name: line.strip.camera(name).span(mm_per_px_across, width_px) for name in line.cameras}
    if middle_mm is None and not line.frames.any_size:  # the other cameras' widths are the engine's
        middle_mm = (min(each.from_mm for each in spans.values()) + max(each.to_mm for each in spans.values())) / 2
    own = spans[camera]
    beside = [span for name, span in spans.items() if line.strip.camera(name).side == place.side]
    neighbours = (
        any(span.from_mm < own.from_mm - EDGE_MM for span in beside),
        any(span.to_mm > own.to_mm + EDGE_MM for span in beside),
    )
    finder = place.edge_finder(mm_per_px_across)
    return OnStrip(reader, finder, partial(place.span, mm_per_px_across), middle_mm, neighbours)


def open_optics(line: LineConfig, camera: str) -> Optics | None:
    """Return the correction of the camera's pictures; None without a calibration. Raises ConfigError."""
    file = None if line.strip is None else line.strip.camera(camera).calibration
    return None if file is None else load_calibration(file, camera).optics()
