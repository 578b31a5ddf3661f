"""What the gate says of a PLC that answers otherwise than asked."""

import socket
import threading

from inspector.config.sinks import GateSettings
from inspector.sinks.gate.modbus import reach
from inspector.sinks.gate.registers import REGISTERS


def answer_as(unit: int, server: socket.socket) -> None:
    """Answer one read of the registers with zeros, in the name of this unit."""
    connection, _ = server.accept()
    with connection:
        request = connection.recv(260)
        body = bytes([unit, 3, 2 * REGISTERS]) + bytes(2 * REGISTERS)
        connection.sendall(request[:4] + len(body).to_bytes(2, "big") + body)
        connection.recv(1)


def reached(unit: int) -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        plc = threading.Thread(target=answer_as, args=(unit, server))
        plc.start()
        settings = GateSettings(host="127.0.0.1", port=server.getsockname()[1], device_id=3, timeout_ms=500)
        said = reach(settings)
        plc.join(10)
    return said


def test_a_plc_of_another_unit_is_named() -> None:
    """The message names the unit that answered, instead of "no answer"."""
    assert "the PLC answers as unit 0, not 3: see gate.device_id" in reached(0)
    assert reached(3).endswith("answers")
