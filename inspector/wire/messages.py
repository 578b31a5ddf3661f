"""Messages: a version byte and a msgpack header, then raw pixel planes as separate parts."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import msgspec
import numpy as np

from inspector.core.rules import EngineClasses
from inspector.errors import WireError
from inspector.values import (
    MAP_STRIDES,
    MAX_SCORE,
    UNKNOWN_WORKER,
    UNSOUND_FRAME_SCORE,
    Announcement,
    Frame,
    Inspection,
    Pixels,
    Segmentation,
    Uninspected,
    Working,
)

WIRE_VERSION: Final = 6
"""Incremented when a header changes; a process refuses every other version."""

IN_MESSAGE: Final = -1
"""Slot of a frame whose pixels travel in the message itself."""

_VERSION: Final = bytes([WIRE_VERSION])


class Begin(msgspec.Struct, frozen=True, array_like=True, tag="begin"):
    """A camera's ingest has started; its frame ids count from 0."""

    camera: str
    ingest_epoch: int
    """When this ingest started, monotonic clock, ns. Epoch, camera and frame id identify a frame; a later
    ingest has a greater epoch."""
    total: int | None
    """Number of frames to come; None when the source does not know it."""


class Fault(msgspec.Struct, frozen=True, array_like=True, tag="fault"):
    """An announced frame will have no result: it was shed, or ingest stopped before sending it."""

    camera: str
    ingest_epoch: int
    frame_id: int
    reason: Uninspected


class End(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    """A camera's ingest stops; every frame that it captured was announced before."""

    camera: str
    ingest_epoch: int
    captured: int
    captured_ns: int
    """When the next frame would have been captured, ns since 1970."""
    position_mm: float
    """Strip position where the next frame would have begun."""
    height: int
    """Frame height, px: that of the last frame, or the engine's before the first."""


class Idle(msgspec.Struct, frozen=True, array_like=True, tag="idle"):
    """A camera's ingest is alive and has nothing to announce; no frame was missed."""

    camera: str
    ingest_epoch: int


class Readings(msgspec.Struct, frozen=True, array_like=True, tag="readings"):
    """A camera's newest measurements of itself, for the metrics."""

    camera: str
    ingest_epoch: int
    values: dict[str, float]
    """By name, for example `temperature_celsius` or `packets_missing`."""


class FrameHeader(msgspec.Struct, frozen=True, array_like=True):
    """One frame in a message to a worker."""

    frame_id: int
    captured_ns: int
    captured_monotonic_ns: int
    """Capture time on the monotonic clock."""
    position_mm: float
    height: int
    width: int
    slot: int
    """Slot of its pixels in the ring, or IN_MESSAGE: then they are the message's next part."""
    view: bool
    """A viewer wants this frame: its maps and pixels are sent on even when it is clean."""
    lent_until_ns: int
    """Monotonic clock: from then on ingest may reuse the slot for another frame."""
    inputs: int = 1
    """Credit that it used: the engine inputs that it is cut into. The worker returns as much."""


class Frames(msgspec.Struct, frozen=True, array_like=True, tag="frames"):
    """Frames for a worker, within its credit."""

    camera: str
    ingest_epoch: int
    frames: list[FrameHeader]


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag="welcome"):
    """ingest's answer to Hello, before it sends any frame."""

    ingest_epoch: int
    ring: str
    """File of the pixel ring."""
    slot_bytes: int


class Parted(msgspec.Struct, frozen=True, array_like=True, tag="parted"):
    """ingest's answer to Leaving; nothing follows it."""


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """A worker has connected to an ingest, perhaps a new one."""


class Credit(msgspec.Struct, frozen=True, array_like=True, tag="credit"):
    """A worker grants credit for `inputs` more engine inputs, and releases the pixels of the frames in `done`."""

    ingest_epoch: int
    """The ingest that it is meant for; a newer one has lent nothing yet and ignores it."""
    inputs: int
    done: list[int]


