"""A simulated mill's PLC, to try a `[strip]` table without a mill: encoder counter and speed over Modbus/TCP.

    python -m inspector.sources.simulator.mill_plc --port 5020 --profile 0:0 5:20 60:20 65:0

serves the counter (uint32, 1 mm) in holding registers 0 and 1 and the speed (int32, mm/s) in 2 and 3, unit 1.
The profile repeats after its last point.
"""

import argparse
import asyncio
import struct
import time
from typing import Any

from inspector.extras import needs_extra
from inspector.sources.simulator.mill import Encoder, Mill, SpeedProfile

DEVICE = 1


def serve(port: int, profile: SpeedProfile) -> None:
    """Answer until killed."""
    with needs_extra("a simulated PLC"):
        from pymodbus.server import StartAsyncTcpServer
        from pymodbus.simulator import DataType, SimData, SimDevice
    encoder, mill = Encoder(), Mill(profile, repeat=True, began_ns=time.monotonic_ns())

    async def act(
        _code: int, start: int, _address: int, _count: int, registers: list[int], _values: list[Any] | None
    ) -> None:
        now_ns = time.monotonic_ns()
        words = struct.pack(">Ii", encoder.count(mill.position_mm(now_ns)), round(mill.speed_mm_s(now_ns)))
        registers[-start : 4 - start] = struct.unpack(">4H", words)

    registers = SimData(0, values=[0] * 16, datatype=DataType.REGISTERS)
    device = SimDevice(DEVICE, simdata=[registers], action=act)
    asyncio.run(StartAsyncTcpServer(device, address=("127.0.0.1", port)))


def _point(text: str) -> tuple[float, float]:
    seconds, _, speed = text.partition(":")
    return float(seconds), float(speed)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="mill_plc", description="Serve a simulated encoder over Modbus/TCP.")
    parser.add_argument("--port", type=int, default=5020)
    parser.add_argument(
        "--profile",
        nargs="+",
        type=_point,
        default=[(0.0, 5.0)],
        metavar="SECONDS:M_PER_S",
        help="speed over time",
    )
    options = parser.parse_args()
    serve(options.port, SpeedProfile(tuple(options.profile)))


if __name__ == "__main__":
    main()
