"""Every link between the processes in one table, and the sockets of the links."""

import os
import socket as unix
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq

from inspector.errors import ConfigError
from inspector.folders import make_own_folder, share_with_group


@dataclass(frozen=True, slots=True)
class Link:
    """One row of the link table."""

    name: str
    sender: str
    receiver: str
    pattern: tuple[int, int]
    """Socket types of sender and receiver."""
    binds: str
    """The side that binds the endpoint; the other side may come and go, or be several."""
    per_camera: bool
    high_water: int
    """Messages held at either end."""


_PIPE: Final = (zmq.PUSH, zmq.PULL)

_BY_CREDIT: Final = (zmq.ROUTER, zmq.DEALER)
"""Credit-based flow control: a worker grants credit and gets no more frames than that. So no frame waits where
it cannot be shed, and a worker can leave without losing one."""

FRAMES: Final = Link("frames", "ingest", "worker", _BY_CREDIT, "ingest", True, 1000)
"""Without credit from a worker, ingest waits or sheds the oldest frame, as the source says."""

NEWS: Final = Link("news", "ingest", "decide", _PIPE, "decide", False, 1000)
"""When it is full, ingest waits, because no announcement may be lost."""

RESULTS: Final = Link("results", "worker", "decide", _PIPE, "decide", False, 64)
"""When it is full, the worker waits, and so does ingest."""

VIEW: Final = Link("view", "decide", "viewers", (zmq.PUB, zmq.SUB), "decide", False, 4)
"""When it is full, viewers miss frames."""

ARCHIVE: Final = Link("archive", "ingest", "archive", (zmq.XPUB, zmq.SUB), "ingest", True, 64)
"""Every frame, for the archive; when it is full, the archive misses frames."""

LINKS: Final = (FRAMES, NEWS, RESULTS, VIEW, ARCHIVE)

MAX_MESSAGE_BYTES: Final = 256 * 1024 * 1024
"""A larger message closes its connection, so that no process runs out of memory."""

RECONNECT_MS: Final = 20
"""How often a process tries to connect to one that does not run, ms."""

_ANSWER_S: Final = 1.0
"""Longest wait for a connection, seconds: the kernel accepts it at once even for a busy process."""

_LONGEST_IPC_PATH: Final = 107
"""Longest socket path that Linux allows, bytes (sockaddr_un)."""


def ring_path(folder: Path, camera: str) -> Path:
    """File of the shared memory with a camera's frames."""
    return folder / FRAMES.name / f"{camera}.pixels"


def socket_path(folder: Path, name: str) -> Path:
    """Path of a socket of this line; raises ConfigError when it is too long."""
    path = folder / name
    if len(bytes(path)) > _LONGEST_IPC_PATH:
        raise ConfigError(f"links: {path} is longer than the {_LONGEST_IPC_PATH} bytes a socket's name may have")
    return path


def endpoint(link: Link, folder: Path, camera: str | None = None) -> str:
    """A link's address on this PC; raises ConfigError when its path is too long."""
    return f"ipc://{_link_path(link, folder, camera)}"


def _link_path(link: Link, folder: Path, camera: str | None) -> Path:
    """Path of a link's socket. Each link has a separate folder, which a service opens to the link's two users
    only."""
    return socket_path(folder / link.name, camera if link.per_camera and camera else "socket")


@contextmanager
def open_context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    """A ZeroMQ context that closes its sockets first: otherwise it would wait for them forever."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield context
    finally:
        context.destroy()


def open_sender(
    context: "zmq.Context[zmq.Socket[bytes]]",
    link: Link,
    folder: Path,
    camera: str | None = None,
    *,
    linger_ms: int,
) -> "zmq.Socket[bytes]":
    """The sending end; closing it waits at most `linger_ms` for unsent messages."""
    return _open(context, link, link.sender, link.pattern[0], folder, camera, linger_ms)


def open_receiver(
    context: "zmq.Context[zmq.Socket[bytes]]", link: Link, folder: Path, camera: str | None = None
) -> "zmq.Socket[bytes]":
    """The receiving end."""
    return _open(context, link, link.receiver, link.pattern[1], folder, camera, 0)


def answers(path: Path, kind: int) -> bool:
    """Whether a process listens at a unix socket of this kind; False for a socket left by a killed process.

    Raises OSError when it cannot be determined.
    """
    with unix.socket(unix.AF_UNIX, kind) as probe:
        probe.settimeout(_ANSWER_S)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except TimeoutError:
            return True  # a hung process still holds it
    return True


def connections(socket: "zmq.Socket[bytes]") -> "zmq.Socket[bytes]":
    """The monitor socket that reports each new connection of a worker's end of the frames link."""
    return socket.get_monitor_socket()


def _open(
    context: "zmq.Context[zmq.Socket[bytes]]",
    link: Link,
    side: str,
    kind: int,
    folder: Path,
    camera: str | None,
    linger_ms: int,
) -> "zmq.Socket[bytes]":
    socket = context.socket(kind)
    socket.linger = linger_ms
    socket.sndhwm = socket.rcvhwm = link.high_water
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    if kind == zmq.SUB:
        socket.subscribe(b"")
    if kind == zmq.ROUTER:
        # A message for a worker that has gone raises an error instead of being dropped.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    if kind == zmq.DEALER:
        # Reports every new connection, including one to a restarted ingest: see `connections`.
        socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    address = endpoint(link, folder, camera)
    if side == link.binds:
        path = _link_path(link, folder, camera)
        make_own_folder(path.parent)
        socket.bind(address)
        share_with_group(path)
    else:
        socket.connect(address)
    return socket
