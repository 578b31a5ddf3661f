"""A line's config: the frame sources, the engine, and where the verdicts go."""

import difflib
import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
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
from inspector.config.sinks import (
    RECORDS_NAME,
    RECORDS_URL,
    GateSettings,
    HealthSettings,
    RecordSettings,
    SinkSettings,
    ViewSettings,
)
from inspector.config.sources import (
    CameraSettings,
    GenicamSettings,
    ListSettings,
    PythonSettings,
    SimulatorSettings,
    SourceSettings,
)
from inspector.config.strip import CameraPosition, StripSettings
from inspector.config.toml import parse, read_bytes, validate
from inspector.core.tiling import Fit
from inspector.errors import ConfigError
from inspector.names import printable
from inspector.passwords import masked

_STRICT: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

CAMERA_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""Camera names become socket, file and unit names."""

_SQLITE: Final = "sqlite:///"

_PREFIX: Final = "INSPECTOR_"
_NESTED: Final = "__"
_NOT_OF_A_LINE: Final = re.compile(r"CONFIG|LOG_LEVEL|TEST_\w+")
"""Variables with the prefix that are not keys of a line: the config's path, the log level, the project's tests."""

Beside = TypeVar("Beside", MqttSettings, OpcuaSettings, ArchiveSettings)
"""Settings of a process beside the line that keeps files in a separate folder."""

Positive = Annotated[float, Field(gt=0.0)]


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
    def _cameras_at_one_place(self) -> "LineConfig":
        if self.strip is None or self.strip.position is not None or self.replay:
            return self
        places = {name: self.strip.camera(name).offset_along_mm for name in self.cameras}
        if len(set(places.values())) > 1:
            raise ValueError(
                "strip.cameras: offset_along_mm differs, but without [strip.position] each camera counts its own "
                "frames from the same zero: give a position source, or put all cameras at one place"
            )
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
