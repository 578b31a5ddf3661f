"""A GigE Vision camera on the loopback interface; a test tells it frame by frame what to send and what to lose.

It speaks the protocol's control and stream channels (GVCP, GVSP) over real sockets. Aravis' own fake camera sends
one pattern at its own pace; this one has packed formats, chunks, a temperature, and losses at exactly one place.
"""

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest

from inspector.errors import SourceError
from inspector.sources.genicam.library import aravis

XML = (Path(__file__).parent / "gige_camera.xml").read_bytes()

CONTROL_PORT = 3956
XML_ADDRESS = 0x10000
MEMORY_BYTES = XML_ADDRESS + len(XML) + 1024

CONTROL, STREAM_PORT, PACKET_SIZE, STREAM_TO = 0x0A00, 0x0D00, 0x0D04, 0x0D18
WIDTH, HEIGHT, FORMAT, RUNNING, EXPOSURE, GAIN = 0x2000, 0x2004, 0x2008, 0x2010, 0x2014, 0x2018
TRIGGER_MODE, TRIGGER_SOURCE, DIVIDER, TEMPERATURE, CHUNKS = 0x2020, 0x2028, 0x202C, 0x2030, 0x2034
USER_SET = 0x2038

DISCOVER, READ, WRITE, READ_MEMORY, WRITE_MEMORY = 0x02, 0x80, 0x82, 0x84, 0x86
FIRE = 1 << 31
OK, ACCESS_DENIED = 0, 0x8006
ENCODER_CHUNK, PICTURE_CHUNK = 0x0E0C0DE0, 1
OVERHEAD = 20 + 8 + 8
"""Bytes of the IP, UDP and GVSP headers, which a packet's size includes."""

LEADER, TRAILER = "leader", "trailer"


