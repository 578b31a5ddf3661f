"""The gate's registers: what the code writes is what docs/gate.md tells the PLC's programmer."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from inspector.sinks.gate.gate import RECORDS, Action, Block, Fault, Record
from inspector.sinks.gate.registers import HEADER, RECORD, REGISTERS, decode, encode

PAGE = Path(__file__).parents[4] / "docs" / "gate.md"

MODBUS_LIMIT = 123
"""Registers that one request of function 16 may write."""


def record(sequence: int, **more: Any) -> Record:
    values = {"action": Action.REJECT, "late": False, "uninspected": False, "position_mm": 0.0, "kind": 0}
    return Record(sequence, camera=1, **(values | more))


def test_a_block_fits_one_request() -> None:
    """Otherwise the PLC could read half of it."""
    assert REGISTERS == len(HEADER) + RECORDS * len(RECORD) <= MODBUS_LIMIT


def test_words_stand_where_the_table_says() -> None:
    """High word first, negative positions as two's complement, flags as bits, zeros without a verdict."""
    block = Block(
        300, Fault.MISSED | Fault.STOPPED, 77, (record(0x0001_0002, late=True, position_mm=-1.6, kind=3),)
    )
    words = encode(block)
    assert words[:4] == [1, 77, 300, 5]
    assert words[4:12] == [1, 2, 2, 1, 0xFFFF, 0xFFFE, 3, 1]
    assert words[12:] == [0] * (REGISTERS - 12)


def test_what_was_written_is_read_again() -> None:
    """Positions to the whole millimetre."""
    records = tuple(
        record(2**32 - 1 - index, late=index % 2 == 0, uninspected=index % 3 == 0, position_mm=1e6 - index)
        for index in range(RECORDS)
    )
    block = Block(65_535, Fault.CAMERA_SILENT, 65_535, records)
    assert decode(encode(block)) == block


def read_position(position_mm: float) -> float:
    (read,) = decode(encode(Block(0, Fault(0), 1, (record(1, position_mm=position_mm),)))).records
    return read.position_mm


@pytest.mark.parametrize("start_mm", [2.0**31 - 300, 2.0**32 - 300, -(2.0**31) - 300, -300.0, 12 * 2.0**31 - 300])
def test_positions_wrap_and_keep_their_distances(start_mm: float) -> None:
    """A strip without an end passes 2 147 km; the PLC's 32-bit differences stay the distances of the frames."""
    positions = [read_position(start_mm + 128 * index) for index in range(6)]
    assert all(-(2**31) <= position < 2**31 for position in positions)
    steps = [(int(later - earlier) + 2**31) % 2**32 - 2**31 for earlier, later in itertools.pairwise(positions)]
    assert steps == [128] * 5


def test_positions_on_both_sides_of_zero_are_sent_as_they_are() -> None:
    """Negative positions are sent as they are."""
    for position_mm in (-(2.0**31), -1.0, 0.0, 1.0, 2.0**31 - 1):
        assert read_position(position_mm) == position_mm


def test_another_map_is_refused() -> None:
    """A map of another version or length is refused."""
    words = encode(Block(0, Fault(0), 1))
    for wrong in ([2, *words[1:]], words[:-1]):
        with pytest.raises(ValueError, match="expected 116 of version 1"):
            decode(wrong)


def test_the_page_has_the_same_table() -> None:
    """Names and meanings, in the same order."""
    text = PAGE.read_text()
    places = [text.index(f"| {name} | {meaning} |") for name, meaning in HEADER]
    for (name, meaning), (after, _) in zip(RECORD, (*RECORD[1:], ("", "")), strict=True):
        if meaning:
            names = f"{name}, {after}" if name.endswith(" high") else name
            places.append(text.index(f"| {names} | {meaning} |"))
    assert places == sorted(places)
