"""The `[strip]` table of line.toml: sources of position and coils, cameras, rolls, Level 2."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from inspector.config.level2 import CoilRegisters, Level2Settings
from inspector.config.plc import (
    LAST_REGISTER,
    STRICT,
    Address,
    Factor,
    NumberType,
    PlcSettings,
    Positive,
    Register,
)
from inspector.core.borders import Span
from inspector.core.rules import CameraView
from inspector.core.strip.edges import EdgeFinder
from inspector.core.strip.odometer import Scale, Speeds

MOST_REGISTERS: Final = 125
"""Registers of one Modbus request."""


class ModbusPosition(PlcSettings):
    """Encoder counter and speed in holding registers."""

    type: Literal["modbus"]
    counter_register: Register | None = None
    counter_type: NumberType = "uint32"
    mm_per_count: Factor = 1.0
    """Negative for a counter that counts down in forward travel."""
    speed_register: Register | None = None
    speed_type: NumberType = "int32"
    speed_mm_s_per_count: Factor = 1.0

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.counter_register is None and self.speed_register is None:
            raise ValueError("needs counter_register or speed_register, best both")
        ends = [
            (register, register + (1 if kind.endswith("16") else 2))
            for register, kind in (
                (self.counter_register, self.counter_type),
                (self.speed_register, self.speed_type),
            )
            if register is not None
        ]
        first, end = min(start for start, _ in ends), max(end for _, end in ends)
        if end - first > MOST_REGISTERS:
            raise ValueError(
                f"counter_register and speed_register are read at once, and lie {end - first} registers apart: "
                f"Modbus reads {MOST_REGISTERS} at most"
            )
        if end > LAST_REGISTER + 1:
            raise ValueError(f"a value of 32 bits needs two registers, and {LAST_REGISTER} is the last one")
        return self

    def scale(self) -> Scale:
        """How the counter counts."""
        counter_range = {"uint16": 2.0**16, "int16": 2.0**16, "float32": None}.get(self.counter_type, 2.0**32)
        return Scale(self.mm_per_count, counter_range)


def _pattern(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    if not set(groups) & {"count", "speed"}:
        raise ValueError("needs a group (?P<count>…) or (?P<speed>…)")
    return pattern


class TextPosition(BaseModel):
    """Lines of text over UDP or TCP."""

    model_config = STRICT
    type: Literal["udp", "tcp"]
    address: Address
    """Address to listen on (UDP), or of the server to connect to (TCP)."""
    pattern: Annotated[str, AfterValidator(_pattern)] = r"(?P<count>-?[\d.]+)(?:[\s;,]+(?P<speed>-?[\d.]+))?"
    """Regular expression for a whole line, with the group `count`, `speed` or both."""
    mm_per_count: Factor = 1.0
    counter_range: Positive | None = None
    """Counts after which the counter wraps to 0; None never wraps."""
    speed_mm_s_per_count: Factor = 1.0

    def scale(self) -> Scale:
        """How the counter counts."""
        return Scale(self.mm_per_count, self.counter_range)


class CameraPosition(BaseModel):
    """The encoder's count that the frames of one camera carry."""

    model_config = STRICT
    type: Literal["camera"]
    camera: Annotated[str, Field(min_length=1)]
    mm_per_count: Factor = 1.0
    """Negative for a counter that counts down while the strip runs forward."""
    counter_range: Positive | None = 2.0**32
    """Counts after which the counter begins at 0 again."""

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


PositionSettings = Annotated[
    ModbusPosition | TextPosition | CameraPosition | MillPosition, Field(discriminator="type")
]


