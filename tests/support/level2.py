"""A Level 2 for tests, in a separate process: it sends coils and accepts results, and stores both on the disk.

It follows the telegrams' description and does not use the inspector's codec. Files keep its state over kills: what
the line has acknowledged, and each result that it has accepted.
"""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from tests.support.peer import Peer
from tests.support.ports import free_port

TEXT_TOML = """
[strip.level2]
connect = "127.0.0.1:{port}"
alive_s = 0.5
timeout_s = 3
resend_s = 1
terminator = "\\r\\n"
header = [
  {{ name = "type", type = "text", length = 4 }},
  {{ name = "length", type = "number", length = 5 }},
  {{ name = "sequence", type = "number", length = 4 }},
]
[strip.level2.telegrams.alive]
code = "ALIV"
[strip.level2.telegrams.ack]
code = "ACKN"
fields = [
  {{ name = "of_sequence", type = "number", length = 4 }},
  {{ name = "code", type = "number", length = 2 }},
  {{ name = "text", type = "text", length = 40 }},
]
[strip.level2.telegrams.coil_start]
code = "CSTA"
fields = [
  {{ name = "id", type = "text", length = 12 }},
  {{ name = "grade", type = "text", length = 8 }},
  {{ name = "width_mm", type = "number", length = 5, scale = 0.1 }},
]
[strip.level2.telegrams.coil_end]
code = "CEND"
fields = [{{ name = "id", type = "text", length = 12 }}]
[strip.level2.telegrams.result]
code = "RSLT"
fields = [
  {{ name = "number", type = "number", length = 6 }},
  {{ name = "id", type = "text", length = 12 }},
  {{ name = "verdict", type = "text", length = 9 }},
  {{ name = "count", type = "number", length = 5 }},
  {{ name = "length_mm", type = "number", length = 8 }},
]
"""

PACKED_TOML = """
[strip.level2]
listen = "127.0.0.1:{port}"
alive_s = 0.5
timeout_s = 3
resend_s = 1
byte_order = "little"
header = [{{ name = "type", type = "uint16" }}, {{ name = "sequence", type = "uint32" }}]
[strip.level2.telegrams.alive]
code = "1"
[strip.level2.telegrams.ack]
code = "2"
fields = [{{ name = "of_sequence", type = "uint32" }}, {{ name = "code", type = "uint16" }}]
[strip.level2.telegrams.coil_start]
code = "101"
fields = [
  {{ name = "id", type = "text", length = 12 }},
  {{ name = "grade", type = "text", length = 8 }},
  {{ name = "width_mm", type = "uint16", scale = 0.1 }},
]
[strip.level2.telegrams.coil_end]
code = "102"
fields = [{{ name = "id", type = "text", length = 12 }}]
[strip.level2.telegrams.result]
code = "201"
fields = [
  {{ name = "number", type = "uint32" }},
  {{ name = "id", type = "text", length = 12 }},
  {{ name = "verdict", type = "uint8", codes = {{ release = 1, downgrade = 2, hold = 3 }} }},
  {{ name = "count", type = "uint16" }},
  {{ name = "length_mm", type = "float32" }},
]
"""

VERDICTS = {1: "release", 2: "downgrade", 3: "hold"}


class TextFormat:
    """ASCII, fixed width, with lengths and CR LF."""

    head = 13

    def build(self, kind: str, sequence: int, body: bytes = b"") -> bytes:
        code = {"alive": "ALIV", "ack": "ACKN", "coil_start": "CSTA", "coil_end": "CEND"}[kind]
        return f"{code}{15 + len(body):05d}{sequence:04d}".encode() + body + b"\r\n"

    def cut(self, data: bytes) -> tuple[tuple[str, int, bytes] | None, bytes]:
        if len(data) < self.head or len(data) < int(data[4:9]):
            return None, data
        size = int(data[4:9])
        assert data[size - 2 : size] == b"\r\n"
        return (data[:4].decode(), int(data[9:13]), data[13 : size - 2]), data[size:]

    def start(self, coil: dict[str, Any]) -> bytes:
        return f"{coil['id']:<12}{coil['grade']:<8}{round(coil['width_mm'] * 10):05d}".encode()

    def end(self, coil: dict[str, Any]) -> bytes:
        return f"{coil['id']:<12}".encode()

    def ack(self, sequence: int) -> bytes:
        return f"{sequence:04d}00{'':<40}".encode()

    def acknowledged(self, body: bytes) -> tuple[int, int]:
        return int(body[:4]), int(body[4:6])

    def result(self, body: bytes) -> dict[str, Any]:
        return {
            "number": int(body[:6]), "id": body[6:18].decode().strip(), "verdict": body[18:27].decode().strip(),
            "count": int(body[27:32]), "length_mm": float(body[32:40]),
        }  # fmt: skip

    kinds: ClassVar = {"ALIV": "alive", "ACKN": "ack", "RSLT": "result"}


