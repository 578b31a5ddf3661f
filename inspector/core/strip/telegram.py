"""Encodes and decodes telegrams of fixed layout: ASCII with fixed widths, or packed binary."""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from inspector.numbers import THIN_SPACE

FieldType = Literal[
    "text", "number", "filler", "group",
    "uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64",
]  # fmt: skip

_PACKED: Final = {
    "uint8": "B", "uint16": "H", "uint32": "I", "int8": "b", "int16": "h", "int32": "i",
    "float32": "f", "float64": "d",
}  # fmt: skip

Values = Mapping[str, Any]
"""Field name → text, number, or for a group a list of such mappings."""


class TelegramError(Exception):
    """A telegram that does not match its layout; its text is one line."""


class FieldSpec(msgspec.Struct, frozen=True):
    """One field."""

    name: str
    type: FieldType
    length: int = 0
    """Bytes of text, number and filler."""
    scale: float = 1.0
    """Value in the telegram × scale = value in the program; 0.1 for tenths of a millimetre."""
    decimals: int = 0
    """Digits after the point of a number; 0 sends none."""
    value: str = ""
    """Content of a filler, or the only allowed content of a field."""
    codes: dict[str, int | str] = {}
    """Words and their codes in the telegram: {release = 1, hold = 3}."""
    count: int = 0
    """Number of repetitions of a group."""
    fields: tuple["FieldSpec", ...] = ()
    """Fields of a group."""

    @property
    def size(self) -> int:
        """Size in the telegram, bytes."""
        if self.type == "group":
            return self.count * size_of(self.fields)
        return struct.calcsize(_PACKED[self.type]) if self.type in _PACKED else self.length


def size_of(fields: Sequence[FieldSpec]) -> int:
    """Return the size of consecutive fields, bytes."""
    return sum(field.size for field in fields)


class Codec(msgspec.Struct, frozen=True):
    """Byte order and text encoding of a partner."""

    big_endian: bool = True
    encoding: str = "latin-1"
    """An encoding with one byte per character, because lengths are bytes."""

    def encode(self, fields: Sequence[FieldSpec], values: Values) -> bytes:
        """Encode the fields. A missing value becomes blank or 0; a long text is cut."""
        return b"".join(self._encode(field, values.get(field.name)) for field in fields)

    def decode(self, fields: Sequence[FieldSpec], content: bytes) -> dict[str, Any]:
        """Decode the fields; raises TelegramError, which names the unreadable field."""
        if len(content) != size_of(fields):
            raise TelegramError(f"{len(content)} bytes, its layout has {size_of(fields)}")
        values: dict[str, Any] = {}
        at = 0
        for field in fields:
            part = content[at : at + field.size]
            at += field.size
            if field.type != "filler":
                values[field.name] = self._decode(field, part)
        return values

    def _encode(self, field: FieldSpec, value: Any) -> bytes:
        if field.type == "group":
            rows = list(value or ())[: field.count]
            rows += [{}] * (field.count - len(rows))
            return b"".join(self.encode(field.fields, row) for row in rows)
        if field.type == "filler" or (value is None and field.value):
            return self._text(field.value, field.length)
        if isinstance(value, str) and field.codes:
            value = field.codes.get(value, value)
        if field.type == "text":
            return self._text("" if value is None else str(value), field.length)
        number = (_number(field, value) if value is not None else 0.0) / field.scale
        if field.type == "number":
            return _digits(number, field).encode("ascii")
        code = ("!" if self.big_endian else "<") + _PACKED[field.type]
        if field.type.startswith("float"):
            return struct.pack(code, number)
        bits, signed = int(field.type.lstrip("uint")), field.type.startswith("i")
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return struct.pack(code, min(max(round(number), low), high))

    def _decode(self, field: FieldSpec, part: bytes) -> Any:
        if field.type == "group":
            size = size_of(field.fields)
            return [self.decode(field.fields, part[at * size : (at + 1) * size]) for at in range(field.count)]
        value: Any
        if field.type == "text":
            value = part.decode(self.encoding, "replace").strip(" \0")
        elif field.type == "number":
            text = part.decode(self.encoding, "replace").strip(" \0")
            try:
                value = float(text) * field.scale if text else None
            except ValueError:
                raise TelegramError(f"{field.name} is {text!r}: no number") from None
        else:
            value = struct.unpack(("!" if self.big_endian else "<") + _PACKED[field.type], part)[0] * field.scale
        if isinstance(value, float) and not math.isfinite(value):
            raise TelegramError(f"{field.name} is {value}: no number")
        if field.value and plain_text(value) != field.value:
            raise TelegramError(f"{field.name} is {value!r}, expected {field.value!r}")
        words = {str(code): word for word, code in field.codes.items()}
        return words.get(plain_text(value), value)

    def _text(self, text: str, length: int) -> bytes:
        # Reasons hold thin spaces, which no encoding of a telegram has.
        plain = text.replace(THIN_SPACE, " ")
        return plain.encode(self.encoding, "replace")[:length].ljust(length)


