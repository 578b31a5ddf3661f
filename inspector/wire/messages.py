"""Messages: a version byte and a msgpack header, then raw pixel planes as parts of their own."""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
import numpy as np

from inspector.errors import WireError
from inspector.values import MAP_STRIDES, Announcement, Frame, Inspection, Pixels, Segmentation, Working

WIRE_VERSION: Final = 1
"""Raised whenever a header changes; a stage refuses every other version."""

_VERSION: Final = bytes([WIRE_VERSION])


class Begin(msgspec.Struct, frozen=True, array_like=True, tag="begin"):
    """A camera's ingest has started; frame ids count from 0."""

    camera: str
    total: int | None
    """Frames to come, where the source knows."""


class Fault(msgspec.Struct, frozen=True, array_like=True, tag="fault"):
    """An announced frame will have no result: it was shed, or ingest stopped before it was sent."""

    camera: str
    frame_id: int
    reason: str


class End(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    """A camera's ingest stops; every frame it captured was announced before."""

    camera: str
    captured: int


class Idle(msgspec.Struct, frozen=True, array_like=True, tag="idle"):
    """A camera's source is alive and has no frame: nothing is missing."""

    camera: str


class FrameHeader(msgspec.Struct, frozen=True, array_like=True, tag="frame"):
    """Travels before a frame's pixels."""

    camera: str
    frame_id: int
    captured_ns: int
    clock_ns: int
    """The instant of capture on the monotonic clock."""
    position_mm: float
    height: int
    width: int
    view: bool
    """A viewer wants this frame: its maps and pixels travel on even when it is clean."""


class ResultHeader(msgspec.Struct, frozen=True, array_like=True, tag="result"):
    """What became of one frame; its kind, score and pixel planes follow where `map_stride` is not 0."""

    camera: str
    frame_id: int
    engine: str
    received_ns: int
    submitted_ns: int
    answered_ns: int
    fault: str | None = None
    map_stride: int = 0
    height: int = 0
    width: int = 0
    worker_started_ns: int = 0
    batch_frames: int = 0
    waiting_frames: int = 0


News = Begin | Announcement | Fault | End | Idle
"""What ingest tells decide."""

Parts = Sequence[bytes | memoryview]

_encoder: Final = msgspec.msgpack.Encoder()
_news: "Final[msgspec.msgpack.Decoder[News]]" = msgspec.msgpack.Decoder(News)
_frame: Final = msgspec.msgpack.Decoder(FrameHeader)
_result: Final = msgspec.msgpack.Decoder(ResultHeader)

Header = TypeVar("Header")


def encode(message: msgspec.Struct) -> bytes:
    """A message's first part: version byte and msgpack header."""
    return _VERSION + _encoder.encode(message)


def encode_result(camera: str, frame_id: int, inspection: Inspection) -> list[bytes | memoryview]:
    """All parts of a result; the planes are views, not copies."""
    maps, pixels = inspection.segmentation, inspection.pixels
    planes: list[bytes | memoryview] = []
    if maps is not None and pixels is not None:
        planes = [np.ascontiguousarray(plane).reshape(-1).data for plane in (maps.kind, maps.score, pixels)]
    header = ResultHeader(
        camera=camera,
        frame_id=frame_id,
        engine=inspection.engine,
        received_ns=inspection.received_ns,
        submitted_ns=inspection.submitted_ns,
        answered_ns=inspection.answered_ns,
        fault=inspection.fault,
        map_stride=maps.map_stride if maps is not None and planes else 0,
        height=pixels.shape[0] if pixels is not None and planes else 0,
        width=pixels.shape[1] if pixels is not None and planes else 0,
        worker_started_ns=inspection.working.started_ns,
        batch_frames=inspection.working.frames,
        waiting_frames=inspection.working.waiting,
    )
    return [encode(header), *planes]


def decode_news(parts: Parts) -> News:
    """What ingest says; raises WireError."""
    _expect(parts, 1)
    return _decode(parts[0], _news)


def decode_frame(parts: Parts) -> tuple[FrameHeader, Frame]:
    """A frame whose pixels are a view of the message; raises WireError."""
    _expect(parts, 2)
    header = _decode(parts[0], _frame)
    pixels = _plane(parts[1], header.height, header.width)
    try:
        frame = Frame(
            header.camera, header.frame_id, header.captured_ns, header.clock_ns, header.position_mm, pixels
        )
    except ValueError as error:
        raise WireError(str(error)) from None
    return header, frame


def decode_result(parts: Parts) -> tuple[str, int, Inspection]:
    """(camera, frame_id, inspection), its planes views of the message; raises WireError."""
    if not parts:
        raise WireError("empty message")
    header = _decode(parts[0], _result)
    stride = header.map_stride
    _expect(parts, 4 if stride else 1)
    segmentation = pixels = None
    if stride:
        if stride not in MAP_STRIDES or header.height % stride or header.width % stride:
            raise WireError(f"map stride {stride} for a frame of {header.height}×{header.width}")
        height, width = header.height // stride, header.width // stride
        kind, score = (_plane(part, height, width) for part in parts[1:3])
        pixels = _plane(parts[3], header.height, header.width)
        segmentation = Segmentation(kind, score, stride)
    inspection = Inspection(
        engine=header.engine,
        received_ns=header.received_ns,
        submitted_ns=header.submitted_ns,
        answered_ns=header.answered_ns,
        segmentation=segmentation,
        pixels=pixels,
        fault=header.fault,
        working=Working(header.worker_started_ns, header.batch_frames, header.waiting_frames),
    )
    return header.camera, header.frame_id, inspection


def _expect(parts: Parts, count: int) -> None:
    if len(parts) != count:
        raise WireError(f"message of {len(parts)} parts, expected {count}")


def _decode(part: bytes | memoryview, decoder: "msgspec.msgpack.Decoder[Header]") -> Header:
    if len(part) < 2 or part[0] != WIRE_VERSION:
        version = part[0] if len(part) else "none"
        raise WireError(f"wire version {version}, this stage speaks {WIRE_VERSION}: update both sides")
    try:
        return decoder.decode(memoryview(part)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"malformed header: {error}") from None


def _plane(part: bytes | memoryview, height: int, width: int) -> Pixels:
    if height < 1 or width < 1 or len(part) != height * width:
        raise WireError(f"plane of {len(part)} bytes for {height}×{width} px")
    return np.frombuffer(part, np.uint8).reshape(height, width)
