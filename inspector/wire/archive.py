"""Every frame for the archive: an announcement as decide gets it, and the pixels."""

from pathlib import Path
from typing import Final

import numpy as np
import zmq

from inspector.errors import WireError
from inspector.values import Announcement, Pixels
from inspector.wire.links import ARCHIVE, open_receiver, open_sender
from inspector.wire.messages import decode_news, encode

FIND_ARCHIVE_MS: Final = 1_000
"""Longest wait for the archive at the start of ingest; it connects within some 20 ms if it runs."""

_PARTS: Final = 3
"""Announcement, width as text, pixels."""

Context = zmq.Context[zmq.Socket[bytes]]


class ArchiveSender:
    """ingest's end. It waits for nobody: without room, or without an archive process, the frame is dropped."""

    def __init__(self, context: Context, links: Path, camera: str) -> None:
        """Raises ConfigError."""
        self._socket = open_sender(context, ARCHIVE, links, camera, linger_ms=0)

    def find(self) -> None:
        """Wait a moment for a running archive to connect: it would miss the first frames."""
        self._socket.poll(FIND_ARCHIVE_MS)

    def send(self, announcement: Announcement, pixels: Pixels | None) -> None:
        """Send a frame, or a fault without pixels."""
        parts: list[bytes | memoryview] = [encode([announcement])]
        if pixels is not None:
            parts += [str(pixels.shape[1]).encode(), np.ascontiguousarray(pixels).reshape(-1).data]
        self._socket.send_multipart(parts, zmq.NOBLOCK)


class ArchiveReceiver:
    """The archive's end, for all cameras."""

    def __init__(self, context: Context, links: Path, cameras: list[str]) -> None:
        """Raises ConfigError."""
        self._poller = zmq.Poller()
        for camera in cameras:
            self._poller.register(open_receiver(context, ARCHIVE, links, camera), zmq.POLLIN)

    def take(self, wait_ms: int) -> list[tuple[Announcement, Pixels | None]]:
        """Wait for frames; returns one of each camera that has some. Raises WireError for a foreign message."""
        taken = []
        for socket, _ in self._poller.poll(wait_ms):
            news, *rest = socket.recv_multipart()
            told = decode_news([news])
            if len(told) != 1 or not isinstance(told[0], Announcement) or len(rest) not in (0, _PARTS - 1):
                raise WireError("a message to the archive is not one of this version")
            pixels = np.frombuffer(rest[1], np.uint8).reshape(-1, int(rest[0])) if rest else None
            taken.append((told[0], pixels))
        return taken