def has_counter(position: PositionSettings) -> bool:
    """Whether a source reads a counter; a speed alone gives positions that drift."""
    if isinstance(position, ModbusPosition):
        return position.counter_register is not None
    return not isinstance(position, TextPosition) or "count" in re.compile(position.pattern).groupindex


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
    """The place of one camera at the strip."""

    model_config = STRICT
    mm_per_px_across: Positive | None = None
    """None is the recipe's."""
    mm_per_px_along: Positive | None = None
    offset_along_mm: float = 0.0
    """Length of strip from the place where its position is measured to the camera's first row."""
    offset_across_mm: float = 0.0
    """Place of the frame's first column across the strip."""
    mirrored: bool = False
    """The first column is the furthest across, because the camera looks from below or is mounted reversed."""
    side: Literal["top", "bottom"] = "top"
    edges: Literal["dark", "bright"] | None = None
    """What is beside the strip in this camera's pictures; the strip's edges are then found in each frame. None
    looks for none."""

    calibration: Path | None = None
    """File made by `inspector calibrate` that corrects this camera's pictures; None leaves them as they are."""

    def edge_finder(self, mm_per_px_across: float) -> EdgeFinder | None:
        """Finds this camera's edges, at the recipe's scale unless it has its own; None if it looks for none."""
        if self.edges is None:
            return None
        scale = self.mm_per_px_across or mm_per_px_across
        return EdgeFinder(scale, self.offset_across_mm, self.mirrored, self.edges == "bright")

    def span(self, mm_per_px_across: float, width_px: int) -> Span:
        """What the camera sees across the strip."""
        width_mm = (self.mm_per_px_across or mm_per_px_across) * width_px
        from_mm = self.offset_across_mm - (width_mm if self.mirrored else 0.0)
        return Span(from_mm, from_mm + width_mm)

    def view(self) -> CameraView:
        """Return how the camera sees the strip."""
        return CameraView(self.mm_per_px_across, self.mm_per_px_along, self.offset_across_mm, self.mirrored)


class StripSettings(BaseModel):
    """The strip: position, coils, cameras."""

    model_config = STRICT
    folder: Path = Path("strip")
    """Folder for coils and unsent results, kept over restarts; a relative path starts at the config's folder."""
    position: PositionSettings | None = None
    """Source of the position; None counts it from the frames."""
    standstill_mm_s: Positive = 10.0
    """Speed below which the strip stands."""
    threading_mm_s: Positive = 2000.0
    """Speed below which the strip is threaded."""
    max_speed_mm_s: Positive = 35_000.0
    """Highest possible speed; a counter that moves faster has jumped."""
    cameras: dict[str, CameraPlace] = {}
    http_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port for coil orders over HTTP from programs on this PC; None takes none."""
    head_offset_mm: float = 0.0
    """Length of strip from the point at which a coil's start is reported to the zero of the positions."""
    join_along_mm: Positive = 20.0
    """Places along the strip that differ by less are the same: the error of encoder and cameras' offsets."""
    centre_across_mm: float | None = None
    """Position of the strip's middle across; None uses the middle of what the cameras see."""
    result_wait_s: Positive = 3.0
    """Time from a coil's tail to its verdict: the verdicts of its last frames must be in the log by then."""
    coil_registers: CoilRegisters | None = None
    level2: Level2Settings | None = None
    rolls: tuple[RollSettings, ...] = ()
    roll_tolerance: Annotated[float, Field(gt=0.0, le=0.1)] = 0.01
    """Share by which a roll's period may differ from its table, because rolls are reground."""
    roll_alarm_turns: Annotated[int, Field(ge=3, le=1000)] = 3
    """Turns on which a roll mark must be seen to raise an alarm; 3 is the fewest that show a mark at all."""

    @model_validator(mode="after")
    def _rolls_differ(self) -> Self:
        names = [(roll.name, roll.stand, roll.side) for roll in self.rolls]
        for name, stand, side in names:
            if names.count((name, stand, side)) > 1:
                raise ValueError(f"rolls: {name} of one stand and side is there twice: give one another name")
        return self

    @model_validator(mode="after")
    def _speeds_in_order(self) -> Self:
        if not self.standstill_mm_s < self.threading_mm_s < self.max_speed_mm_s:
            raise ValueError("needs standstill_mm_s < threading_mm_s < max_speed_mm_s")
        return self

    def speeds(self) -> Speeds:
        """Return the limits of the strip's states."""
        return Speeds(self.standstill_mm_s, self.threading_mm_s, self.max_speed_mm_s)

    def absolute(self, base: Path) -> "StripSettings":
        """The same with paths that start at the config's folder."""
        cameras = {
            name: place.model_copy(update={"calibration": place.calibration and base / place.calibration})
            for name, place in self.cameras.items()
        }
        return self.model_copy(update={"folder": base / self.folder, "cameras": cameras})

    def beside(self, camera: str, width_by_camera: Mapping[str, int], mm_per_px_across: float) -> tuple[Span, ...]:
        """What the other cameras of a camera's side see across; a scale is the recipe's unless it is set.

        `width_by_camera` is the width of each camera's frames, px.
        """
        side = self.camera(camera).side
        return tuple(
            self.camera(other).span(mm_per_px_across, width_px)
            for other, width_px in width_by_camera.items()
            if other != camera and self.camera(other).side == side
        )

    def camera(self, name: str) -> CameraPlace:
        """Return the place of a camera; by default the zero of the positions."""
        return self.cameras.get(name, CameraPlace())
