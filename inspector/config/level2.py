"""Level 2's telegrams and a PLC's coil registers, field by field."""

from collections.abc import Iterable
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator

from inspector.config.plc import STRICT, Address, Factor, PlcSettings, Positive, Register
from inspector.core.strip.telegram import Codec, FieldSpec, FieldType, Layout, TelegramSpec


class FieldSettings(BaseModel):
    """One field of a telegram or a register block."""

    model_config = STRICT
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
            raise ValueError("a field needs a name; an unused one is a filler")
        return self

    def spec(self) -> FieldSpec:
        """Return the field for the codec."""
        return FieldSpec(
            self.name, self.type, self.length, self.scale, self.decimals, self.value, dict(self.codes), self.count,
            tuple(each.spec() for each in self.fields_),
        )  # fmt: skip


TelegramName = Literal["coil_start", "coil_end", "result", "alive", "ack"]


class TelegramSettings(BaseModel):
    """One kind of telegram."""

    model_config = STRICT
    code: Annotated[str, Field(min_length=1)]
    """Its value of the header's field `type`."""
    fields_: Annotated[tuple[FieldSettings, ...], Field(alias="fields")] = ()


NUMBERS: Final = frozenset(
    {"width_mm", "thickness_mm", "length_mm", "position_mm", "of_sequence", "code", "number", "sequence", "length"}
)
"""Fields that must be numbers."""


def _refuse_texts(where: str, fields: "tuple[FieldSettings, ...]") -> None:
    for field in fields:
        if field.name in NUMBERS and field.type == "text":
            raise ValueError(f"{where}: {field.name} is a number: give it the type number, or a packed one")


WORDS: Final = frozenset({"verdict", "plan", "reason", "kind", "side"})
"""Fields of a result that are words."""


def _refuse_words(fields: "tuple[FieldSettings, ...]") -> None:
    for field in fields:
        if field.type == "group":
            _refuse_words(field.fields_)
        elif field.name in WORDS and field.type not in ("text", "filler") and not field.codes:
            raise ValueError(f"telegrams.result: {field.name} is a word: give it `codes`, or the type text")


class Level2Settings(BaseModel):
    """Level 2, the mill's automation, over TCP."""

    model_config = STRICT
    connect: Address | None = None
    listen: Address | None = None
    """Give one of the two: the address to connect to, or the one to listen on."""
    byte_order: Literal["big", "little"] = "big"
    encoding: Literal["ascii", "latin-1", "cp1252", "cp1251", "iso8859-2"] = "latin-1"
    terminator: str = ""
    """Bytes at the end of each telegram, such as "\\r\\n"."""
    alive_s: Positive = 5.0
    """Time between two alive telegrams that the line sends."""
    timeout_s: Positive = 15.0
    """Silence of the partner after which the connection is closed."""
    resend_s: Positive = 5.0
    """Longest wait for an acknowledgement; after it the telegram is sent again."""
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
        if "result" in self.telegrams and "ack" not in self.telegrams:
            raise ValueError("telegrams: a result is sent again until an `ack` comes: describe the telegram ack")
        if "result" in self.telegrams:
            _refuse_words(self.telegrams["result"].fields_)
        codes = [each.code for each in self.telegrams.values()]
        if len(set(codes)) != len(codes):
            raise ValueError("telegrams: two have the same code")
        return self

    def without_codes(self, classes: Iterable[str]) -> list[str]:
        """Return the classes of defects that a numeric field `kind` of the result has no code for: they are 0."""
        result = self.telegrams.get("result")
        groups = [field.fields_ for field in result.fields_ if field.type == "group"] if result else []
        kinds = [field for fields in groups for field in fields if field.name == "kind" and field.type != "text"]
        return [name for name in classes if any(name not in field.codes for field in kinds)]

    def layout(self) -> Layout:
        """Return the layout for the codec."""
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
"""Fields of a coil start."""


class CoilRegisters(PlcSettings):
    """Coils in a PLC's holding registers."""

    interval_ms: Annotated[float, Field(ge=5.0, le=10_000.0)] = 200.0
    first_register: Register
    byte_order: Literal["big", "little"] = "big"
    """Order of the bytes in a register and of the registers in a number."""
    encoding: Literal["ascii", "latin-1", "cp1252", "cp1251", "iso8859-2"] = "latin-1"
    fields_: Annotated[tuple[FieldSettings, ...], Field(alias="fields", min_length=1)]
    """`counter` changes with each coil; `id` and the other fields describe the coil. An empty id ends the coil."""

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
