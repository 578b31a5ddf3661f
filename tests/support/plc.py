"""A PLC for tests: pymodbus' server in a separate process, which logs every write that it accepts."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from inspector.sinks.gate.gate import Block, Record
from inspector.sinks.gate.registers import REGISTERS, decode
from tests.support.peer import Peer, listens
from tests.support.ports import free_port

BASE = 100
DEVICE = 3


def serve(port: int, log: Path, delay_s: float) -> None:
    """Answer until killed, each request after `delay_s`; every write becomes a line of `log`."""
    from pymodbus.server import StartAsyncTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    async def act(
        _code: int, _start: int, address: int, _count: int, _registers: list[int], values: list[Any] | None
    ) -> None:
        if values is not None:
            with log.open("a") as lines:
                lines.write(json.dumps([time.monotonic_ns(), address, values]) + "\n")
        await asyncio.sleep(delay_s)

    registers = SimData(BASE, values=[0] * REGISTERS, datatype=DataType.REGISTERS)
    device = SimDevice(DEVICE, simdata=[registers], action=act)
    asyncio.run(StartAsyncTcpServer(device, address=("127.0.0.1", port)))


class PLC(Peer):
    """Starts, stops and reads a PLC."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "plc.jsonl"
        self.port = free_port()

    def start(self, delay_s: float = 0.0) -> "PLC":
        """Start it; when this returns, it answers."""
        self._launch("tests.support.plc", str(self.port), str(self.log), str(delay_s), quiet=True)
        self._wait_until(lambda: listens(self.port))
        return self

    def blocks(self) -> list[Block]:
        """Every block that it accepted, in order."""
        if not self.log.exists():
            return []
        written = [json.loads(line) for line in self.log.read_text().splitlines()]
        assert all(address == BASE for _, address, _ in written)
        return [decode(values) for _, _, values in written]

    def verdicts(self) -> list[Record]:
        """The records that a PLC acts on: those of each block that are new to it, oldest first."""
        return heard(self.blocks())


def heard(blocks: list[Block]) -> list[Record]:
    """The verdicts in a run of blocks, each once; a record that changes or comes out of order fails."""
    seen: dict[tuple[int, int], Record] = {}
    newest: dict[int, int] = {}
    for block in blocks:
        for record in reversed(block.records):
            key = (block.run, record.sequence)
            if key in seen:
                assert seen[key] == record, "a record changed after it was told"
                continue
            assert record.sequence > newest.get(block.run, 0), "a verdict came after a later one"
            newest[block.run] = record.sequence
            seen[key] = record
    return list(seen.values())


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
