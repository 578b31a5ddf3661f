"""A line's config: where the frames come from, which engine looks at them, where the verdicts go."""

import difflib
import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from inspector.config.toml import parse, read_bytes, validate
from inspector.errors import ConfigError
from inspector.passwords import PLACE, check_source, has_place, masked, with_password

_STRICT: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

CAMERA_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""Camera names become socket, file and unit names."""

_SQLITE: Final = "sqlite:///"

_PREFIX: Final = "INSPECTOR_"
_NESTED: Final = "__"
_NOT_OF_A_LINE: Final = re.compile(r"CONFIG|LOG_LEVEL|TEST_\w+")
"""Variables with the prefix that are no key of a line: its config's path, the log's level, the project's tests."""

_WHITE_16_BIT: Final = 65_535

Positive = Annotated[float, Field(gt=0.0)]


def _check_window(window: tuple[int, int]) -> tuple[int, int]:
    low, high = window
    if not 0 <= low < high <= _WHITE_16_BIT:
        raise ValueError(f"needs 0 ≤ low < high ≤ {_WHITE_16_BIT}")
    return window


GreyWindow = Annotated[tuple[int, int], AfterValidator(_check_window)]
"""Samples of 10- to 16-bit grey that become black and white; without it such frames are refused."""


class FolderSettings(BaseModel):
    """Images of a folder, in the order of their names."""

    model_config = _STRICT
    type: Literal["folder"]
    path: Path
    pattern: Annotated[str, Field(min_length=1)] = "*"
    """Which names: `*` stands for anything, `?` for one character."""
    follow: bool = False
    """Go on with images that appear later; such a source has no end."""
    grey_window: GreyWindow | None = None


class VideoSettings(BaseModel):
    """A video file, every frame in order."""

    model_config = _STRICT
    type: Literal["video"]
    path: Path
    grey_window: GreyWindow | None = None


class RecordingSettings(BaseModel):
    """What `inspector record` wrote."""

    model_config = _STRICT
    type: Literal["recording"]
    path: Path
    rescale: bool = False
    """Convert positions to the recipe's mm per pixel; else a recording made at another is refused."""
    mm_per_px: Positive | None = None
    """The recipe's mm per pixel along the strip; a replay fills it in."""


class CameraSettings(BaseModel):
    """A camera: V4L2, or a network camera."""

    model_config = _STRICT
    type: Literal["camera"]
    device: str | int
    """V4L2 device number or path, an address such as rtsp:// or http://, or a video file in place of one."""
    frames_per_second: Positive
    """The line rate; it says how many frames a gap has cost."""
    trigger: Literal["free", "encoder"] = "free"
    """`encoder`: the strip triggers each frame, so a camera that is connected and silent means that the strip
    stands. `free`: such silence is frames that are missing."""
    grey_window: GreyWindow | None = None
    password: Annotated[str, AfterValidator(check_source)] | None = None
    """`env:NAME` or `credential:NAME`: put into the address after its user's name, or where it says {password}."""

    @model_validator(mode="after")
    def _can_be_opened(self) -> "CameraSettings":
        device = str(self.device)
        if " ! " in device:
            raise ValueError("device: GStreamer pipelines are not taken: give the address, rtsp:// or http://")
        if self.password is not None and not has_place(device):
            raise ValueError(
                f"password: device has no place for it: write rtsp://USER@HOST/… or {PLACE} where it goes"
            )
        return self

    def address(self) -> str | int:
        """What to open, with its password. Raises ConfigError where that cannot be had."""
        if self.password is None:
            return self.device
        return with_password(str(self.device), self.password)

    @field_serializer("device", when_used="json")
    def _shown(self, device: str | int) -> str | int:
        return masked(device) if isinstance(device, str) else device


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
    """Stop after so many; None never stops."""
    distinct: Annotated[int, Field(ge=1)] | None = None
    """Render so many before the start and show them over and over: a load test is then not the renderer's."""
    frames_per_second: Positive | None = None
    """Pace of a camera that does not wait (frames are shed when the line is behind); None goes as fast as the
    line takes them."""


SourceSettings = Annotated[
    FolderSettings | VideoSettings | RecordingSettings | CameraSettings | SimulatorSettings,
    Field(discriminator="type"),
]


class BatchSettings(BaseModel):
    """When the worker closes a batch."""

    model_config = _STRICT
    max_frames: Annotated[int, Field(ge=1)] | None = None
    """At most; never more than the engine takes, which is what None stands for."""
    max_wait_ms: Annotated[float, Field(ge=0.0)] = 2.0
    """Longest a frame waits for others."""

    def frames(self, most: int) -> int:
        """Frames in a full batch of an engine that takes `most`."""
        return most if self.max_frames is None else min(self.max_frames, most)