class Leaving(msgspec.Struct, frozen=True, array_like=True, tag="leaving"):
    """A worker takes no more frames, and finishes those that were sent to it before."""


class ResultHeader(msgspec.Struct, frozen=True, array_like=True):
    """Result of one frame; its kind, score and pixel planes follow unless `map_stride` is 0."""

    camera: str
    ingest_epoch: int
    frame_id: int
    received_ns: int
    submitted_ns: int
    answered_ns: int
    fault: Uninspected | None = None
    map_stride: int = 0
    height: int = 0
    width: int = 0
    frame_score: int | None = None
    """1..255; None for an engine without frame scores."""


class Results(msgspec.Struct, frozen=True, array_like=True, tag="results"):
    """An engine's results for one or more frames."""

    engine: EngineClasses
    """In every message, so that decide can judge by it after a restart or swap of either process."""
    worker_ns: int
    """When the worker started, monotonic clock, ns: tells workers apart."""
    waiting: int
    """Frames queued for its engine."""
    batches: tuple[int, ...]
    """Sizes of the batches that the engine has answered since the previous message."""
    recipe: str
    """Name and content hash of the recipe that defines which frames are clean."""
    lowest_step: int
    """Lowest score of a frame that is not clean, 1..255."""
    results: list[ResultHeader]


News = Begin | Announcement | Fault | End | Idle | Readings
"""Messages from ingest to decide."""

ToWorker = Frames | Welcome | Parted
ToIngest = Hello | Credit | Leaving

Parts = Sequence[bytes | memoryview]

_encoder: Final = msgspec.msgpack.Encoder()
_news: "Final[msgspec.msgpack.Decoder[list[News]]]" = msgspec.msgpack.Decoder(list[News])
_to_worker: "Final[msgspec.msgpack.Decoder[ToWorker]]" = msgspec.msgpack.Decoder(ToWorker)
_to_ingest: "Final[msgspec.msgpack.Decoder[ToIngest]]" = msgspec.msgpack.Decoder(ToIngest)
_results: Final = msgspec.msgpack.Decoder(Results)

Header = TypeVar("Header")


class Result(msgspec.Struct, frozen=True):
    """One frame's result in a message from a worker."""

    camera: str
    ingest_epoch: int
    frame_id: int
    inspection: Inspection


def encode(message: "msgspec.Struct | list[News]") -> bytes:
    """The first part of a message: version byte and msgpack header."""
    return _VERSION + _encoder.encode(message)


class Filter(msgspec.Struct, frozen=True):
    """Which frames a worker treats as clean."""

    recipe: str
    """Name and content hash."""
    lowest_step: int
    """Lowest score of a frame that is not clean, 1..255."""


class Answers(msgspec.Struct, frozen=True):
    """One decoded message from a worker."""

    engine: EngineClasses
    worker: Working
    filter: Filter
    results: list[Result]


def encode_results(
    engine: EngineClasses, results: Sequence[Result], clean: Filter, working: Working = UNKNOWN_WORKER
) -> list[bytes | memoryview]:
    """All parts of a results message; every inspection must be by `engine`. The planes are views, not copies."""
    headers: list[ResultHeader] = []
    planes: list[bytes | memoryview] = []
    for result in results:
        inspection = result.inspection
        maps, pixels = inspection.segmentation, inspection.pixels
        stride = height = width = 0
        if maps is not None and pixels is not None:
            stride, (height, width) = maps.map_stride, pixels.shape
            planes += [np.ascontiguousarray(plane).reshape(-1).data for plane in (maps.kind, maps.score, pixels)]
        headers.append(
            ResultHeader(
                result.camera,
                result.ingest_epoch,
                result.frame_id,
                inspection.received_ns,
                inspection.submitted_ns,
                inspection.answered_ns,
                inspection.fault,
                stride,
                height,
                width,
                inspection.frame_score,
            )
        )
    message = Results(
        engine, working.started_ns, working.waiting, working.batches, clean.recipe, clean.lowest_step, headers
    )
    return [encode(message), *planes]