class PackedFormat:
    """Little-endian, packed, without lengths."""

    sizes: ClassVar = {1: 0, 2: 6, 201: struct.calcsize("<I12sBHf")}
    kinds: ClassVar = {"1": "alive", "2": "ack", "201": "result"}

    def build(self, kind: str, sequence: int, body: bytes = b"") -> bytes:
        code = {"alive": 1, "ack": 2, "coil_start": 101, "coil_end": 102}[kind]
        return struct.pack("<HI", code, sequence) + body

    def cut(self, data: bytes) -> tuple[tuple[str, int, bytes] | None, bytes]:
        if len(data) < 6:
            return None, data
        code, sequence = struct.unpack("<HI", data[:6])
        size = 6 + self.sizes[code]
        return (None, data) if len(data) < size else ((str(code), sequence, data[6:size]), data[size:])

    def start(self, coil: dict[str, Any]) -> bytes:
        name, grade = coil["id"].ljust(12).encode(), coil["grade"].ljust(8).encode()
        return struct.pack("<12s8sH", name, grade, round(coil["width_mm"] * 10))

    def end(self, coil: dict[str, Any]) -> bytes:
        return coil["id"].ljust(12).encode()

    def ack(self, sequence: int) -> bytes:
        return struct.pack("<IH", sequence, 0)

    def acknowledged(self, body: bytes) -> tuple[int, int]:
        return struct.unpack("<IH", body)

    def result(self, body: bytes) -> dict[str, Any]:
        number, name, verdict, count, length_mm = struct.unpack("<I12sBHf", body)
        return {"number": number, "id": name.decode().strip(), "verdict": VERDICTS[verdict], "count": count,
                "length_mm": length_mm}  # fmt: skip


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def append(path: Path, line: str) -> None:
    """Append a line; it is on the disk when this returns."""
    with path.open("a") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


class Talk:
    """One connection. Orders, acknowledgements and accepted results are lines of files."""

    def __init__(self, connection: socket.socket, form: Any, settings: dict[str, Any]) -> None:
        self._connection, self._form, self._settings = connection, form, settings
        folder = Path(settings["folder"])
        self._orders, self._done = folder / "orders", folder / "done"
        self._results, self._log = folder / "results", folder / "log"
        self._waits: int | None = None
        self._resend_s = self._alive_s = 0.0
        connection.settimeout(2)

    def talk(self) -> None:
        """Exchange telegrams until the connection breaks."""
        rest = b""
        while True:
            self._say()
            ready, _, _ = select.select([self._connection], [], [], 0.05)
            if not ready:
                continue
            data = self._connection.recv(65536)
            if not data:
                raise ConnectionError
            telegram, rest = self._form.cut(rest + data)
            while telegram is not None:
                self._take(*telegram)
                telegram, rest = self._form.cut(rest)

    def _say(self) -> None:
        now_s = time.monotonic()
        finished, todo = len(lines(self._done)), lines(self._orders)
        if (self._waits is None or now_s > self._resend_s) and finished < len(todo):
            # Numbered like the order, so that a resent telegram is the same.
            number, order = finished + 1, json.loads(todo[finished])
            body = self._form.start(order) if order["kind"] == "coil_start" else self._form.end(order)
            self._connection.sendall(self._form.build(order["kind"], number, body))
            self._waits, self._resend_s = number, now_s + 1.0
            if self._settings.get("die_after_sending") == number:
                os.kill(os.getpid(), signal.SIGKILL)
        if now_s > self._alive_s:
            self._connection.sendall(self._form.build("alive", 0))
            self._alive_s = now_s + 0.5

    def _take(self, code: str, sequence: int, body: bytes) -> None:
        kind = self._form.kinds[code]
        if kind == "ack":
            of, answer = self._form.acknowledged(body)
            if of == self._waits:
                append(self._done, json.dumps([of, answer]))
                self._waits = None
        elif kind == "result":
            result = self._form.result(body)
            append(self._log, json.dumps(result))
            if all(json.loads(each)["number"] != result["number"] for each in lines(self._results)):
                append(self._results, json.dumps(result))
            if self._settings.get("die_before_ack") == result["number"]:
                os.kill(os.getpid(), signal.SIGKILL)
            self._connection.sendall(self._form.build("ack", 0, self._form.ack(sequence)))


def serve(settings: dict[str, Any]) -> None:
    """Talk until killed: the text partner is the server, the packed one connects."""
    form = TextFormat() if settings["format"] == "text" else PackedFormat()
    listener = socket.create_server(("127.0.0.1", settings["port"])) if settings["format"] == "text" else None
    while True:
        try:
            if listener is not None:
                connection, _ = listener.accept()
            else:
                connection = socket.create_connection(("127.0.0.1", settings["port"]), timeout=1)
        except OSError:
            time.sleep(0.1)
            continue
        with connection, contextlib.suppress(OSError):
            Talk(connection, form, settings).talk()


class Level2(Peer):
    """Starts, kills and orders a Level 2."""

    def __init__(self, folder: Path, form: str) -> None:
        self.folder, self.form, self.port = folder, form, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.toml = (TEXT_TOML if form == "text" else PACKED_TOML).format(port=self.port)

    def start(self, **faults: int) -> "Level2":
        settings = {"folder": str(self.folder), "format": self.form, "port": self.port, **faults}
        self._launch("tests.support.level2", json.dumps(settings))
        return self

    def order(self, kind: str, coil: str, grade: str = "S355", width_mm: float = 512.0) -> int:
        """Queue a telegram; returns the number of queued ones."""
        order = {"kind": kind, "id": coil, "grade": grade, "width_mm": width_mm}
        append(self.folder / "orders", json.dumps(order))
        return len(lines(self.folder / "orders"))

    def acknowledged(self) -> list[list[int]]:
        return [json.loads(each) for each in lines(self.folder / "done")]

    def results(self) -> list[dict[str, Any]]:
        """Each result once."""
        return [json.loads(each) for each in lines(self.folder / "results")]

    def received(self) -> list[dict[str, Any]]:
        """Every result telegram, repetitions too."""
        return [json.loads(each) for each in lines(self.folder / "log")]


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
