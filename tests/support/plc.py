"""A PLC for tests: pymodbus' server in a process of its own, which keeps every write it took."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from inspector.sinks.gate.gate import Block, Record
from inspector.sinks.gate.registers import REGISTERS, decode
from tests.support.ports import free_port

BASE = 100
DEVICE = 3


def serve(port: int, log: Path, delay_s: float) -> None:
    """Answer for ever, each request after `delay_s`; every write becomes a line of `log`."""
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


ROOT = Path(__file__).resolve().parents[2]


class PLC:
    """Starts, stops and reads one."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "plc.jsonl"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, delay_s: float = 0.0) -> "PLC":
        """Answering within the time this takes."""
        command = [sys.executable, "-m", "tests.support.plc", str(self.port), str(self.log), str(delay_s)]
        # It tells of every frozen connection at length.
        self._process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert self._process.poll() is None, "the PLC did not start"
            time.sleep(0.05)
        raise AssertionError("no PLC within 60 s")

    def hang(self) -> None:
        """Connections are still taken by the kernel, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Gone: connections are reset, new ones refused."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def blocks(self) -> list[Block]:
        """Every block it took, in order."""
        if not self.log.exists():
            return []
        written = [json.loads(line) for line in self.log.read_text().splitlines()]
        assert all(address == BASE for _, address, _ in written)
        return [decode(values) for _, _, values in written]

    def verdicts(self) -> list[Record]:
        """What a PLC acts on: of every block the records it has not had, oldest first."""
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