def decode_news(parts: Parts) -> list[News]:
    """Decode a message from ingest to decide; raises WireError."""
    _expect(parts, 1)
    return _decode(parts[0], _news)


def decode_to_ingest(parts: Parts) -> ToIngest:
    """Decode a message from a worker to ingest; raises WireError."""
    _expect(parts, 1)
    return _decode(parts[0], _to_ingest)


def decode_to_worker(parts: Parts) -> ToWorker:
    """Decode a message from ingest to a worker; `frame_of` builds the frames of `Frames`. Raises WireError."""
    if not parts:
        raise WireError("empty message")
    message = _decode(parts[0], _to_worker)
    planes = sum(each.slot == IN_MESSAGE for each in message.frames) if isinstance(message, Frames) else 0
    _expect(parts, 1 + planes)
    return message


def frame_of(camera: str, header: FrameHeader, pixels: Pixels) -> Frame:
    """A frame around its pixels, which are not copied; raises WireError."""
    try:
        return Frame(
            camera, header.frame_id, header.captured_ns, header.captured_monotonic_ns, header.position_mm, pixels
        )
    except ValueError as error:
        raise WireError(str(error)) from None


def decode_results(parts: Parts) -> Answers:
    """Decode a message from a worker to decide; the planes are views of the message. Raises WireError."""
    if not parts:
        raise WireError("empty message")
    message = _decode(parts[0], _results)
    _expect(parts, 1 + 3 * sum(each.map_stride != 0 for each in message.results))
    planes = iter(parts[1:])
    engine, working = message.engine, Working(message.worker_ns, message.waiting, message.batches)
    results = [_result(engine.engine, header, planes) for header in message.results]
    return Answers(engine, working, Filter(message.recipe, message.lowest_step), results)


def _result(engine: str, header: ResultHeader, planes: Iterator[bytes | memoryview]) -> Result:
    stride = header.map_stride
    if header.frame_score is not None and not UNSOUND_FRAME_SCORE < header.frame_score <= MAX_SCORE:
        raise WireError(
            f"frame score {header.frame_score} of frame {header.frame_id} is not within 1..{MAX_SCORE}"
        )
    segmentation = pixels = None
    if stride:
        if stride not in MAP_STRIDES:
            raise WireError(f"map stride {stride} for a frame of {header.height}×{header.width}")
        # A frame that was tiled or padded need not divide by the stride: its last cells reach over its edge.
        height, width = -(-header.height // stride), -(-header.width // stride)
        kind, score = plane(next(planes), height, width), plane(next(planes), height, width)
        pixels = plane(next(planes), header.height, header.width)
        segmentation = Segmentation(kind, score, stride)
    inspection = Inspection(
        engine,
        header.received_ns,
        header.submitted_ns,
        header.answered_ns,
        segmentation,
        pixels,
        header.fault,
        header.frame_score,
    )
    return Result(header.camera, header.ingest_epoch, header.frame_id, inspection)


def plane(part: bytes | memoryview, height: int, width: int) -> Pixels:
    """A message part as uint8 [H, W], not copied; raises WireError when its size does not fit."""
    if height < 1 or width < 1 or len(part) != height * width:
        raise WireError(f"plane of {len(part)} bytes for {height}×{width} px")
    return np.frombuffer(part, np.uint8).reshape(height, width)


def _expect(parts: Parts, count: int) -> None:
    if len(parts) != count:
        raise WireError(f"message of {len(parts)} parts, expected {count}")


def _decode(part: bytes | memoryview, decoder: "msgspec.msgpack.Decoder[Header]") -> Header:
    if len(part) < 2 or part[0] != WIRE_VERSION:
        version = part[0] if len(part) else "none"
        raise WireError(f"wire version {version}, this stage speaks {WIRE_VERSION}: update both sides")
    try:
        return decoder.decode(memoryview(part)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"malformed header: {error}") from None
