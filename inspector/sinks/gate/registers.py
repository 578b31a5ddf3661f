"""The gate's holding registers in one table, and how a block is encoded in them.

Every register is an unsigned 16-bit word. Values of two registers have the high word first; bytes are in Modbus
order (high byte first). A block is always written whole, in one request (function 16), so no PLC sees half a
verdict.
"""

from typing import Final

from inspector.sinks.gate.gate import RECORDS, Action, Block, Fault, Record

MAP_VERSION: Final = 1
"""Version of the register map, raised whenever a register moves or changes its meaning."""

HEADER: Final = (
    ("version", "1: this table"),
    (
        "run",
        "1..65535, another one after each start of decide or of an ingest, or of positions; sequences begin at 1",
    ),
    ("heartbeat", "0..65535, wraps; stands still when verdicts stop"),
    (
        "fault",
        "bits: 1 verdicts missed, 2 camera silent, 4 stopped, 8 messages refused; not 0 = reject everything",
    ),
)
"""Name and meaning of the first registers, starting at the base register."""

RECORD: Final = (
    ("sequence high", "verdict number, 1..4294967295; 0: no verdict here"),
    ("sequence low", ""),
    ("decision", "1 accept, 2 reject (uninspected is reject); anything else: reject"),
    ("flags", "bits: 1 late, 2 uninspected, 4 position unknown"),
    ("position high", "strip position of the frame's first row, mm, signed 32-bit; wraps"),
    ("position low", ""),
    ("class", "kind of the largest defect that rejects, 1..K as in the config's engine; 0 none"),
    ("camera", "1 is the first camera of the config"),
)
"""Registers of one verdict. The newest record follows the header, then come RECORDS − 1 older ones."""

REGISTERS: Final = len(HEADER) + RECORDS * len(RECORD)

RUN: Final = [name for name, _ in HEADER].index("run")

_LATE: Final = 1
_UNINSPECTED: Final = 2
_UNPLACED: Final = 4

_HIGHEST_MM: Final = 2**31 - 1
"""Largest position of the 32-bit registers, mm. Like a 32-bit counter they wrap beyond it, after 30 hours at
20 m/s: a PLC that subtracts two positions as 32-bit integers gets the right distance across the wrap."""


def encode(block: Block) -> list[int]:
    """Return the REGISTERS words of a block."""
    words = [MAP_VERSION, block.run, block.heartbeat, int(block.fault)]
    for record in block.records:
        sequence = record.sequence & 0xFFFF_FFFF
        position = round(record.position_mm) & 0xFFFF_FFFF
        words += (
            sequence >> 16,
            sequence & 0xFFFF,
            int(record.action),
            _LATE * record.late | _UNINSPECTED * record.uninspected | _UNPLACED * record.unplaced,
            position >> 16,
            position & 0xFFFF,
            record.kind,
            record.camera,
        )
    return words + [0] * (REGISTERS - len(words))


def decode(words: list[int]) -> Block:
    """Return the block that a PLC reads from its registers; raises ValueError for another version or length."""
    if len(words) != REGISTERS or words[0] != MAP_VERSION:
        raise ValueError(f"{len(words)} registers {words[:1]}…, expected {REGISTERS} of version {MAP_VERSION}")
    records = []
    for start in range(len(HEADER), REGISTERS, len(RECORD)):
        high, low, action, flags, position_high, position_low, kind, camera = words[start : start + len(RECORD)]
        sequence = high << 16 | low
        if sequence:
            position = position_high << 16 | position_low
            position -= 2**32 if position > _HIGHEST_MM else 0
            late, uninspected, unplaced = (bool(flags & bit) for bit in (_LATE, _UNINSPECTED, _UNPLACED))
            records.append(Record(sequence, Action(action), late, uninspected, position, kind, camera, unplaced))
    return Block(words[2], Fault(words[3]), words[1], tuple(records))
