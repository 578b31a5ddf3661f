"""The `[strip]` table of line.toml: where the strip is, which coil it is, who is told about it."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from inspector.core.rules import Seen
from inspector.core.strip.odometer import Scale, Speeds
from inspector.core.strip.telegram import Codec, FieldSpec, FieldType, Layout, TelegramSpec

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


class FieldSettings(BaseModel):
    """One field of a telegram or a register block."""

    model_config = _STRICT
    name: str = ""
    type: FieldType
    length: Annotated[int, Field(ge=0, le=4096)] = 0
    scale: Factor = 1.0
    decimals: Annotated[int, Field(ge=0, le=9)] = 0
    value: str = ""
    codes: dict[str, int | str] = {}
    count: Annotated[int, Field(ge=0, le=1000)] = 0
    fields_: Annotated[tuple["FieldSettings", ...], Field(alias="fields")] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type in ("text", "number", "filler") and not self.length:
            raise ValueError(f"field {self.name or self.type}: needs a length")
        if self.type == "group" and not (self.count and self.fields_):
            raise ValueError(f"field {self.name or self.type}: a group needs count and fields")
        if self.type != "filler" and not self.name:
            raise ValueError("a field needs a name; what is not used is a filler")
        return self

    def spec(self) -> FieldSpec:
        """The field as the codec takes it."""
        return FieldSpec(
            self.name, self.type, self.length, self.scale, self.decimals, self.value, dict(self.codes), self.count,
            tuple(each.spec() for each in self.fields_),
        )  # fmt: skip


TelegramName = Literal["coil_start", "coil_end", "result", "alive", "ack"]


class TelegramSettings(BaseModel):
    """One kind of telegram."""

    model_config = _STRICT
    code: Annotated[str, Field(min_length=1)]
    """What the header's field `type` has."""
    fields_: Annotated[tuple[FieldSettings, ...], Field(alias="fields")] = ()


NUMBERS: Final = frozenset(
    {"width_mm", "thickness_mm", "length_mm", "position_mm", "of_sequence", "code", "number", "sequence", "length"}
)
"""Fields that are numbers here."""


def _refuse_texts(where: str, fields: "tuple[FieldSettings, ...]") -> None:
    for field in fields:
        if field.name in NUMBERS and field.type == "text":
            raise ValueError(f"{where}: {field.name} is a number: give it the type number, or a packed one")


class Level2Settings(BaseModel):
    """The mill's automation, over TCP."""

    model_config = _STRICT
    connect: Address | None = None
    listen: Address | None = None
    """One of the two: who makes the connection."""
    byte_order: Literal["big", "little"] = "big"
    encoding: Literal["ascii", "latin-1", "cp1252", "cp1251", "iso8859-2"] = "latin-1"
    terminator: str = ""
    """Bytes at the end of each telegram, such as "\\r\\n"."""
    alive_s: Positive = 5.0
    """Time between two of our alive telegrams."""
    timeout_s: Positive = 15.0
    """A partner that has sent nothing for this long is gone."""
    resend_s: Positive = 5.0
    """Longest wait for an acknowledgement before a telegram is sent again."""
    header: Annotated[tuple[FieldSettings, ...], Field(min_length=1)]
    telegrams: dict[TelegramName, TelegramSettings]

    @model_validator(mode="after")
    def _can_talk(self) -> Self:
        if (self.connect is None) == (self.listen is None):
            raise ValueError("give connect or listen, one of them")
        if "type" not in {field.name for field in self.header}:
            raise ValueError("header: needs a field `type`, which tells telegrams apart")
        if "coil_start" in self.telegrams:
            names = {field.name for field in self.telegrams["coil_start"].fields_}
            if "id" not in names:
                raise ValueError("telegrams.coil_start: needs a field `id`")
            if unknown := names - COIL_FIELDS:
                allowed = ", ".join(sorted(COIL_FIELDS))
                raise ValueError(
                    f"telegrams.coil_start: no field {', '.join(sorted(unknown))}: give {allowed}, or type filler"
                )
        for where, each in (("header", self.header), *((name, t.fields_) for name, t in self.telegrams.items())):
            _refuse_texts(where, each)
        codes = [each.code for each in self.telegrams.values()]
        if len(set(codes)) != len(codes):
            raise ValueError("telegrams: two have the same code")
        return self

    def layout(self) -> Layout:
        """What the codec needs."""
        return Layout(
            tuple(field.spec() for field in self.header),
            {
                name: TelegramSpec(each.code, tuple(field.spec() for field in each.fields_))
                for name, each in self.telegrams.items()
            },
            Codec(self.byte_order == "big", self.encoding),
            self.terminator.encode("latin-1"),
        )


COIL_FIELDS: Final = frozenset(
    {"id", "grade", "customer", "width_mm", "thickness_mm", "length_mm", "plan", "position_mm"}
)
"""What a coil start may say."""


class CoilRegisters(PlcSettings):
    """Coils in a PLC's holding registers."""

    interval_ms: Annotated[float, Field(ge=5.0, le=10_000.0)] = 200.0
    first_register: Register
    byte_order: Literal["big", "little"] = "big"
    """Order of the bytes in a register, and of the registers in a number."""
    encoding: Literal["ascii", "latin-1", "cp1252", "cp1251", "iso8859-2"] = "latin-1"
    fields_: Annotated[tuple[FieldSettings, ...], Field(alias="fields", min_length=1)]
    """`counter` changes with each coil; `id` and the others say what it is. An empty id ends the coil."""

    @model_validator(mode="after")
    def _tells_coils_apart(self) -> Self:
        names = {field.name for field in self.fields_ if field.type != "filler"}
        if "id" not in names:
            raise ValueError("fields: needs a field `id`, best a `counter` too")
        _refuse_texts("fields", self.fields_)
        if unknown := names - COIL_FIELDS - {"counter"}:
            allowed = ", ".join(sorted(COIL_FIELDS | {"counter"}))
            raise ValueError(f"fields: no field {', '.join(sorted(unknown))}: give {allowed}, or type filler")
        return self


class RollSettings(BaseModel):
    """One roll that may leave marks."""

    model_config = _STRICT
    name: Annotated[str, Field(min_length=1)]
    diameter_mm: Annotated[float, Field(gt=10.0, le=5000.0)]
    stand: str = ""
    side: Literal["top", "bottom"] = "top"
    elongation: Annotated[float, Field(ge=1.0, le=1000.0)] = 1.0
    """Length of the strip at the cameras ÷ its length when it leaves this roll."""


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

    def seen(self) -> Seen:
        """How the camera sees the strip."""
        return Seen(self.mm_per_px_across, self.mm_per_px_along, self.offset_across_mm, self.mirrored)


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
