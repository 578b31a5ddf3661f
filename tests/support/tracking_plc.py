"""A PLC that tracks steel from the cameras to its gate by docs/gate.md, from a log of what it heard."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from inspector.sinks.gate.gate import Action, Block
from inspector.sinks.gate.registers import decode

BIN_MM = 16.0
"""Steel is tracked in pieces of this length."""

SCAN_NS = 10_000_000
"""A PLC's turn."""


class TrackingPlc:
    """One camera's steel. `passed` and `thrown` hold what came to the gate, in pieces of BIN_MM."""

    def __init__(self, behind_mm: float, silence_ns: int) -> None:
        """The gate lies `behind_mm` after the cameras; `silence_ns` is the longest time without a heartbeat."""
        self._behind_mm, self._silence_ns = behind_mm, silence_ns
        self._accepted: set[int] = set()
        self._rejected: set[int] = set()
        self._run, self._sequence = 0, 0
        self._open: tuple[float, bool] | None = None
        self._heartbeat, self._beat_ns, self._fault = -1, 0, True
        self.doubts = 0
        """Writes with a fault, a late verdict or a gap: steel is thrown for them, as it must be."""
        self.passed: set[int] = set()
        self.thrown: set[int] = set()

    def hear(self, at_ns: int, block: Block) -> None:
        """Take a write."""
        if block.run != self._run:
            self._run, self._sequence, self._open = block.run, 0, None
        if block.heartbeat != self._heartbeat:
            self._heartbeat, self._beat_ns = block.heartbeat, at_ns
        self._fault = bool(block.fault)
        self.doubts += self._fault and self._sequence > 0
        for record in reversed(block.records):
            if record.sequence <= self._sequence:
                continue
            if record.sequence != self._sequence + 1:
                self._open = None
                self.doubts += 1
            self.doubts += record.late
            self._sequence = record.sequence
            self._close(record.position_mm)
            self._open = (record.position_mm, record.action is Action.ACCEPT and not record.late)

    def _close(self, next_mm: float) -> None:
        if self._open is None:
            return
        from_mm, accepted = self._open
        # In reverse travel the next verdict lies behind: then there is no steel between them.
        pieces = range(-int(-from_mm // BIN_MM), int(next_mm // BIN_MM))
        (self._accepted if accepted else self._rejected).update(pieces)

    def lets_pass(self, piece: int) -> bool:
        """Whether a piece has been accepted, and never rejected."""
        return piece in self._accepted and piece not in self._rejected

    def scan(self, at_ns: int, from_mm: float, to_mm: float) -> None:
        """The strip has moved from one position to another at the cameras; its steel comes to the gate."""
        first, last = (int((place - self._behind_mm) // BIN_MM) for place in sorted((from_mm, to_mm)))
        lives = not self._fault and at_ns - self._beat_ns <= self._silence_ns
        self.doubts += not lives and self._sequence > 0
        for piece in range(first, last):
            passes = lives and self.lets_pass(piece)
            (self.passed if passes else self.thrown).add(piece)


def writes(log: Path) -> Iterator[tuple[int, Block]]:
    """What a PLC of tests/support/plc.py took, with the times."""
    for line in log.read_text().splitlines():
        at_ns, _, values = json.loads(line)
        yield at_ns, decode(values)


def track(
    log: Path, position_mm: Callable[[int], float], until_ns: int, behind_mm: float, silence_ns: int
) -> TrackingPlc:
    """Replay a log against where the strip truly was."""
    plc = TrackingPlc(behind_mm, silence_ns)
    heard = list(writes(log))
    at_ns = heard[0][0]
    here_mm = position_mm(at_ns)
    while at_ns < until_ns:
        at_ns += SCAN_NS
        while heard and heard[0][0] <= at_ns:
            plc.hear(*heard.pop(0))
        before_mm, here_mm = here_mm, position_mm(at_ns)
        plc.scan(at_ns, before_mm, here_mm)
    return plc