class EngineSettings(BaseModel):
    """How the engine uses this PC."""

    model_config = _STRICT
    threads: Annotated[int, Field(ge=1)] | None = None
    slots: Annotated[int, Field(ge=1)] | None = None
    """Batches in flight; None leaves it to the backend, which never takes fewer than two."""
    register_frames: bool = False
    """A GPU takes frames straight from the memory that ingest shares, page-locked for it; else they are copied to
    pinned memory first."""
    cache: Path | None = None
    """Where the backend keeps what it compiled; None is the user's cache folder."""


class SinkSettings(BaseModel):
    """Where verdicts go."""

    model_config = _STRICT
    out: Path = Path("out")
    """A run makes a folder of its own in here, named by its start."""
    pictures: bool = True
    max_pictures: Annotated[int, Field(ge=0)] = 2000
    """Rejected frames that are pictured of one day's steel (UTC), so that a bad coil does not fill the disk."""
    log_megabytes: Annotated[int, Field(ge=1)] | None = None
    """For a service: begin a new verdict log when one is so large; None keeps one for the whole run."""
    log_files: Annotated[int, Field(ge=1)] = 100
    """Full verdict logs that are kept; the oldest goes."""
    keep_all: bool = False
    """Wait for a slow disk rather than leave pictures out; a replay does."""


RECORDS_URL: Final = "INSPECTOR_RECORDS__URL"
"""Environment variable of the database; it may hold a password, which a file must not."""


RECORDS_NAME: Final = "records.sqlite"


class RecordSettings(BaseModel):
    """Verdicts in a database."""

    model_config = _STRICT
    enabled: bool = False
    url: str | None = None
    """sqlite:///FILE or postgresql://USER@HOST/DATABASE; None is records.sqlite in `sinks.out`, shared by its
    runs."""
    keep_days: Positive | None = None
    """Records and pictures older than this are deleted, but for what an operator marked; None keeps them."""
    least_free_gb: Positive | None = None
    """Below so much free space the oldest pictures, then the oldest records are deleted; None never does."""

    @field_serializer("url", when_used="json")
    def _without_password(self, url: str | None) -> str | None:
        """line.json is kept beside the results; the processes have the password from the environment."""
        return url if url is None else masked(url)


class ViewSettings(BaseModel):
    """Live view: verdicts with their frames, published for whoever subscribes."""

    model_config = _STRICT
    frames_per_second: Annotated[float, Field(ge=0.0)] = 0.0
    """Frames a second and camera that a viewer is shown, clean ones too; 0 switches the view off."""
    address: Annotated[str, Field(pattern=r"^tcp://[^/\s]+:\d{1,5}$")] | None = None
    """For viewers on other PCs, with `keys` only; None is a socket beside the other links."""
    keys: Path | None = None
    """Folder made by `inspector keys line`."""

    @model_validator(mode="after")
    def _no_tcp_without_keys(self) -> "ViewSettings":
        if self.address is not None and self.keys is None:
            raise ValueError("address needs keys: make them with `inspector keys line --out DIR`")
        return self


class GateSettings(BaseModel):
    """The PLC that lets steel pass or throws it out, over Modbus/TCP."""

    model_config = _STRICT
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 502
    device_id: Annotated[int, Field(ge=0, le=255)] = 1
    base_register: Annotated[int, Field(ge=0, le=65_400)] = 0
    """First of the holding registers of the gate's table."""
    timeout_ms: Annotated[float, Field(gt=0.0, le=1000.0)] = 50.0
    """Longest that decide waits for the PLC's answer, once in each turn of its loop. Five scans of a slow PLC: a
    connection that is given up costs a second of rejects, too much for one answer that is a little late."""
    late_ms: Positive | None = None
    """A verdict whose frame is older at the gate is marked late; None is the line's deadline."""


class HealthSettings(BaseModel):
    """What decide says of the line over HTTP, to this PC alone."""

    model_config = _STRICT
    port: Annotated[int, Field(ge=1, le=65535)]


def _runtime_folder() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR", tempfile.gettempdir())
    return Path(base) / f"inspector-{os.getuid()}"


