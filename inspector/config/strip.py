"""The `[strip]` table of line.toml: where the strip is, which coil it is, who is told about it."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from inspector.config.level2 import CoilRegisters, Level2Settings
from inspector.config.plc import STRICT, Address, Factor, NumberType, PlcSettings, Positive, Register
from inspector.core.rules import Seen
from inspector.core.strip.odometer import Scale, Speeds


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

    model_config = STRICT
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


class MillPosition(BaseModel):
    """The encoder of the simulated mill, `[mill]`."""

    model_config = STRICT
    type: Literal["mill"]
    mm_per_count: Positive = 0.1
    interval_ms: Positive = 20.0

    def scale(self) -> Scale:
        """How the counter counts."""
        return Scale(self.mm_per_count, 2.0**32)


PositionSettings = Annotated[ModbusPosition | TextPosition | MillPosition, Field(discriminator="type")]


class RollSettings(BaseModel):
    """One roll that may leave marks."""

    model_config = STRICT
    name: Annotated[str, Field(min_length=1)]
    diameter_mm: Annotated[float, Field(gt=10.0, le=5000.0)]
    stand: str = ""
    side: Literal["top", "bottom"] = "top"
    elongation: Annotated[float, Field(ge=1.0, le=1000.0)] = 1.0
    """Length of the strip at the cameras ÷ its length when it leaves this roll."""


class CameraPlace(BaseModel):
    """Where one camera looks at the strip."""

    model_config = STRICT
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

    def seen(self) -> Seen:
        """How the camera sees the strip."""
        return Seen(self.mm_per_px_across, self.mm_per_px_along, self.offset_across_mm, self.mirrored)


class StripSettings(BaseModel):
    """The strip: position, coils, cameras."""

    model_config = STRICT
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
    head_offset_mm: float = 0.0
    """Way of a coil's head from where its start is said to the zero of the positions."""
    join_along_mm: Positive = 20.0
    """Places along the strip that differ less are one: the accuracy of the encoder and the cameras' offsets."""
    centre_across_mm: float | None = None
    """Middle of the strip across; None is the middle of what the cameras see."""
    result_wait_s: Positive = 3.0
    """Time after a coil's tail until its verdict: the last frames' verdicts must be in the log."""
    coil_registers: CoilRegisters | None = None
    level2: Level2Settings | None = None
    rolls: tuple[RollSettings, ...] = ()
    roll_tolerance: Annotated[float, Field(gt=0.0, le=0.1)] = 0.01
    """Share by which a roll's period may differ from its table: it is ground."""
    roll_alarm_turns: Annotated[int, Field(ge=3, le=1000)] = 3
    """A roll mark that was seen on so many turns is an alarm; 3 is the fewest that show a mark at all."""

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
