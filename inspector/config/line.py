"""A line's config: the frame sources, the engine, and where the verdicts go."""

import difflib
import hashlib
import json
import math
import os
import re
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

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
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from inspector.config.archive import ArchiveSettings
from inspector.config.buses import MqttSettings, OpcuaSettings
from inspector.config.collect import CollectSettings
from inspector.config.mill import MillSettings
from inspector.config.page import PageSettings
from inspector.config.plans import PLAN_NAME, PlanSet, PlanSettings, load_plans
from inspector.config.report import ReportSettings
from inspector.config.strip import CameraPosition, StripSettings
from inspector.config.toml import parse, read_bytes, validate
from inspector.core.tiling import Fit
from inspector.errors import ConfigError
from inspector.names import printable
from inspector.passwords import PLACE, check_source, has_place, masked, with_password

_STRICT: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

CAMERA_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""Camera names become socket, file and unit names."""

_SQLITE: Final = "sqlite:///"

_PREFIX: Final = "INSPECTOR_"
_NESTED: Final = "__"
_NOT_OF_A_LINE: Final = re.compile(r"CONFIG|LOG_LEVEL|TEST_\w+")
"""Variables with the prefix that are not keys of a line: the config's path, the log level, the project's tests."""

_WHITE_16_BIT: Final = 65_535

Beside = TypeVar("Beside", MqttSettings, OpcuaSettings, ArchiveSettings)
"""Settings of a process beside the line, with a folder of its own."""

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


class FrameSettings(BaseModel):
    """What happens to frames of another size than the engine's; without a key they end uninspected."""

    model_config = _STRICT
    tile: bool = False
    """Inspect longer or wider frames in tiles that overlap."""
    pad: bool = False
    """Inspect shorter or narrower frames; they are mirrored at their edges up to the engine's size."""
    overlap_px: Annotated[int, Field(ge=0, le=1024)] = 128
    """Least overlap of neighbouring tiles, capped at half of the engine's size. Where tiles meet, each is used up
    to half the overlap inside its edge. With 128 px a tenth of the differences at a seam is left."""

    def fit(self, height: int, width: int, map_stride: int) -> Fit:
        """These rules for an engine of this size."""
        return Fit((height, width), map_stride, self.tile, self.pad, self.overlap_px)

    @property
    def any_size(self) -> bool:
        """Whether frames may have another size than the engine's."""
        return self.tile or self.pad


class BatchSettings(BaseModel):
    """When the worker closes a batch."""

    model_config = _STRICT
    max_frames: Annotated[int, Field(ge=1)] | None = None
    """Largest batch; None stands for the most that the engine takes, which is also the limit."""
    max_wait_ms: Annotated[float, Field(ge=0.0)] = 2.0
    """Longest time that a frame waits for others."""

    def frames(self, most: int) -> int:
        """Frames in a full batch of an engine that takes at most `most`."""
        return most if self.max_frames is None else min(self.max_frames, most)


class EngineSettings(BaseModel):
    """How the engine uses this PC."""

    model_config = _STRICT
    threads: Annotated[int, Field(ge=1)] | None = None
    slots: Annotated[int, Field(ge=1)] | None = None
    """Batches in flight; None leaves it to the backend, which uses at least two."""
    register_frames: bool = False
    """Page-lock the shared memory, so that a GPU reads frames directly from it; otherwise they are copied to
    pinned memory first."""
    cache: Path | None = None
    """Folder for the backend's compiled models; None is the user's cache folder."""


class SinkSettings(BaseModel):
    """Where verdicts go."""

    model_config = _STRICT
    out: Path = Path("out")
    """Each run makes a folder in here, named by its start time."""
    pictures: bool = True
    max_pictures: Annotated[int, Field(ge=0)] = 2000
    """Most rejected frames pictured per day of capture (UTC), so that a bad coil does not fill the disk."""
    log_megabytes: Annotated[int, Field(ge=1)] | None = None
    """Start a new verdict log at this size, for a service; None keeps one log for the whole run."""
    log_files: Annotated[int, Field(ge=1)] = 100
    """Full verdict logs to keep; the oldest is deleted."""
    keep_all: bool = False
    """Wait for a slow disk instead of leaving pictures out; a replay sets it."""


RECORDS_URL: Final = "INSPECTOR_RECORDS__URL"
"""Environment variable for the database's URL, which may hold a password; a config file must not."""


RECORDS_NAME: Final = "records.sqlite"


class RecordSettings(BaseModel):
    """Verdicts in a database."""

    model_config = _STRICT
    enabled: bool = False
    url: str | None = None
    """sqlite:///FILE or postgresql://USER@HOST/DATABASE; None is records.sqlite in `sinks.out`, shared by its
    runs."""
    keep_days: Positive | None = None
    """Delete records and pictures older than this, except marked ones; None keeps all."""
    least_free_gb: Positive | None = None
    """Below this free space, delete the oldest pictures, then the oldest records; None never does."""

    @field_serializer("url", when_used="json")
    def _without_password(self, url: str | None) -> str | None:
        """Hide the password: line.json is kept with the results. Processes get it from the environment."""
        return url if url is None else masked(url)


