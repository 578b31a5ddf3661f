"""The `[strip]` table of line.toml: where the strip is, which coil it is, who is told about it."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from inspector.core.strip.odometer import Scale, Speeds

_STRICT: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

Positive = Annotated[float, Field(gt=0.0)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Address = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^:\s\[\]]+):\d{1,5}$")]
"""HOST:PORT."""
Register = Annotated[int, Field(ge=0, le=65_535)]
NumberType = Literal["uint16", "int16", "uint32", "int32", "float32"]


def _not_zero(value: float) -> float:
    if not value:
        raise ValueError("must not be 0")
    return value


Factor = Annotated[float, AfterValidator(_not_zero)]


class PlcSettings(BaseModel):
    """A Modbus/TCP server with holding registers: the gate's PLC or another."""

    model_config = _STRICT
    host: Annotated[str, Field(min_length=1)]
    port: Port = 502
    device_id: Annotated[int, Field(ge=0, le=255)] = 1
    timeout_ms: Annotated[float, Field(gt=0.0, le=5000.0)] = 200.0
    interval_ms: Annotated[float, Field(ge=5.0, le=10_000.0)] = 20.0
    """Time between two readings."""
    word_order: Literal["high_first", "low_first"] = "high_first"
    """Order of the registers of a value of 32 bits."""


class ModbusPosition(PlcSettings):
    """Encoder counter and speed in holding registers."""

    type: Literal["modbus"]
    counter_register: Register | None = None
    counter_type: NumberType = "uint32"
    mm_per_count: Factor = 1.0
    """Negative for a counter that counts down while the strip runs forward."""
    speed_register: Register | None = None
    speed_type: NumberType = "int32"
    speed_mm_s_per_count: Factor = 1.0

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.counter_register is None and self.speed_register is None:
            raise ValueError("needs counter_register or speed_register, best both")
        return self

    def scale(self) -> Scale:
        """How the counter counts."""
        counter_range = {"uint16": 2.0**16, "int16": 2.0**16, "float32": None}.get(self.counter_type, 2.0**32)
        return Scale(self.mm_per_count, counter_range)


def _pattern(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    if not set(groups) & {"count", "speed"}:
        raise ValueError("needs a group (?P<count>…) or (?P<speed>…)")
    return pattern


class TextPosition(BaseModel):
    """Lines of text over UDP or TCP."""

    model_config = _STRICT
    type: Literal["udp", "tcp"]
    address: Address
    """UDP: where to listen. TCP: the server to connect to."""
    pattern: Annotated[str, AfterValidator(_pattern)] = r"(?P<count>-?[\d.]+)(?:[\s;,]+(?P<speed>-?[\d.]+))?"
    """Regular expression for a line with the groups `count` and `speed`."""
    mm_per_count: Factor = 1.0
    counter_range: Positive | None = None
    """Counts after which the counter begins at 0 again; None never wraps."""
    speed_mm_s_per_count: Factor = 1.0

    def scale(self) -> Scale:
        """How the counter counts."""
        return Scale(self.mm_per_count, self.counter_range)


PositionSettings = Annotated[ModbusPosition | TextPosition, Field(discriminator="type")]


class CameraPlace(BaseModel):
    """Where one camera looks at the strip."""

    model_config = _STRICT
    mm_per_px_across: Positive | None = None
    """None is the recipe's."""
    mm_per_px_along: Positive | None = None
    offset_along_mm: float = 0.0
    """Way of the strip from the place where its position is measured to the camera's first row."""
    offset_across_mm: float = 0.0
    """Place of the frame's first column across the strip."""
    mirrored: bool = False
    """The first column is the one furthest across: the camera looks from below, or hangs the other way round."""
    side: Literal["top", "bottom"] = "top"


class StripSettings(BaseModel):
    """The strip: position, coils, cameras."""

    model_config = _STRICT
    folder: Path = Path("strip")
    """Where coils and unsent results are kept over restarts; a relative path starts at the config's folder."""
    position: PositionSettings | None = None
    """None counts the position from the frames."""
    standstill_mm_s: Positive = 10.0
    """Below this the strip stands."""
    threading_mm_s: Positive = 2000.0
    """Below this it is led through the mill."""
    max_speed_mm_s: Positive = 35_000.0
    """A counter that moves faster has jumped."""
    cameras: dict[str, CameraPlace] = {}

    @model_validator(mode="after")
    def _speeds_in_order(self) -> Self:
        if not self.standstill_mm_s < self.threading_mm_s < self.max_speed_mm_s:
            raise ValueError("needs standstill_mm_s < threading_mm_s < max_speed_mm_s")
        return self

    def speeds(self) -> Speeds:
        """The limits of the states."""
        return Speeds(self.standstill_mm_s, self.threading_mm_s, self.max_speed_mm_s)

    def camera(self, name: str) -> CameraPlace:
        """The place of a camera; the line's zero if none is given."""
        return self.cameras.get(name, CameraPlace())
