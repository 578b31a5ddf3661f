"""Places one camera's frames on the strip: position, coil, plan, and the strip's edges."""

from inspector.config.camera_calibration import load_calibration
from inspector.config.line import LineConfig, LoadedConfig
from inspector.config.strip import CameraPosition
from inspector.core.strip.edges import EdgeFinder, with_edges
from inspector.core.strip.optics import Optics
from inspector.values import Capture
from inspector.wire.strip_files import Located, StripReader


class OnStrip:
    """Asks the strip process's files, and finds edges if the camera's config says so."""

    def __init__(self, reader: StripReader, edges: EdgeFinder | None = None) -> None:
        self._reader, self._edges = reader, edges

    def place(self, capture: Capture, monotonic_ns: int, length_mm: float, counted_mm: float) -> Located:
        """The place of a frame: see `StripReader.locate`."""
        found = self._reader.locate(monotonic_ns, length_mm, counted_mm, capture.encoder_count)
        if self._edges is None or capture.pixels is None:
            return found
        return found._replace(mark=with_edges(found.mark, *self._edges.place(capture.pixels)))


def open_on_strip(config: LoadedConfig, camera: str, mm_per_px_across: float) -> OnStrip | None:
    """The camera's place on this line's strip; None without a `[strip]` table. The scale is the recipe's."""
    line = config.line
    if line.strip is None:
        return None
    position, place = line.strip.position, line.strip.camera(camera)
    carried = position.scale() if isinstance(position, CameraPosition) and position.camera == camera else None
    reader = StripReader(line.links, line.strip.speeds(), place.offset_along_mm, carried)
    return OnStrip(reader, place.edge_finder(mm_per_px_across))


def open_optics(line: LineConfig, camera: str) -> Optics | None:
    """Return the correction of the camera's pictures; None without a calibration. Raises ConfigError."""
    file = None if line.strip is None else line.strip.camera(camera).calibration
    return None if file is None else load_calibration(file, camera).optics()
