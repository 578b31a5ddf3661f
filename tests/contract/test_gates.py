"""One semantic check of the gate interface, run against every gate: a real Modbus server among them."""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from inspector.config.sinks import GateSettings
from inspector.sinks.gate.gate import RECORDS, Action, Block, Fault, Gate, Record
from inspector.sinks.gate.modbus import WRITE, ModbusGate, reach
from inspector.sinks.gate.registers import REGISTERS
from tests.support.memory_gate import MemoryGate
from tests.support.plc import BASE, DEVICE, PLC, heard

TIMEOUT_MS = 250.0
"""Generous for a loaded machine; what is held is the bound, not the machine."""

READ = 3
"""Modbus' function "read holding registers"."""

MARGIN_S = 0.5
"""What a loaded machine may add before a thread that has slept runs again."""


class FarEnd:
    """A gate, its far end, and ways to break the connection between them."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.plc = PLC(folder) if kind == "modbus" else None
        self.memory = MemoryGate()
        self.gate: Gate = self.memory
        if self.plc is not None:
            self.plc.start()
            settings = GateSettings(
                host="127.0.0.1", port=self.plc.port, device_id=DEVICE, base_register=BASE, timeout_ms=TIMEOUT_MS
            )
            self.gate = ModbusGate(settings)

    def cut(self) -> None:
        self.memory.reachable = False
        if self.plc is not None:
            self.plc.stop()

    def mend(self) -> None:
        self.memory.reachable = True
        if self.plc is not None:
            self.plc.start()

    def blocks(self) -> list[Block]:
        return list(self.memory.blocks) if self.plc is None else self.plc.blocks()


@pytest.fixture(params=["memory", "modbus"])
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarEnd]:
    far = FarEnd(request.param, tmp_path)
    yield far
    far.gate.close()
    if far.plc is not None:
        far.plc.stop()


def block(newest: int, count: int = 1, **more: Any) -> Block:
    records = tuple(
        Record(number, Action.REJECT, number % 2 == 0, number % 3 == 0, -1500.0 + number, number % 5, 1)
        for number in range(newest, max(0, newest - count), -1)
    )
    return Block(newest, Fault.MISSED, 65_535, records, **more)


def told(gate: Gate, sent: Block, within_s: float = 30) -> None:
    """Repeat until the gate takes the block, because a gate that connects in a thread needs a moment."""
    until = time.monotonic() + within_s
    while not gate.tell(sent):
        assert time.monotonic() < until, "the gate takes nothing"
        time.sleep(0.02)


def test_blocks_arrive_whole_and_in_order(far: FarEnd) -> None:
    """The far end holds the sent values, each in its place."""
    sent = [block(newest, RECORDS) for newest in range(1, 60)]
    for each in sent:
        told(far.gate, each)
    assert far.blocks() == sent
    if far.plc is not None:
        assert far.gate.run_before == 0, "its registers were empty"
    assert [record.sequence for record in heard(far.blocks())] == list(range(1, 60))


def test_a_gate_that_is_gone_is_an_answer_and_comes_back(far: FarEnd) -> None:
    """It returns False without an exception; lost blocks are not resent, and later blocks are accepted."""
    told(far.gate, block(1))
    far.cut()
    started = time.monotonic()
    for newest in range(2, 200):
        assert not far.gate.tell(block(newest))
    assert time.monotonic() - started < TIMEOUT_MS / 1000 + 2 * MARGIN_S
    far.mend()
    told(far.gate, block(200))
    assert [each.heartbeat for each in far.blocks()] == [1, 200]


def test_a_plc_that_hangs_costs_one_time_out_and_no_more(tmp_path: Path) -> None:
    """A PLC that accepts connections and never answers delays one verdict by the time-out and no later one."""
    far = FarEnd("modbus", tmp_path)
    assert far.plc is not None
    told(far.gate, block(1))
    far.plc.hang()
    waits = []
    for newest in range(2, 30):
        started = time.monotonic()
        assert not far.gate.tell(block(newest))
        waits.append(time.monotonic() - started)
        time.sleep(0.05)
    assert TIMEOUT_MS / 1000 * 0.9 < max(waits) < TIMEOUT_MS / 1000 + MARGIN_S
    assert sum(wait > TIMEOUT_MS / 1000 * 0.9 for wait in waits) == 1, "only one verdict may wait for it"
    far.plc.go_on()
    told(far.gate, block(30))
    assert far.plc.blocks()[-1] == block(30)
    assert far.gate.run_before == block(1).run, "what it was told before it hung"
    far.gate.close()
    far.plc.stop()


@pytest.mark.parametrize(("delay_s", "taken"), [(0.05, True), (0.6, False)])
def test_a_slow_plc_is_waited_for_within_the_bound_only(tmp_path: Path, delay_s: float, taken: bool) -> None:
    """An answer slower than a scan is accepted; one slower than the time-out delays no verdict longer."""
    plc = PLC(tmp_path).start(delay_s)
    settings = GateSettings(
        host="127.0.0.1", port=plc.port, device_id=DEVICE, base_register=BASE, timeout_ms=TIMEOUT_MS
    )
    gate = ModbusGate(settings)
    answers: list[Any] = []
    longest = 0.0
    until = time.monotonic() + 4
    while time.monotonic() < until:
        started = time.monotonic()
        answers.append(gate.tell(block(len(answers) + 1)))
        longest = max(longest, time.monotonic() - started)
        time.sleep(0.02)
    assert any(answers) == taken
    assert longest < TIMEOUT_MS / 1000 + MARGIN_S
    gate.close()
    plc.stop()


def test_a_far_end_that_talks_nonsense_is_no_gate(tmp_path: Path) -> None:
    """Random bytes, and confirmations of other writes, never count as accepted."""
    noise = np.random.default_rng(1)

    def answer(request: bytes) -> bytes:
        if request[7] == READ:
            return (
                request[:4]
                + struct.pack(">HBBB", 3 + 2 * REGISTERS, DEVICE, READ, 2 * REGISTERS)
                + bytes(2 * REGISTERS)
            )
        kind = noise.random()
        if kind < 0.3:
            return noise.bytes(int(noise.integers(1, 300)))
        body = bytes([DEVICE, int(noise.choice([WRITE, 0x80 | WRITE, READ, 6]))]) + noise.bytes(4)
        return request[:4] + struct.pack(">H", len(body)) + body

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        done = pool.submit(talk, server, answer)
        settings = GateSettings(
            host="127.0.0.1", port=server.getsockname()[1], device_id=DEVICE, base_register=BASE, timeout_ms=100
        )
        gate = ModbusGate(settings)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            assert not gate.tell(block(1))
            time.sleep(0.01)
        gate.close()
        server.shutdown(socket.SHUT_RDWR)
        assert done.result(timeout=30) > 3, "nonsense was talked"


def talk(server: socket.socket, answer: Callable[[bytes], bytes]) -> int:
    """Take connections until the server is shut down; returns how many there were."""
    taken = 0
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return taken
        taken += 1
        with connection, contextlib.suppress(ConnectionError):
            while request := connection.recv(4096):
                connection.sendall(answer(request))


def test_a_gate_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A connection attempt without an answer does not delay a stop."""
    with socket.socket() as full, contextlib.ExitStack() as held:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        gate = ModbusGate(GateSettings(host="127.0.0.1", port=full.getsockname()[1]))
        time.sleep(0.3)
        started = time.monotonic()
        assert not gate.tell(block(1))
        gate.close()
        assert time.monotonic() - started < 0.1 + MARGIN_S


def test_registers_that_the_plc_does_not_have_are_named(tmp_path: Path) -> None:
    """A wrong base register is reported in one clear line."""
    plc = PLC(tmp_path).start()
    gate = ModbusGate(GateSettings(host="127.0.0.1", port=plc.port, device_id=DEVICE, base_register=BASE + 1))
    with capture_logs() as logged:
        time.sleep(1.5)
        assert not gate.tell(block(1))
        gate.close()
    settings = GateSettings(host="127.0.0.1", port=plc.port, device_id=DEVICE, base_register=BASE)
    assert reach(settings) == f"127.0.0.1:{plc.port}, 116 registers from 100: answers"
    plc.stop()
    assert "not now: no connection" in reach(settings)
    assert any("the PLC refused a read of 116 registers" in each.get("why", "") for each in logged)
    assert plc.blocks() == []
