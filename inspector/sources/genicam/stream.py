"""The stream of a GenICam camera: its buffers, and how long it waits for packets."""

import socket
from typing import Any, Final

import structlog

from inspector.sources.genicam.library import aravis

NO_ID: Final = 2**64 - 1
"""The frame id of a buffer that is not filled yet. Aravis sets the id from a frame's first packet, so this one
remains when that packet is lost."""

_POOL_S: Final = 0.5
_LEAST_BUFFERS: Final = 8
_POOL_BYTES: Final = 256 * 2**20
"""Buffers for half a second of frames, at least 8, in at most 256 MB: packets arrive even while Python is busy."""

_SOCKET_FRAMES: Final = 8
"""Frames that the kernel's socket buffer should hold, up to net.core.rmem_max. Aravis' default is one frame, and
the kernel's own overhead takes half of it."""

_LEAST_SOCKET_BYTES: Final = 2 * 2**20
"""Smallest socket buffer. The kernel adds some hundred bytes per packet, which matters for blocks of few rows."""

_RETENTION_FRAMES: Final = 4
_LEAST_RETENTION_US: Final = 10_000
_MOST_RETENTION_US: Final = 100_000
"""How long a frame may wait for resent packets: later frames wait behind it, and ingest can hold 8 of them."""

_LEAST_SOCKET_FRAMES: Final = 2

log = structlog.get_logger()


class StreamFault(Exception):  # noqa: N818  # becomes the reason why a camera cannot be opened
    """The camera provides no stream; one line."""


def open_stream(camera: Any, per_second: float) -> Any:
    """Open a stream with buffers for `per_second` pictures; raises StreamFault. The acquisition is not started."""
    kinds = aravis()
    is_gige = camera.is_gv_device()
    if is_gige:
        # Packet sockets need a privilege and do not work on the loopback interface.
        camera.gv_set_stream_options(kinds.GvStreamOption.PACKET_SOCKET_DISABLED)
    stream = camera.create_stream(None, None)
    if stream is None:
        raise StreamFault("the camera gives no stream: is another program reading it?")
    payload = camera.get_payload()
    if is_gige:
        _check_kernel_buffer(payload)
        stream.set_property("socket-buffer", kinds.GvStreamSocketBuffer.FIXED)
        stream.set_property("socket-buffer-size", max(_LEAST_SOCKET_BYTES, _SOCKET_FRAMES * payload))
        wanted_us = int(_RETENTION_FRAMES / per_second * 1e6)
        stream.set_property("frame-retention", max(_LEAST_RETENTION_US, min(_MOST_RETENTION_US, wanted_us)))
    for _ in range(max(_LEAST_BUFFERS, min(int(_POOL_S * per_second) + 1, _POOL_BYTES // payload))):
        hand_over(stream, kinds.Buffer.new_allocate(payload))
    return stream


def hand_over(stream: Any, buffer: Any) -> None:
    """Give a buffer to the stream, which fills it."""
    buffer.set_frame_id(NO_ID)
    stream.push_buffer(buffer)


def _check_kernel_buffer(payload: int) -> None:
    """Warn when the kernel cannot hold the packets of two frames; the kernel itself silently gives less."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_FRAMES * payload)
        # The kernel doubles the requested size for its own overhead (socket(7)).
        most = probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    if most < _LEAST_SOCKET_FRAMES * payload:
        log.warning(
            "the kernel's socket buffer is too small for this camera, packets get lost: raise net.core.rmem_max",
            now_bytes=most,
            wanted_bytes=_SOCKET_FRAMES * payload,
        )