class GigeCamera:
    """A camera at a separate address, so that several tests can run at the same time."""

    def __init__(self, *, height: int = 16, width: int = 64, pixel_format: int = 0x01080001) -> None:
        self.address = f"127.{64 + os.getpid() // 62500 % 128}.{os.getpid() // 250 % 250}.{1 + os.getpid() % 250}"
        self._memory = bytearray(MEMORY_BYTES)
        self._text(0x48, "Strip")
        self._text(0x68, "Test")
        self._text(0xD8, "T1")
        self._text(0x200, f"Local:camera.xml;{XML_ADDRESS:x};{len(XML):x}")
        self._memory[XML_ADDRESS : XML_ADDRESS + len(XML)] = XML
        first = {
            0x00: 0x10000,
            0x04: 0x80000001,
            0x600: 1,
            0x904: 1,
            0x934: 0xE,
            0x938: 3000,
            0x940: 1_000_000_000,
        }
        self._memory[0x24:0x28] = socket.inet_aton(self.address)
        for address, value in {
            **first,
            PACKET_SIZE: 576,
            WIDTH: width,
            HEIGHT: height,
            FORMAT: pixel_format,
        }.items():
            self._put(address, value)
        self._memory[TEMPERATURE : TEMPERATURE + 4] = struct.pack(">f", 41.5)
        self.carries = 9000
        """Largest packet that the network carries, bytes."""
        self.written: list[tuple[int, int]] = []
        """Registers written, in order."""
        self._socket: Any = None
        self._stream: Any = None
        self._thread: Any = None

    def _text(self, address: int, text: str) -> None:
        self._memory[address : address + len(text)] = text.encode()

    def _put(self, address: int, value: int) -> None:
        self._memory[address : address + 4] = struct.pack(">I", value)

    def register(self, address: int) -> int:
        return struct.unpack_from(">I", self._memory, address)[0]

    def number(self, address: int) -> float:
        return struct.unpack_from(">f", self._memory, address)[0]

    def __enter__(self) -> Self:
        self.switch_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self.switch_off()

    def switch_on(self) -> None:
        """Begin to answer, with nobody in control."""
        self._put(CONTROL, 0)
        self._put(RUNNING, 0)
        self._controller = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, CONTROL_PORT))
        self._stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stream.bind((self.address, 0))
        self._on = True
        self._thread = threading.Thread(target=self._serve, name="gige", daemon=True)
        self._thread.start()

    def switch_off(self) -> None:
        """Answer no more, as when the power fails."""
        self._on = False
        self._thread.join()
        self._thread = None
        self._socket.close()
        self._stream.close()

    def _serve(self) -> None:
        while self._on:
            if select.select([self._socket], [], [], 0.02)[0]:
                packet, peer = self._socket.recvfrom(2048)
                _, _, command, size, number = struct.unpack_from(">BBHHH", packet)
                status = OK
                if command in {WRITE, WRITE_MEMORY} and self.register(CONTROL) and peer != self._controller:
                    status = ACCESS_DENIED
                    answer: bytes | None = b""
                else:
                    answer = self._answer(command, packet[8 : 8 + size])
                    if self.register(CONTROL) and self._controller is None:
                        self._controller = peer
                    elif not self.register(CONTROL):
                        self._controller = None
                if answer is not None:
                    head = struct.pack(">HHHH", status, command + 1, len(answer), number)
                    self._socket.sendto(head + answer, peer)

    def _answer(self, command: int, body: bytes) -> bytes | None:
        if command == DISCOVER:
            return bytes(self._memory[:0xF8])
        if command == READ:
            places = struct.unpack(f">{len(body) // 4}I", body)
            return b"".join(bytes(self._memory[place : place + 4]) for place in places)
        if command == WRITE:
            pairs = list(struct.iter_unpack(">II", body))
            for address, value in pairs:
                self._put(address, value & ~FIRE if address == PACKET_SIZE else value)
                if address == PACKET_SIZE and value & FIRE:
                    self._fire(value & 0xFFFF)
            self.written += pairs
            return struct.pack(">I", len(pairs))
        if command == READ_MEMORY:
            address, size = struct.unpack(">II", body)
            return body[:4] + bytes(self._memory[address : address + size])
        if command == WRITE_MEMORY:
            (address,) = struct.unpack_from(">I", body)
            data = body[4:]
            self._memory[address : address + len(data)] = data
            self.written.append((address, int.from_bytes(data[:4], "big")))
            return struct.pack(">I", len(data))
        return None

    @property
    def streams(self) -> bool:
        """Whether a program has started the acquisition."""
        return bool(self.register(CONTROL) and self.register(RUNNING) and self.register(STREAM_PORT) & 0xFFFF)

    def _fire(self, size: int) -> None:
        """Send the test packet by which a program learns what the network carries."""
        if size <= self.carries:
            self._stream.sendto(bytes(size - 28), self._receiver())

    def _receiver(self) -> tuple[str, int]:
        return socket.inet_ntoa(self._memory[STREAM_TO : STREAM_TO + 4]), self.register(STREAM_PORT) & 0xFFFF

    def wait_for_stream(self) -> None:
        """Return once the acquisition runs."""
        until_s = time.monotonic() + 20
        while not self.streams:
            assert time.monotonic() < until_s, "no program starts the stream"
            time.sleep(0.005)

    def send(
        self,
        frame_id: int,
        picture: np.ndarray | bytes,
        *,
        time_ns: int | None = None,
        encoder: int | None = None,
        lose: Collection[int | str] = (),
        height: int | None = None,
    ) -> None:
        """Send one frame; `lose` names what is lost on the way: the leader, the trailer, data packets from 1."""
        data = picture if isinstance(picture, bytes) else picture.tobytes()
        kind = 0x1
        if self.register(CHUNKS):
            kind = 0x4001
            data += struct.pack(">II", PICTURE_CHUNK, len(data))
            data += struct.pack(">III", encoder or 0, ENCODER_CHUNK, 4)
        stamp = time.time_ns() if time_ns is None else time_ns
        size = (self.register(PACKET_SIZE) & 0xFFFF) - OVERHEAD
        rows = self.register(HEIGHT) if height is None else height
        size_px = (self.register(FORMAT), self.register(WIDTH), rows)
        leader = struct.pack(">HHQ6I", 0, kind, stamp, *size_px, 0, 0, 0)
        blocks = [data[start : start + size] for start in range(0, len(data), size)]
        packets = [(1, leader), *((3, block) for block in blocks), (2, struct.pack(">II", kind, rows))]
        lost = {0 if each == LEADER else len(packets) - 1 if each == TRAILER else each for each in lose}
        to = self._receiver()
        for number, (form, body) in enumerate(packets):
            if number not in lost:
                self._stream.sendto(struct.pack(">HHI", 0, frame_id, form << 24 | number) + body, to)


class Feeder:
    """Sends numbered frames at a steady rate to each client; every sixth loses a packet."""

    def __init__(self, camera: GigeCamera, frames: list[np.ndarray], per_second: float) -> None:
        self._camera, self._frames, self._pause_s = camera, frames, 1 / per_second
        self._on = True
        self._thread = threading.Thread(target=self._feed, name="feeder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._on = False
        self._thread.join()

    def _feed(self) -> None:
        frame_id = 0
        while self._on:
            time.sleep(self._pause_s)
            if self._camera.streams:
                frame_id = frame_id % 65_535 + 1
                lose = [2] if frame_id % 6 == 3 else []
                self._camera.send(frame_id, self._frames[frame_id % len(self._frames)], lose=lose)


def needs_aravis() -> None:
    """Skip where Aravis is not installed."""
    try:
        aravis()
    except SourceError:
        pytest.skip("aravis")
