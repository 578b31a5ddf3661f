"""A camera's calibration file: the gain of its columns and its lens, made by `inspector calibrate`."""

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import numpy as np

from inspector.core.strip.optics import MOST_GAIN, Lens, Optics
from inspector.errors import ConfigError
from inspector.files import write_whole

MAKE: Final = "make it with `inspector calibrate SOURCE --camera NAME --flat-field` or `--board COLUMNSxROWS`"

Gain = Annotated[float, msgspec.Meta(ge=1 / MOST_GAIN, le=MOST_GAIN)]


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of the file."""

    format: Literal["strip-inspector camera calibration 1"]
    camera: str
    height: Annotated[int, msgspec.Meta(ge=1)]
    width: Annotated[int, msgspec.Meta(ge=1)]
    """Size of the camera's pictures, px."""
    gain: tuple[Gain, ...] | None = None
    """Factor of each column; None leaves the brightness as it is."""
    lens: Lens | None = None
    made_from: tuple[str, ...] = ()
    """The source that it was measured on, for people."""

    def optics(self) -> Optics:
        """Return the correction of this camera's pictures."""
        gain = None if self.gain is None else np.array(self.gain, np.float32)
        return Optics(self.height, self.width, gain, self.lens)


FORMAT: Final = "strip-inspector camera calibration 1"


def load_calibration(path: Path, camera: str) -> Calibration:
    """Read a file of this camera. Raises ConfigError with one line."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such calibration of camera {camera}: {MAKE}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        found = msgspec.json.decode(content, type=Calibration)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a calibration of a camera ({error}): {MAKE}") from None
    if found.camera != camera:
        raise ConfigError(f"{path}: is the calibration of camera {found.camera}, not of {camera}")
    if found.gain is not None and len(found.gain) != found.width:
        raise ConfigError(f"{path}: gain: has {len(found.gain)} columns, the pictures have {found.width}: {MAKE}")
    if found.lens is not None and not _possible(found.lens):
        raise ConfigError(f"{path}: lens: cannot be one: {MAKE}")
    return found


def _possible(lens: Lens) -> bool:
    numbers = np.array([*lens.focal_px, *lens.centre_px, *lens.distortion])
    return bool(np.isfinite(numbers).all()) and min(lens.focal_px) > 0


def store_calibration(path: Path, calibration: Calibration) -> None:
    """Write a file, as a whole or not at all. Raises OSError."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(calibration), indent=1))
