"""A network camera over RTSP, H.264 in RTP on one TCP connection; it can lose frames, or parts of them."""

import base64
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Collection, Sequence
from typing import Final, Self

_PACKET_BYTES: Final = 1200
_CLOCK_HZ: Final = 90_000
_SPS: Final = 7
_PPS: Final = 8
_FRAGMENT: Final = 28


def nal_units(frame: bytes) -> list[bytes]:
    return [unit for unit in re.split(b"\0\0\0\1|\0\0\1", frame) if unit]


class RtspCamera(socketserver.ThreadingTCPServer):
    """Plays `frames` (H.264, Annex B) once to each client, then stays silent."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(
        self,
        frames: Sequence[bytes],
        frames_per_second: float = 25.0,
        lost: Collection[int] = (),
        cut: Collection[int] = (),
    ) -> None:
        """`lost`: frames none of whose packets arrive; `cut`: frames whose later packets do not."""
        super().__init__(("127.0.0.1", 0), _Session)
        self.frames = [nal_units(frame) for frame in frames]
        self.frames_per_second = frames_per_second
        self.lost, self.cut = set(lost), set(cut)
        self.stopped = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.server_address[1]}/strip"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopped.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


class _Session(socketserver.StreamRequestHandler):
    server: RtspCamera

    def handle(self) -> None:
        while (request := self._request()) is not None:
            method, sequence = request
            head = f"RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n"
            if method == "DESCRIBE":
                body = self._description()
                self._answer(f"{head}Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}")
            elif method == "SETUP":
                self._answer(f"{head}Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n")
            elif method == "PLAY":
                self._answer(f"{head}Session: 1\r\nRTP-Info: url=trackID=0;seq=0;rtptime=0\r\n\r\n")
                threading.Thread(target=self._play, daemon=True).start()
            else:
                self._answer(f"{head}Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n")
        self.server.stopped.wait(0.1)

    def _request(self) -> tuple[str, str] | None:
        lines: list[bytes] = []
        while line := self.rfile.readline():
            if line in {b"\r\n", b"\n"} and lines:
                text = b"".join(lines).decode(errors="replace")
                number = re.search(r"CSeq: (\d+)", text)
                return text.split(" ")[0], number[1] if number else "0"
            lines.append(line)
        return None

    def _answer(self, text: str) -> None:
        self.wfile.write(text.encode())

    def _description(self) -> str:
        first = self.server.frames[0]
        sets = [next(unit for unit in first if unit[0] & 31 == kind) for kind in (_SPS, _PPS)]
        sprop = ",".join(base64.b64encode(unit).decode() for unit in sets)
        return (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=strip\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
            f"a=framerate:{self.server.frames_per_second}\r\n"
            f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sprop}\r\na=control:trackID=0\r\n"
        )

    def _play(self) -> None:
        started_s, sequence = time.monotonic(), 0
        try:
            for number, units in enumerate(self.server.frames):
                packets = [packet for unit in units for packet in _packets(unit)]
                for index, payload in enumerate(packets):
                    is_last = index == len(packets) - 1
                    is_kept = number not in self.server.lost and (number not in self.server.cut or index == 0)
                    if is_kept:
                        ticks = int(number * _CLOCK_HZ / self.server.frames_per_second)
                        head = struct.pack(">BBHII", 0x80, 96 | is_last << 7, sequence & 0xFFFF, ticks, 7)
                        self.wfile.write(b"$\0" + struct.pack(">H", len(head) + len(payload)) + head + payload)
                    sequence += 1
                due_s = started_s + (number + 1) / self.server.frames_per_second
                if self.server.stopped.wait(max(0.0, due_s - time.monotonic())):
                    return
            self.server.stopped.wait()
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the client has gone


def _packets(unit: bytes) -> list[bytes]:
    """RTP payloads of one NAL unit (RFC 6184): itself, or fragments."""
    if len(unit) <= _PACKET_BYTES:
        return [unit]
    parts = [unit[at : at + _PACKET_BYTES] for at in range(1, len(unit), _PACKET_BYTES)]
    kind, last = unit[0] & 31, len(parts) - 1
    return [
        bytes([unit[0] & 0xE0 | _FRAGMENT, (n == 0) << 7 | (n == last) << 6 | kind]) + part
        for n, part in enumerate(parts)
    ]
