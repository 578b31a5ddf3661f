"""Where a camera's frames come from: files, cameras, the simulator, or a class of the user's."""

import math
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_serializer,
    field_validator,
    model_validator,
)

from inspector.passwords import PLACE, check_source, has_place, masked, with_password

_STRICT: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

_WHITE_16_BIT: Final = 65_535


Positive = Annotated[float, Field(gt=0.0)]


def _check_window(window: tuple[int, int]) -> tuple[int, int]:
    low, high = window
    if not 0 <= low < high <= _WHITE_16_BIT:
        raise ValueError(f"needs 0 ≤ low < high ≤ {_WHITE_16_BIT}")
    return window


GreyWindow = Annotated[tuple[int, int], AfterValidator(_check_window)]
"""Samples of 10- to 16-bit grey that map to black and white; without it such frames are refused."""


class FolderSettings(BaseModel):
    """A folder of images, in the order of their names."""

    model_config = _STRICT
    type: Literal["folder"]
    path: Path
    pattern: Annotated[str, Field(min_length=1)] = "*"
    """Filter for names: `*` matches anything, `?` one character."""
    follow: bool = False
    """Continue with images that appear later; such a source has no end."""
    grey_window: GreyWindow | None = None


class VideoSettings(BaseModel):
    """A video file, every frame in order."""

    model_config = _STRICT
    type: Literal["video"]
    path: Path
    grey_window: GreyWindow | None = None


class RecordingSettings(BaseModel):
    """A recording made by `inspector record`."""

    model_config = _STRICT
    type: Literal["recording"]
    path: Path
    rescale: bool = False
    """Convert positions to the recipe's mm per pixel; otherwise a recording made at another scale is refused."""
    mm_per_px: Positive | None = None
    """The recipe's mm per pixel along the strip; filled in when the source is opened."""


def is_v4l2(device: str | int) -> bool:
    """Whether V4L2 opens the device, by its number or path."""
    return isinstance(device, int) or device.startswith(("/dev/video", "/dev/v4l/"))


class V4l2Settings(BaseModel):
    """How a V4L2 camera is set up before the first frame; None leaves it as it is."""

    model_config = _STRICT
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    """Width and height, px."""
    pixel_format: Annotated[str, Field(pattern=r"^[A-Z0-9]{3,4}$")] | None = None
    """V4L2's four letters, such as GREY, Y10, Y12, Y16, YUYV or MJPG."""
    exposure_us: Annotated[int, Field(ge=100, multiple_of=100)] | None = None
    """Exposure time, µs, in steps of 100, as V4L2 counts it; switches automatic exposure off."""


class CameraSettings(BaseModel):
    """A V4L2 or network camera."""

    model_config = _STRICT
    type: Literal["camera"]
    device: str | int
    """V4L2 device number or path, an address such as rtsp:// or http://, or a video file."""
    frames_per_second: Positive
    """The line rate, from which the number of frames lost in a gap follows."""
    trigger: Literal["free", "encoder"] = "free"
    """`encoder`: the strip triggers each frame, so silence of a connected camera means that the strip stands
    still. `free`: such silence means missing frames."""
    grey_window: GreyWindow | None = None
    v4l2: V4l2Settings | None = None
    """Only for a V4L2 device."""
    password: Annotated[str, AfterValidator(check_source)] | None = None
    """`env:NAME` or `credential:NAME`; put into the address after the user name, or in place of {password}."""

    @model_validator(mode="after")
    def _can_be_opened(self) -> "CameraSettings":
        device = str(self.device)
        if " ! " in device:
            raise ValueError("device: GStreamer pipelines are not supported: give the address, rtsp:// or http://")
        if self.v4l2 is not None and not is_v4l2(self.device):
            raise ValueError(f"v4l2: only a V4L2 device has these settings; {masked(device)} is none")
        if self.password is not None and not has_place(device):
            raise ValueError(
                f"password: device has no place for it: write rtsp://USER@HOST/… or {PLACE} where it goes"
            )
        return self

    def address(self) -> str | int:
        """The device or address to open, with its password. Raises ConfigError when that is not available."""
        if self.password is None:
            return self.device
        return with_password(str(self.device), self.password)

    @field_serializer("device", when_used="json")
    def _shown(self, device: str | int) -> str | int:
        return masked(device) if isinstance(device, str) else device


FeatureValue = bool | int | float | str