class LineConfig(BaseSettings):
    """line.toml, with `INSPECTOR_…` environment variables over it (`INSPECTOR_BATCH__MAX_FRAMES=4`)."""

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
    """Public ed25519 keys, hex: only engines that one of them has signed are opened; empty takes any engine."""
    coil: str | None = None
    """Coil on the line, where the source does not say."""
    deadline_ms: Annotated[float, Field(gt=0.0, le=3_600_000.0)] = 500.0
    """Capture to verdict; a frame without a result by then is UNINSPECTED."""
    cameras: Annotated[dict[str, SourceSettings], Field(min_length=1)]
    batch: BatchSettings = BatchSettings()
    backend: EngineSettings = EngineSettings()
    sinks: SinkSettings = SinkSettings()
    records: RecordSettings = RecordSettings()
    view: ViewSettings = ViewSettings()
    gate: GateSettings | None = None
    """Without it, verdicts are only recorded. A replay never has one."""
    health: HealthSettings | None = None
    """Without it, nothing listens. A replay never has one."""
    links: Path = Field(default_factory=_runtime_folder)
    """Folder of the ipc sockets and of the frames in shared memory, best on tmpfs; only its owner may enter."""

    def json_for_people(self) -> str:
        """All settings, defaults too, without a password: it is kept beside the results."""
        return self.model_dump_json(indent=1)

    def json_for_stages(self) -> str:
        """All settings, with the cameras' passwords: for a file that only its owner may read. Raises ConfigError.

        The database's URL is in the environment of the stages where it holds a password.
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
                "the stages share this PC's memory and clock: give a folder; viewers elsewhere have view.address"
            )
        return links

    @field_validator("cameras")
    @classmethod
    def _plain_names(cls, cameras: dict[str, Any]) -> dict[str, Any]:
        for name in cameras:
            if not CAMERA_NAME.fullmatch(name):
                raise ValueError(f"camera {name!r}: use letters, digits, - and _, at most 64")
        return cameras

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
    """A line's config with its paths made absolute, and where it came from."""

    def __init__(self, path: Path, line: LineConfig, identity: str) -> None:
        self.path = path
        self.line = line
        self.identity = identity
        """Name and content hash."""

    def with_engine(self, engine: Path) -> "LoadedConfig":
        """The same line with another engine folder."""
        line = self.line.model_copy(update={"engine": engine.resolve()})
        return LoadedConfig(self.path, line, self.identity)


def load_config(path: Path) -> LoadedConfig:
    """Read line.toml; relative paths in it start at its folder. Raises ConfigError: file, key, what is allowed."""
    raw = read_bytes(path)
    values = parse(path, raw)
    _refuse_password(path, values)
    _refuse_unknown_variables()
    line = validate(path, values, LineConfig)
    identity = f"{line.name}@{hashlib.sha256(raw).hexdigest()[:12]}"
    return LoadedConfig(path, _absolute(line, path.resolve().parent), identity)


def _refuse_unknown_variables() -> None:
    """A misspelt key in the environment would be a setting that is not in force, and nobody knows."""
    for variable in os.environ:
        name = variable.upper().removeprefix(_PREFIX)
        if name == variable.upper() or _NOT_OF_A_LINE.fullmatch(name):
            continue
        key, nested, rest = name.partition(_NESTED)
        if key.lower() not in LineConfig.model_fields:
            close = difflib.get_close_matches(key.lower(), LineConfig.model_fields, n=1)
            hint = f": did you mean {_PREFIX}{close[0].upper()}{nested}{rest}?" if close else ""
            raise ConfigError(f"environment: {variable}: no key of a line{hint}")


def _refuse_password(path: Path, values: dict[str, Any]) -> None:
    """A config is read by many, and copied beside every result."""
    records = values.get("records")
    url = records.get("url") if isinstance(records, dict) else None
    if isinstance(url, str) and masked(url) != url:
        raise ConfigError(
            f"{path}: records.url: holds a password: give the whole URL in {RECORDS_URL}, or the password in "
            "~/.pgpass"
        )


def _absolute_url(url: str | None, out: Path, base: Path) -> str:
    if url is None:
        return f"{_SQLITE}{out / RECORDS_NAME}"
    return f"{_SQLITE}{base / url.removeprefix(_SQLITE)}" if url.startswith(_SQLITE) else url


def _cache_folder() -> Path | None:
    """The user's; None for a user who has no home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "inspector"
    except RuntimeError:
        return None


def _absolute_source(source: SourceSettings, base: Path) -> SourceSettings:
    if isinstance(source, CameraSettings):
        if isinstance(source.device, int) or "://" in source.device:
            return source
        return source.model_copy(update={"device": str(base / source.device)})
    if isinstance(source, SimulatorSettings):
        return source
    return source.model_copy(update={"path": base / source.path})


def _absolute(line: LineConfig, base: Path) -> LineConfig:
    cameras = {name: _absolute_source(source, base) for name, source in line.cameras.items()}
    cache = line.backend.cache or _cache_folder()
    return line.model_copy(
        update={
            "engine": base / line.engine,
            "recipe": base / line.recipe,
            "cameras": cameras,
            "backend": line.backend.model_copy(update={"cache": cache and base / cache}),
            "sinks": line.sinks.model_copy(update={"out": base / line.sinks.out}),
            "records": line.records.model_copy(
                update={"url": _absolute_url(line.records.url, base / line.sinks.out, base)}
            ),
            "links": base / line.links,
            "view": line.view.model_copy(update={"keys": line.view.keys and base / line.view.keys}),
        }
    )