class ViewSettings(BaseModel):
    """Live view: verdicts with their frames, published to all subscribers."""

    model_config = _STRICT
    frames_per_second: Annotated[float, Field(ge=0.0)] = 0.0
    """Frames per second and camera that a viewer gets, clean ones included; 0 switches the view off."""
    address: Annotated[str, Field(pattern=r"^tcp://[^/\s]+:\d{1,5}$")] | None = None
    """TCP address for viewers on other PCs; needs `keys`. None is a socket beside the other links."""
    keys: Path | None = None
    """Folder made by `inspector keys line`."""

    @model_validator(mode="after")
    def _no_tcp_without_keys(self) -> "ViewSettings":
        if self.address is not None and self.keys is None:
            raise ValueError("address needs keys: make them with `inspector keys line --out DIR`")
        return self


class GateSettings(BaseModel):
    """The PLC that passes or rejects the steel, over Modbus/TCP."""

    model_config = _STRICT
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 502
    device_id: Annotated[int, Field(ge=0, le=255)] = 1
    base_register: Annotated[int, Field(ge=0, le=65_400)] = 0
    """First holding register of the gate's table."""
    timeout_ms: Annotated[float, Field(gt=0.0, le=1000.0)] = 50.0
    """Longest wait for the PLC's answer, once per turn of decide's loop. The default is five scans of a slow
    PLC: giving up a connection costs a second of rejects, too much for one answer that is slightly late."""
    late_ms: Positive | None = None
    """Age of a frame at the gate from which its verdict is marked late; None is the line's deadline."""


class HealthSettings(BaseModel):
    """decide's HTTP health server, for this PC only."""

    model_config = _STRICT
    port: Annotated[int, Field(ge=1, le=65535)]
    drift_frames: Annotated[int, Field(ge=0, le=100_000_000)] = 50_000
    """Frames of the commissioning window, with which brightness, texture, scores and class rates are compared; 0
    compares nothing."""


def default_links() -> Path:
    """The folder of the links when a config names none."""
    base = os.environ.get("XDG_RUNTIME_DIR", tempfile.gettempdir())
    return Path(base) / f"inspector-{os.getuid()}"