def plain_text(value: Any) -> str:
    """Return a decoded value as text: a whole number without a point, with all its digits; empty for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.12g}"
    return str(value)


def _number(field: FieldSpec, value: Any) -> float:
    """A number to send. A word that `codes` leaves out is 0: one class must not hold back a coil's result."""
    if isinstance(value, str) and field.codes:
        return 0.0
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TelegramError(f"{field.name}: {value!r} is not a number: give the field `codes`") from None


def _digits(number: float, field: FieldSpec) -> str:
    """Pad with zeros on the left; a number that is too large becomes nines."""
    text = f"{abs(number):.{field.decimals}f}"
    sign = "-" if number < 0 and float(text) else ""
    if len(sign) + len(text) > field.length:
        text = "9" * (field.length - len(sign))
    return sign + text.zfill(field.length - len(sign))


MOST_SEQUENCES: Final = 9999
"""Highest telegram number; after it the numbers start at 1 again."""


class TelegramSpec(msgspec.Struct, frozen=True):
    """One kind of telegram."""

    code: str
    """Its value of the header field `type`."""
    fields: tuple[FieldSpec, ...] = ()


class Layout(msgspec.Struct, frozen=True):
    """All telegrams of one partner by name: coil_start, coil_end, result, alive, ack."""

    header: tuple[FieldSpec, ...]
    telegrams: dict[str, TelegramSpec]
    codec: Codec = Codec()
    terminator: bytes = b""

    @property
    def sequences(self) -> int:
        """The highest sequence number that the header can hold, at most MOST_SEQUENCES; 0 without such a field."""
        field = next((each for each in self.header if each.name == "sequence"), None)
        if field is None:
            return 0
        bits = {"uint8": 8, "int8": 7, "uint16": 16, "int16": 15}.get(field.type, 32)
        largest = 10**field.length - 1 if field.type in ("number", "text") else 2**bits - 1
        return int(min(MOST_SEQUENCES, largest))

    def build(self, name: str, values: Values, sequence: int) -> bytes:
        """Build a complete telegram."""
        spec = self.telegrams[name]
        body = self.codec.encode(spec.fields, values)
        length = size_of(self.header) + len(body) + len(self.terminator)
        head = {"type": spec.code, "length": length, "sequence": sequence, **values}
        return self.codec.encode(self.header, head) + body + self.terminator


class Telegram(msgspec.Struct, frozen=True):
    """One received telegram."""

    name: str
    values: dict[str, Any]
    sequence: int | None
    raw: bytes


class Stream:
    """Splits received bytes into telegrams."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._head_size = size_of(layout.header)
        self._rest = b""
        self._by_code = {spec.code: name for name, spec in layout.telegrams.items()}

    @property
    def unfinished(self) -> int:
        """Number of bytes of the incomplete telegram."""
        return len(self._rest)

    def feed(self, content: bytes) -> list[Telegram | TelegramError]:
        """Add bytes; returns complete telegrams, and an error for each refused one.

        Raises TelegramError when the start of the next telegram is unknown; the caller must close the connection.
        """
        self._rest += content
        found: list[Telegram | TelegramError] = []
        while len(self._rest) >= self._head_size:
            head = self._head()
            name = self._by_code.get(plain_text(head.get("type")))
            size = self._size(name, head)
            if len(self._rest) < size:
                break
            raw, self._rest = self._rest[:size], self._rest[size:]
            found.append(self._cut(name, head, raw))
        return found

    def _head(self) -> dict[str, Any]:
        return self._layout.codec.decode(self._layout.header, self._rest[: self._head_size])

    def _size(self, name: str | None, head: dict[str, Any]) -> int:
        stated = head.get("length")
        if stated is not None:
            if not self._head_size <= stated <= MAX_TELEGRAM:
                raise TelegramError(f"states a length of {stated:g} bytes, its header alone has {self._head_size}")
            return int(stated)
        if name is None:
            raise TelegramError(f"of type {head.get('type')!r}, which is not described, and without a length")
        return self._head_size + size_of(self._layout.telegrams[name].fields) + len(self._layout.terminator)

    def _cut(self, name: str | None, head: dict[str, Any], raw: bytes) -> Telegram | TelegramError:
        layout = self._layout
        if name is None:
            return TelegramError(f"of type {head.get('type')!r}, which is not described: refused")
        end = len(raw) - len(layout.terminator)
        fields = layout.telegrams[name].fields
        expected = self._head_size + size_of(fields) + len(layout.terminator)
        if len(raw) != expected:
            return TelegramError(f"{name} of {len(raw)} bytes, its layout has {expected}: refused")
        if raw[end:] != layout.terminator:
            return TelegramError(f"{name} ends with {raw[end:]!r}, not with {layout.terminator!r}: refused")
        try:
            values = head | layout.codec.decode(fields, raw[self._head_size : end])
        except TelegramError as error:
            return TelegramError(f"{name}: {error}: refused")
        sequence = head.get("sequence")
        return Telegram(name, values, None if sequence is None else int(sequence), raw)


MAX_TELEGRAM: Final = 65_536
"""Longest telegram, bytes. A longer stated length means another layout."""