def _feature_tables(given: object) -> object:
    """One table becomes a list of it; raises ValueError with one line, where pydantic has one per type."""
    tables = [given] if isinstance(given, dict) else given
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError("needs a table of names and values, or a list of such tables")
    for table in tables:
        for name, value in table.items():
            if not isinstance(value, FeatureValue) or (isinstance(value, float) and not math.isfinite(value)):
                raise ValueError(f"{name}: needs a number, text, true or false")
    return tables


class GenicamSettings(BaseModel):
    """A GigE Vision or USB3 Vision camera."""

    model_config = _STRICT
    type: Literal["genicam"]
    device: Annotated[str, Field(min_length=1)]
    """The camera's id as `inspector cameras` shows it, or its IP address."""
    frames_per_second: Positive
    """The line rate, in frames as they are inspected."""
    trigger: Literal["free", "encoder"] = "free"
    """As for `camera`; the camera's own trigger features go into `features`."""
    frame_height: Annotated[int, Field(ge=1)] | None = None
    """Rows of a frame that is gathered from the pictures of a line-scan camera; None takes each picture as a
    frame."""
    grey_window: GreyWindow | None = None
    encoder_chunk: Annotated[str, Field(min_length=1)] | None = None
    """Integer chunk feature with the encoder's count, for example ChunkEncoderValue."""
    features: Annotated[list[dict[str, FeatureValue]], BeforeValidator(_feature_tables)] = []
    """The camera's features by their GenICam names, set in this order. One table in the file, or a list of tables,
    which can set a feature again, with another selector before it."""


class SimulatorSettings(BaseModel):
    """A simulated strip."""

    model_config = _STRICT
    type: Literal["simulator"]
    seed: Annotated[int, Field(ge=0)] = 1
    height: Annotated[int, Field(ge=64)] = 256
    width: Annotated[int, Field(ge=64)] = 1600
    defective_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    coil_frames: Annotated[int, Field(ge=1)] = 500
    frames: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many frames; None never stops."""
    distinct: Annotated[int, Field(ge=1)] | None = None
    """Render this many frames before the start and repeat them: a load test then does not measure the renderer."""
    frames_per_second: Positive | None = None
    """Pace of a camera that does not wait (frames are shed when the line is behind); None runs as fast as the
    line takes frames."""
    strip_width: Annotated[int, Field(ge=64)] | None = None
    """Columns of the whole strip; this camera sees `width` of them from `first_column` on. None is `width`."""
    first_column: Annotated[int, Field(ge=0)] = 0
    mirrored: bool = False
    """The camera's first column is the last one of the part of the strip that it sees."""
    roll_period_px: Annotated[float, Field(ge=64.0)] | None = None
    """Rows between two marks of a damaged roll; None simulates no such roll."""
    roll_missed_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3
    """Share of a roll's turns without a mark."""

    @model_validator(mode="after")
    def _on_the_strip(self) -> "SimulatorSettings":
        if self.first_column + self.width > (self.strip_width or self.width):
            raise ValueError("first_column + width must not be over strip_width")
        return self


class PythonSettings(BaseModel):
    """A source of your own, a class that follows `inspector.api.Source`."""

    model_config = _STRICT
    type: Literal["python"]
    factory: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    """`module:Class`; Python must find the module where the line runs."""
    options: dict[str, Any] = {}
    """Keyword arguments of the class."""

    @field_validator("options")
    @classmethod
    def _no_passwords(cls, options: dict[str, Any]) -> dict[str, Any]:
        """The options are kept beside the results, where many people read them."""
        for key, value in options.items():
            if isinstance(value, str) and masked(f"{key}={value}") != f"{key}={value}":
                raise ValueError(f"{key} looks like a password: let {key} name an environment variable or a file")
        return options


FileSettings = FolderSettings | VideoSettings | RecordingSettings
"""Sources that lie on a disk."""


class ListSettings(BaseModel):
    """Several folders, videos or recordings, one after the other."""

    model_config = _STRICT
    type: Literal["list"]
    sources: Annotated[tuple[Annotated[FileSettings, Field(discriminator="type")], ...], Field(min_length=1)]

    @field_validator("sources")
    @classmethod
    def _end(cls, sources: tuple[FileSettings, ...]) -> tuple[FileSettings, ...]:
        if any(isinstance(source, FolderSettings) and source.follow for source in sources[:-1]):
            raise ValueError("only the last source may have follow = true: what comes after it would never begin")
        return sources


SourceSettings = Annotated[
    ListSettings
    | FolderSettings
    | VideoSettings
    | RecordingSettings
    | CameraSettings
    | GenicamSettings
    | SimulatorSettings
    | PythonSettings,
    Field(discriminator="type"),
]