class LineConfig(BaseSettings):
    """line.toml, overridden by `INSPECTOR_…` environment variables (`INSPECTOR_BATCH__MAX_FRAMES=4`)."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        env_prefix=_PREFIX,
        env_nested_delimiter=_NESTED,
    )

    name: Annotated[str, Field(min_length=1)]
    engine: Path
    recipe: Path
    trusted_keys: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = ()
    """Public ed25519 keys, hex: only engines signed with one of them are opened; empty accepts any engine."""
    plans: dict[Annotated[str, Field(pattern=PLAN_NAME)], PlanSettings] = {}
    """Other recipes for certain grades and customers; `recipe` is the default."""
    coil: str | None = None
    """Coil on the line, when the source does not name it."""
    deadline_ms: Annotated[float, Field(gt=0.0, le=3_600_000.0)] = 500.0
    """Time allowed from capture to verdict; a frame without a result by then is UNINSPECTED."""
    cameras: Annotated[dict[str, SourceSettings], Field(min_length=1)]
    frames: FrameSettings = FrameSettings()
    batch: BatchSettings = BatchSettings()
    backend: EngineSettings = EngineSettings()
    sinks: SinkSettings = SinkSettings()
    records: RecordSettings = RecordSettings()
    view: ViewSettings = ViewSettings()
    gate: GateSettings | None = None
    """The gate; None only records verdicts. A replay never has one."""
    health: HealthSettings | None = None
    """The health server; None starts none. A replay never has one."""
    strip: StripSettings | None = None
    """Position, coils and Level 2; None counts positions from the frames. A replay never has one."""
    report: ReportSettings = ReportSettings()
    mill: MillSettings | None = None
    """A simulated mill: simulated cameras follow its strip."""
    page: PageSettings = PageSettings()
    collect: CollectSettings = CollectSettings()
    """What the page keeps for review."""
    archive: ArchiveSettings | None = None
    """All frames by coil; None keeps none. A replay never has one."""
    mqtt: MqttSettings | None = None
    """The broker of `inspector mqtt`."""
    opcua: OpcuaSettings | None = None
    """The server of `inspector opcua`."""
    links: Path = Field(default_factory=default_links)
    """Folder of the ipc sockets and of the frames in shared memory, best on tmpfs; created for its owner only."""
    replay: bool = False
    """Set by `inspector replay` alone: ingest epochs and verdicts do not depend on when it runs."""
    resume_frames: Annotated[int, Field(ge=0)] | None = None
    """Set only by `inspector replay --resume`: number of frames that already have verdicts."""
    identity: str | None = None
    """Set by a run alone: name and content hash of the config file that this one was resolved from."""

    def json_for_people(self) -> str:
        """All settings with defaults, without passwords, to be kept with the results."""
        return self.model_dump_json(indent=1)

    def json_for_stages(self) -> str:
        """All settings with the cameras' passwords, for a file that only its owner may read. Raises ConfigError.

        The database's URL is left out when the environment sets it, because it may hold a password.
        """
        values = self.model_dump(mode="json")
        for name, camera in self.cameras.items():
            if isinstance(camera, CameraSettings):
                values["cameras"][name] |= {"device": camera.address(), "password": None}
        if RECORDS_URL in os.environ:
            values["records"]["url"] = None
        return json.dumps(values)

    @field_validator("links")
    @classmethod
    def _on_this_pc(cls, links: Path) -> Path:
        if links.parts[:1] == ("tcp:",):
            raise ValueError(
                "must be a folder, because the stages share this PC's memory and clock; viewers on other PCs use "
                "view.address"
            )
        return links

    @field_validator("cameras")
    @classmethod
    def _plain_names(cls, cameras: dict[str, Any]) -> dict[str, Any]:
        for name in cameras:
            if not CAMERA_NAME.fullmatch(name):
                raise ValueError(f"camera {name!r}: use letters, digits, - and _, at most 64")
        return cameras

    @model_validator(mode="after")
    def _known_cameras(self) -> "LineConfig":
        for name in self.strip.cameras if self.strip is not None and not self.replay else ():
            if name not in self.cameras:
                raise ValueError(f"strip.cameras.{name}: no such camera; there is {', '.join(self.cameras)}")
        return self

    @model_validator(mode="after")
    def _camera_with_the_encoder(self) -> "LineConfig":
        position = None if self.strip is None or self.replay else self.strip.position
        if not isinstance(position, CameraPosition):
            return self
        source = self.cameras.get(position.camera)
        if source is None:
            known = ", ".join(self.cameras)
            raise ValueError(f"strip.position.camera: no camera {position.camera}; there is {known}")
        if isinstance(source, GenicamSettings) and source.encoder_chunk is None:
            raise ValueError(
                f"strip.position.camera: cameras.{position.camera} has no encoder_chunk, the chunk feature with "
                "the encoder's count"
            )
        if not isinstance(source, GenicamSettings | PythonSettings):
            raise ValueError(
                f"strip.position.camera: the frames of cameras.{position.camera} carry no count: a source of type "
                f"genicam or python can, {source.type} cannot"
            )
        return self

    @model_validator(mode="after")
    def _whole_mill(self) -> "LineConfig":
        position = None if self.strip is None else self.strip.position
        if self.mill is None and position is not None and position.type == "mill":
            raise ValueError("strip.position.type: mill is the simulated one of a [mill] table: there is none")
        roll = None if self.mill is None else self.mill.marked_roll
        known = [] if self.strip is None else [each.name for each in self.strip.rolls]
        if roll is not None and roll not in known:
            raise ValueError(
                f"mill.marked_roll: no roll {roll!r} in strip.rolls; there is {', '.join(known) or 'none'}"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # no .env files: a service has its unit
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then the file."""
        return env_settings, init_settings


class LoadedConfig:
    """A line's config with absolute paths, and the file it came from."""

    def __init__(self, path: Path, line: LineConfig, identity: str) -> None:
        self.path = path
        self.line = line
        self.identity = identity
        """Name and content hash."""

    def plans(self) -> PlanSet:
        """Load the line's recipe and plans; raises ConfigError."""
        return load_plans(self.line.recipe, self.line.plans)

    def with_engine(self, engine: Path) -> "LoadedConfig":
        """The same line with another engine folder."""
        line = self.line.model_copy(update={"engine": engine.resolve()})
        return LoadedConfig(self.path, line, self.identity)


def load_config(path: Path) -> LoadedConfig:
    """Read line.toml; relative paths start at its folder. Raises ConfigError: file, key, what is allowed."""
    raw = read_bytes(path)
    values = parse(path, raw)
    _refuse_password(path, values)
    _refuse_unknown_variables()
    line = validate(path, values, LineConfig)
    set_by_a_run = {"replay", "resume_frames", "identity"} & line.model_fields_set
    if set_by_a_run and path.suffix == ".toml":
        raise ConfigError(f"{path}: {', '.join(sorted(set_by_a_run))}: only a run sets this: remove it")
    identity = line.identity or f"{line.name}@{hashlib.sha256(raw).hexdigest()[:12]}"
    line = _absolute(line, path.resolve().parent)
    _refuse_other_bytes(path, "", line.model_dump())
    return LoadedConfig(path, line, identity)


