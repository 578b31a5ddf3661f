"""The gate's holding registers in one table, and how a block becomes them.

Every register is an unsigned 16-bit word. Values of two registers come high word first, bytes as Modbus has them
(high byte first). A block is always written whole, in one request (function 16): no PLC sees half a verdict.
"""

from typing import Final

from inspector.sinks.gate.gate import RECORDS, Action, Block, Fault, Record

MAP_VERSION: Final = 1
"""Raised whenever a register moves or changes its meaning."""

HEADER: Final = (
    ("version", "1: this table"),
    ("run", "1..65535, another number after each start of decide or of an ingest; sequences begin again at 1"),
    ("heartbeat", "0..65535, wraps; stands still when verdicts stop"),
    (
        "fault",
        "bits: 1 verdicts missed, 2 camera silent, 4 stopped, 8 messages refused; not 0 = reject everything",
    ),
)
"""Name and meaning of the registers from the base register on."""

RECORD: Final = (
    ("sequence high", "verdict number, 1..4294967295; 0: no verdict here"),
    ("sequence low", ""),
    ("decision", "1 accept, 2 reject (uninspected is reject); anything else: reject"),
    ("flags", "bits: 1 late, 2 uninspected"),
    ("position high", "strip position of the frame's first row, mm, signed 32-bit"),
    ("position low", ""),
    ("class", "kind of the largest defect that rejects, 1..K as in the config's engine; 0 none"),
    ("camera", "1 is the first camera of the config"),
)
"""The registers of one verdict; the newest begins after the header, then RECORDS − 1 older ones."""

REGISTERS: Final = len(HEADER) + RECORDS * len(RECORD)

RUN: Final = [name for name, _ in HEADER].index("run")

_LATE: Final = 1
_UNINSPECTED: Final = 2

_LOWEST_MM: Final = -(2**31)
_HIGHEST_MM: Final = 2**31 - 1
"""Positions beyond 2,147 km stay at the end of the scale."""


def encode(block: Block) -> list[int]:
    """All REGISTERS words of a block."""
    words = [MAP_VERSION, block.run, block.heartbeat, int(block.fault)]
    for record in block.records:
        sequence = record.sequence & 0xFFFF_FFFF
        position = min(max(round(record.position_mm), _LOWEST_MM), _HIGHEST_MM) & 0xFFFF_FFFF
        words += (
            sequence >> 16,
            sequence & 0xFFFF,
            int(record.action),
            _LATE * record.late | _UNINSPECTED * record.uninspected,
            position >> 16,
            position & 0xFFFF,
            record.kind,
            record.camera,
        )
    return words + [0] * (REGISTERS - len(words))


def decode(words: list[int]) -> Block:
    """The block a PLC reads out of its registers; raises ValueError for another version or length."""
    if len(words) != REGISTERS or words[0] != MAP_VERSION:
        raise ValueError(f"{len(words)} registers {words[:1]}…, expected {REGISTERS} of version {MAP_VERSION}")
    records = []
    for start in range(len(HEADER), REGISTERS, len(RECORD)):
        high, low, action, flags, position_high, position_low, kind, camera = words[start : start + len(RECORD)]
        sequence = high << 16 | low
        if sequence:
            position = position_high << 16 | position_low
            position -= 2**32 if position > _HIGHEST_MM else 0
            late, uninspected = bool(flags & _LATE), bool(flags & _UNINSPECTED)
            records.append(Record(sequence, Action(action), late, uninspected, position, kind, camera))
    return Block(words[2], Fault(words[3]), words[1], tuple(records))
