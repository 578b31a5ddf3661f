"""A mill for tests, in a separate process: a PLC with an encoder, or a sender of text lines."""

import asyncio
import json
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

from inspector.files import write_whole
from inspector.sources.simulator.mill import Encoder, SpeedProfile
from tests.support.peer import Peer, listens
from tests.support.ports import free_port

COUNTER, SPEED = 10, 12
"""First holding registers of the counter (uint32) and the speed (int32, mm/s)."""

COIL = 40
"""First holding register of the coil's data: a number that changes with each coil, then whatever a test writes."""

REGISTERS = 120
DEVICE = 1


class Fault:
    """A fault of the encoder between two times."""

    def __init__(self, kind: str, from_s: float, to_s: float, counts: int = 0) -> None:
        self.kind, self.from_s, self.to_s, self.counts = kind, from_s, to_s, counts


def encoder_words(profile: SpeedProfile, encoder: Encoder, faults: list[Fault], at_s: float) -> tuple[int, int]:
    """Return (counter, speed mm/s) as the PLC reports them."""
    shown_s = at_s
    added = 0
    for fault in faults:
        inside = fault.from_s <= at_s < fault.to_s
        if fault.kind == "freeze" and inside:
            shown_s = fault.from_s
        if fault.kind == "jump" and at_s >= fault.from_s:
            added += fault.counts
    speed = profile.speed_mm_s(at_s)
    if any(fault.kind == "negative_speed" and fault.from_s <= at_s < fault.to_s for fault in faults):
        speed = -speed
    return (encoder.count(profile.position_mm(shown_s)) + added) % 2**encoder.bits, round(speed)


def since_begin_s(epoch_file: Path) -> float:
    """Return the profile's time: the strip waits at its first point until `begin`."""
    return (time.monotonic_ns() - int(epoch_file.read_text())) / 1e9 if epoch_file.exists() else 0.0


def serve_plc(settings: dict[str, Any]) -> None:
    """Answer until killed."""
    from pymodbus.server import StartAsyncTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    profile = SpeedProfile(tuple(map(tuple, settings["profile"])))
    encoder = Encoder(settings["mm_per_count"], settings["bits"])
    faults = [Fault(**each) for each in settings["faults"]]
    coil_file, epoch_file = Path(settings["coil_file"]), Path(settings["epoch_file"])

    async def act(
        _code: int, start: int, address: int, count: int, registers: list[int], values: list[Any] | None
    ) -> None:
        at_s = since_begin_s(epoch_file)
        counter, speed = encoder_words(profile, encoder, faults, at_s)
        registers[COUNTER - start : COUNTER - start + 2] = struct.unpack(">2H", struct.pack(">I", counter))
        registers[SPEED - start : SPEED - start + 2] = struct.unpack(">2H", struct.pack(">i", speed))
        if coil_file.exists():
            words = json.loads(coil_file.read_text())
            registers[COIL - start : COIL - start + len(words)] = words

    registers = SimData(0, values=[0] * REGISTERS, datatype=DataType.REGISTERS)
    device = SimDevice(DEVICE, simdata=[registers], action=act)
    asyncio.run(StartAsyncTcpServer(device, address=("127.0.0.1", settings["port"])))


def send_lines(settings: dict[str, Any]) -> None:
    """Send lines of text over UDP until killed."""
    profile = SpeedProfile(tuple(map(tuple, settings["profile"])))
    encoder = Encoder(settings["mm_per_count"], settings["bits"])
    faults = [Fault(**each) for each in settings["faults"]]
    epoch_file = Path(settings["epoch_file"])
    Path(settings["ready_file"]).touch()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while True:
            at_s = since_begin_s(epoch_file)
            counter, speed = encoder_words(profile, encoder, faults, at_s)
            sender.sendto(f"{counter};{speed}\r\n".encode(), ("127.0.0.1", settings["port"]))
            time.sleep(0.01)


class Mill(Peer):
    """Starts, stops and reads a mill."""

    def __init__(
        self,
        folder: Path,
        profile: tuple[tuple[float, float], ...],
        *,
        mm_per_count: float = 1.0,
        bits: int = 32,
        faults: list[dict[str, Any]] | None = None,
        over: str = "plc",
    ) -> None:
        self.profile = SpeedProfile(profile)
        self.epoch_ns: int | None = None
        self._epoch_file, self._ready_file = folder / "mill-epoch", folder / "mill-ready"
        self.port = free_port()
        self.coil_file = folder / "coil-registers.json"
        self._settings = {
            "over": over, "port": self.port, "profile": profile, "mm_per_count": mm_per_count, "bits": bits,
            "faults": faults or [], "coil_file": str(self.coil_file),
            "epoch_file": str(self._epoch_file), "ready_file": str(self._ready_file),
        }  # fmt: skip

    def begin(self) -> None:
        """Start the profile's time."""
        self.epoch_ns = time.monotonic_ns()
        write_whole(self._epoch_file, str(self.epoch_ns).encode(), sync=False)

    def start(self) -> "Mill":
        """Start it; when this returns, it answers or sends."""
        self._launch("tests.support.mill", json.dumps(self._settings), quiet=True)
        over_plc = self._settings["over"] == "plc"
        self._wait_until(lambda: self._ready_file.exists() or (over_plc and listens(self.port)))
        return self

    def position_mm(self, monotonic_ns: int) -> float:
        """Return the strip's true position at a time of the monotonic clock."""
        return 0.0 if self.epoch_ns is None else self.profile.position_mm((monotonic_ns - self.epoch_ns) / 1e9)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    (serve_plc if given["over"] == "plc" else send_lines)(given)
