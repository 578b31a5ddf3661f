"""Telegrams of both formats: bytes to values and back, and everything that is not of its layout."""

import struct
from typing import Any

import pytest

from inspector.core.strip.telegram import (
    Codec,
    FieldSpec,
    Layout,
    Stream,
    Telegram,
    TelegramError,
    TelegramSpec,
)

TEXT_HEADER = (FieldSpec("type", "text", 4), FieldSpec("length", "number", 4), FieldSpec("sequence", "number", 4))
TEXT = Layout(
    TEXT_HEADER,
    {
        "coil_start": TelegramSpec(
            "CST1",
            (
                FieldSpec("id", "text", 12),
                FieldSpec("grade", "text", 8),
                FieldSpec("width_mm", "number", 6, scale=0.1),
                FieldSpec("thickness_mm", "number", 6, decimals=3),
            ),
        ),
        "alive": TelegramSpec("ALIV"),
    },
    terminator=b"\r\n",
)
PACKED = Layout(
    (FieldSpec("type", "uint16"), FieldSpec("sequence", "uint32")),
    {
        "coil_start": TelegramSpec(
            "101",
            (
                FieldSpec("id", "text", 8),
                FieldSpec("width_mm", "uint16", scale=0.1),
                FieldSpec("length_mm", "float32"),
                FieldSpec("", "filler", 2),
            ),
        ),
        "result": TelegramSpec(
            "201",
            (
                FieldSpec("verdict", "uint8", codes={"release": 1, "downgrade": 2, "hold": 3}),
                FieldSpec(
                    "defects", "group", count=3,
                    fields=(FieldSpec("from_head_mm", "uint32"), FieldSpec("severity", "uint8")),
                ),
            ),
        ),
        "alive": TelegramSpec("1"),
    },
    Codec(big_endian=False),
)  # fmt: skip


def test_an_ascii_telegram_is_what_the_layout_says_and_comes_back() -> None:
    """Blanks after text, zeros before numbers, tenths where the scale says tenths."""
    values = {"id": "C-48213", "grade": "S355MC", "width_mm": 1532.5, "thickness_mm": 2.45}
    raw = TEXT.build("coil_start", values, 17)
    assert raw == b"CST100460017C-48213     S355MC  01532502.450\r\n"
    (telegram,) = Stream(TEXT).feed(raw)
    assert isinstance(telegram, Telegram)
    assert telegram.name == "coil_start"
    assert telegram.sequence == 17
    assert {key: telegram.values[key] for key in values} == pytest.approx(values)


def test_a_packed_telegram_is_what_the_layout_says_and_comes_back() -> None:
    """Little-endian, no padding but the fillers."""
    raw = PACKED.build("coil_start", {"id": "C-48213", "width_mm": 1532.5, "length_mm": 1000.0}, 70_000)
    assert raw == struct.pack("<HI8sHf2s", 101, 70_000, b"C-48213 ", 15_325, 1000.0, b"  ")
    (telegram,) = Stream(PACKED).feed(raw)
    assert isinstance(telegram, Telegram)
    assert telegram.values["id"] == "C-48213"
    assert telegram.values["width_mm"] == pytest.approx(1532.5)


def test_a_thin_space_becomes_a_blank() -> None:
    """No encoding of a telegram has the thin space that groups the digits of a reason."""
    codec, field = Codec(), FieldSpec("reason", "text", 8)
    assert codec.encode([field], {"reason": "2\u202f074 mm"}) == b"2 074 mm"


def test_words_become_codes_and_missing_rows_of_a_group_are_zero() -> None:
    """A result with one defect of three places."""
    raw = PACKED.build("result", {"verdict": "hold", "defects": [{"from_head_mm": 412_000, "severity": 2}]}, 1)
    assert raw[6:] == struct.pack("<BIBIBIB", 3, 412_000, 2, 0, 0, 0, 0)
    (telegram,) = Stream(PACKED).feed(raw)
    assert isinstance(telegram, Telegram)
    assert telegram.values["verdict"] == "hold"


def test_more_defects_than_places_are_cut_and_large_numbers_do_not_wrap() -> None:
    """The largest value stands for what does not fit: 255 defects are not 3."""
    field = FieldSpec("count", "uint8")
    assert Codec().encode((field,), {"count": 700}) == b"\xff"
    assert Codec().encode((FieldSpec("count", "number", 2),), {"count": 700}) == b"99"
    rows = [{"from_head_mm": at, "severity": 1} for at in range(5)]
    assert len(PACKED.build("result", {"verdict": "hold", "defects": rows}, 1)) == 6 + 16


def test_telegrams_are_cut_out_of_any_chunks() -> None:
    """TCP has no borders between telegrams."""
    raw = (
        TEXT.build("coil_start", {"id": "A"}, 1)
        + TEXT.build("alive", {}, 2)
        + TEXT.build("coil_start", {"id": "B"}, 3)
    )
    for size in (1, 7, 46, 1000):
        stream = Stream(TEXT)
        found = [each for at in range(0, len(raw), size) for each in stream.feed(raw[at : at + size])]
        assert [each.sequence for each in found if isinstance(each, Telegram)] == [1, 2, 3]
        assert stream.unfinished == 0


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"CST100360001C-48213     S355MC  \r\n  ", "of 36 bytes, its layout has 46"),
        (b"XXXX00140001\r\n", "not described"),
        (TEXT.build("coil_start", {"id": "A"}, 1)[:-2] + b"ab", "ends with"),
        (TEXT.build("coil_start", {"id": "A"}, 1).replace(b"000000", b"wide!!"), "no number"),
    ],
)
def test_a_telegram_of_another_layout_is_one_line_and_the_next_one_is_read(raw: Any, why: Any) -> None:
    """Short, unknown, unterminated or with letters for a number: refused, and the stream goes on."""
    stream = Stream(TEXT)
    refused, following = stream.feed(raw + TEXT.build("alive", {}, 9))
    assert isinstance(refused, TelegramError)
    assert why in str(refused)
    assert isinstance(following, Telegram)
    assert following.sequence == 9


@pytest.mark.parametrize("raw", [b"CST1ABCD0001", b"CST100020001", b"CST1-0010001"])
def test_a_length_that_cannot_be_ends_the_connection(raw: Any) -> None:
    """The start of the next telegram is unknown."""
    with pytest.raises(TelegramError):
        Stream(TEXT).feed(raw)


@pytest.mark.parametrize(
    ("field", "most"),
    [
        (FieldSpec("sequence", "number", 3), 999),
        (FieldSpec("sequence", "uint8"), 255),
        (FieldSpec("sequence", "uint32"), 9999),
        (FieldSpec("other", "uint32"), 0),
    ],
)
def test_sequences_fit_into_their_field(field: Any, most: Any) -> None:
    """A number that does not fit would be cut, and its acknowledgement would name another telegram."""
    assert Layout((FieldSpec("type", "uint16"), field), {}).sequences == most


def test_bytes_of_another_code_page_do_not_end_the_link() -> None:
    """Any bytes are accepted as text."""
    codec = Codec(encoding="ascii")
    assert codec.decode((FieldSpec("id", "text", 3),), b"A\xe4B") == {"id": "A\ufffdB"}


def test_not_a_number_is_refused() -> None:
    """A float of all ones (NaN) is refused as a length."""
    raw = struct.pack("<HI8sHI2s", 101, 1, b"A", 1, 0x7FC00000, b"")
    (refused,) = Stream(PACKED).feed(raw)
    assert isinstance(refused, TelegramError)
    assert "length_mm" in str(refused)