def _refuse_other_bytes(path: Path, key: str, value: object) -> None:
    """Refuse a name that is not UTF-8: the stages get the config as JSON. It comes from a folder's or the user's
    name, or from the environment."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _refuse_other_bytes(path, f"{key}.{name}" if key else str(name), inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _refuse_other_bytes(path, key, inner)
    elif isinstance(value, (str, Path)) and printable(str(value)) != str(value):
        raise ConfigError(
            f"{printable(str(path))}: {key}: {printable(str(value))} is not UTF-8, which results could not hold: "
            "rename it, or set the key"
        )


def _refuse_unknown_variables() -> None:
    """Refuse unknown INSPECTOR_… variables: a misspelt key would silently have no effect."""
    for variable in os.environ:
        name = variable.upper().removeprefix(_PREFIX)
        if name == variable.upper() or _NOT_OF_A_LINE.fullmatch(name):
            continue
        key, nested, rest = name.partition(_NESTED)
        if key.lower() not in LineConfig.model_fields:
            close = difflib.get_close_matches(key.lower(), LineConfig.model_fields, n=1)
            hint = f": did you mean {_PREFIX}{close[0].upper()}{nested}{rest}?" if close else ""
            raise ConfigError(f"environment: {variable}: not a key of a line{hint}")


def _refuse_password(path: Path, values: dict[str, Any]) -> None:
    """Refuse a database password in the file, which many people read and which is copied beside every result."""
    records = values.get("records")
    url = records.get("url") if isinstance(records, dict) else None
    if isinstance(url, str) and masked(url) != url:
        raise ConfigError(
            f"{path}: records.url: contains a password: give the whole URL in {RECORDS_URL}, or the password in "
            "~/.pgpass"
        )


def _absolute_url(url: str | None, out: Path, base: Path) -> str:
    if url is None:
        return f"{_SQLITE}{out / RECORDS_NAME}"
    return f"{_SQLITE}{base / url.removeprefix(_SQLITE)}" if url.startswith(_SQLITE) else url


def _cache_folder() -> Path | None:
    """The user's cache folder; None for a user without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "inspector"
    except RuntimeError:
        return None


def _absolute_source(source: SourceSettings, base: Path) -> SourceSettings:
    if isinstance(source, CameraSettings):
        if isinstance(source.device, int) or "://" in source.device:
            return source
        return source.model_copy(update={"device": str(base / source.device)})
    if isinstance(source, GenicamSettings | SimulatorSettings | PythonSettings):
        return source
    if isinstance(source, ListSettings):
        return source.model_copy(
            update={"sources": tuple(_absolute_source(each, base) for each in source.sources)}
        )
    return source.model_copy(update={"path": base / source.path})


def _with_folder(bus: Beside, name: str, base: Path, out: Path) -> Beside:
    """The settings of a process beside the line, with absolute paths."""
    paths = {
        key: base / value
        for key in type(bus).model_fields
        if key != "folder" and isinstance(value := getattr(bus, key), Path)
    }
    return bus.model_copy(update=paths | {"folder": base / (bus.folder or out / name)})


def _absolute(line: LineConfig, base: Path) -> LineConfig:
    cameras = {name: _absolute_source(source, base) for name, source in line.cameras.items()}
    cache = line.backend.cache or _cache_folder()
    return line.model_copy(
        update={
            "engine": base / line.engine,
            "recipe": base / line.recipe,
            "plans": {
                name: plan.model_copy(update={"recipe": base / plan.recipe}) for name, plan in line.plans.items()
            },
            "cameras": cameras,
            "backend": line.backend.model_copy(update={"cache": cache and base / cache}),
            "sinks": line.sinks.model_copy(update={"out": base / line.sinks.out}),
            "records": line.records.model_copy(
                update={"url": _absolute_url(line.records.url, base / line.sinks.out, base)}
            ),
            "strip": line.strip and line.strip.absolute(base),
            "links": base / line.links,
            "view": line.view.model_copy(update={"keys": line.view.keys and base / line.view.keys}),
            "archive": line.archive and _with_folder(line.archive, "archive", base, base / line.sinks.out),
            "mqtt": line.mqtt and _with_folder(line.mqtt, "mqtt", base, base / line.sinks.out),
            "opcua": line.opcua and _with_folder(line.opcua, "opcua", base, base / line.sinks.out),
            "page": line.page.model_copy(
                update={
                    "folder": base / (line.page.folder or base / line.sinks.out / "page"),
                    "certificate": line.page.certificate and base / line.page.certificate,
                    "key": line.page.key and base / line.page.key,
                }
            ),
        }
    )
