"""Compares what the PLC received with what the line logged."""

import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from inspector.sinks.gate.gate import Action, Block, Fault, Record
from inspector.sinks.gate.registers import decode

HOUR_S = 3600.0
"""The clock may be set back by so much; no test takes as long."""

LONGEST_WAY_S = 60.0
"""From a frame's capture to a PLC that takes its verdict at last, having hung meanwhile; an older frame of that
place is of another strip."""

MOST_UNWRITTEN = 64
"""Verdicts at the end of a run of decide that the PLC may know and the log not: it was killed between the two."""

PROMPT_S = 1.0
"""From a frame's capture to a PLC that answers. In the place of a verdict that is not written, the log's newest is
the last strip's, and older than this."""


class PlcLog:
    """Follows the blocks that a PLC took (tests/support/plc.py writes them down)."""

    def __init__(self, path: Path, cameras: tuple[str, ...]) -> None:
        self.path, self._cameras = path, cameras
        self.blocks: list[tuple[float, Block]] = []
        """When each was taken, s since 1970, and the block without its records."""
        self.told: dict[tuple[int, int], tuple[float, Record]] = {}
        """Run and sequence → when first told, and what."""
        self._newest: dict[int, int] = {}
        self._read = 0

    def update(self) -> None:
        """Read new blocks; a record that changes, or arrives after a later one, fails."""
        if not self.path.exists():
            return
        epoch_s = time.time() - time.monotonic()
        with self.path.open("rb") as file:
            file.seek(self._read)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            taken_ns, _, words = json.loads(line)
            self._hear(taken_ns / 1e9 + epoch_s, decode(words))

    def _hear(self, at_s: float, block: Block) -> None:
        self.blocks.append((at_s, Block(block.heartbeat, block.fault, block.run)))
        for record in reversed(block.records):
            key = (block.run, record.sequence)
            if key in self.told:
                assert self.told[key][1] == record, "a record changed after it was told"
                continue
            assert record.sequence > self._newest.get(block.run, 0), "a verdict came after a later one"
            self._newest[block.run] = record.sequence
            self.told[key] = (at_s, record)

    def works(self, after_s: float) -> bool:
        """Whether the PLC passes steel again: verdicts arrive, the heartbeat moves, and no fault is set."""
        self.update()
        beats = {block.heartbeat for at_s, block in self.blocks if at_s > after_s and not block.fault}
        return len(beats) > 1 and any(
            at_s > after_s and record.action is Action.ACCEPT for at_s, record in self.told.values()
        )

    def rejected(self, after_s: float) -> bool:
        """Whether it received rejects of uninspected frames."""
        return any(at_s > after_s and record.uninspected for at_s, record in self.told.values())

    def heard_of(self, fault: Fault, after_s: float) -> bool:
        """Whether it was told to reject everything for this reason."""
        return any(at_s > after_s and block.fault & fault for at_s, block in self.blocks)

    def another_run(self, after_s: float) -> bool:
        """Whether a new run has begun."""
        return len({block.run for at_s, block in self.blocks if at_s > after_s - 1}) > 1

    def must_have_let_pass_only_what_was_inspected(self, verdicts: list[dict[str, Any]]) -> None:
        """Check that each accept that the PLC may act on is in the log; otherwise it saw a reject or nothing.

        The log must have been read after the PLC was: what is told is written a moment later.
        """
        given = defaultdict(list)
        for verdict in verdicts:
            given[verdict["camera"], round(verdict["position_mm"])].append(verdict)
        for (run, sequence), (at_s, record) in self.told.items():
            if record.late or record.action is not Action.ACCEPT:
                continue
            place = (self._cameras[record.camera - 1], int(record.position_mm))
            # A strip begins again at 0 with its ingest: the newest frame of that place is meant.
            before = [(_behind_s(verdict, at_s), verdict["decision"]) for verdict in given[place]]
            newest = min((each for each in before if 0 <= each[0] <= LONGEST_WAY_S), default=None)
            written = newest is not None and newest[1] == "accept"
            last_ones = sequence > self._newest[run] - MOST_UNWRITTEN
            assert written or (last_ones and (newest is None or newest[0] > PROMPT_S)), (record, before)


def _behind_s(verdict: dict[str, Any], told_s: float) -> float:
    behind_s = told_s - float(verdict["captured_ns"]) / 1e9
    return behind_s - HOUR_S if behind_s >= HOUR_S else behind_s
