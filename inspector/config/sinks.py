"""Where verdicts go: log and pictures, database, live view, gate, health."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, field_serializer, model_validator

from inspector.passwords import masked

_STRICT: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

Positive = Annotated[float, Field(gt=0.0)]


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
