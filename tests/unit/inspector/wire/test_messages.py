"""Messages: what goes in comes out; what is damaged or of another version is refused."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.rules import EngineClasses
from inspector.errors import WireError
from inspector.values import Announcement, Code, Inspection, Segmentation, Uninspected, Working
from inspector.wire.messages import (
    IN_MESSAGE,
    Begin,
    Credit,
    End,
    Fault,
    Filter,
    FrameHeader,
    Frames,
    Hello,
    Idle,
    Leaving,
    Parted,
    Readings,
    Result,
    Welcome,
    decode_news,
    decode_results,
    decode_to_ingest,
    decode_to_worker,
    encode,
    encode_results,
    frame_of,
    plane,
)

ANNOUNCEMENT = Announcement("top", 1, 7, 10, 11, 12.5, 256, "coil", None)
CLEAN = Inspection("e@1", 1, 2, 3)
ENGINE = EngineClasses("e@1", ("normal", "scratch", "stain"), (1.0, 0.5, 0.25), (0, 12, 0))
WORKING = Working(5, 6, (2, 1))
FILTER = Filter("r@1", 64)
SHED = Uninspected(Code.SHED, "shed")
END = End("top", 1, 8, 20, 100.0, 256)


def header(height: int = 3, width: int = 4, slot: int = IN_MESSAGE) -> FrameHeader:
    return FrameHeader(7, 10, 11, 12.5, height, width, slot, view=True, lent_until_ns=99)


def test_news_round_trip() -> None:
    """decide gets all messages of ingest, in order."""
    news = [
        Begin("top", 1, None),
        ANNOUNCEMENT,
        Fault("top", 1, 7, SHED),
        Idle("top", 1),
        Readings("top", 1, {"x": 1.5}),
        END,
    ]
    assert decode_news([encode(news)]) == news  # type: ignore[arg-type]


@pytest.mark.parametrize("message", [Hello(), Credit(1, 3, [1, 2, 7]), Leaving()])
def test_what_a_worker_says_reaches_ingest(message: Any) -> None:
    """Hello, Credit and Leaving arrive unchanged."""
    assert decode_to_ingest([encode(message)]) == message


@pytest.mark.parametrize("message", [Welcome(1, "/run/x/pixels-top", 409_600), Parted()])
def test_what_ingest_says_reaches_a_worker(message: Any) -> None:
    """Welcome and Parted arrive unchanged."""
    assert decode_to_worker([encode(message)]) == message


def test_frames_round_trip_share_the_pixels() -> None:
    """Pixels that travel in the message are views of it, not copies; a part for each frame that has them there."""
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    parts = [encode(Frames("top", 1, [header(), header(slot=5)])), pixels.tobytes()]
    message = decode_to_worker(parts)
    assert [each.slot for each in message.frames] == [IN_MESSAGE, 5]
    frame = frame_of("top", message.frames[0], plane(parts[1], 3, 4))
    assert (message.frames[0].view, frame.frame_id, frame.position_mm) == (True, 7, 12.5)
    assert np.array_equal(frame.pixels, pixels)
    assert not frame.pixels.flags.owndata


def test_results_round_trip() -> None:
    """A clean result is a header; one with a candidate carries maps and pixels."""
    clean = Result("top", 1, 7, CLEAN)
    assert len(encode_results(ENGINE, [clean], FILTER)) == 1
    pixels = np.arange(32, dtype=np.uint8).reshape(4, 8)
    maps = Segmentation(np.ones((2, 4), np.uint8), np.full((2, 4), 9, np.uint8), 2)
    candidate = Result("top", 1, 8, Inspection("e@1", 1, 2, 3, maps, pixels))
    parts = encode_results(ENGINE, [clean, candidate, clean], FILTER, WORKING)
    assert len(parts) == 1 + 3
    answers = decode_results(parts)
    first, seen, last = answers.results
    assert (answers.engine, answers.worker, answers.filter) == (ENGINE, WORKING, FILTER)
    assert first == last == clean
    assert seen.inspection.segmentation.map_stride == 2
    assert np.array_equal(seen.inspection.segmentation.score, maps.score)
    assert np.array_equal(seen.inspection.pixels, pixels)  # type: ignore[arg-type]


def test_another_wire_version_is_refused_by_name() -> None:
    """The error says both versions and what to do."""
    message = b"\x63" + encode([ANNOUNCEMENT])[1:]
    with pytest.raises(WireError, match="wire version 99, this stage speaks 6: update both sides"):
        decode_news([message])


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b""],
        [encode([ANNOUNCEMENT])[:-3]],
        [encode([ANNOUNCEMENT]), b"more"],
        [encode(ANNOUNCEMENT)],
        [encode(Frames("top", 1, [header()]))],
    ],
)
def test_malformed_news_is_refused(parts: Any) -> None:
    """Torn, empty, surplus and misdirected messages raise WireError and nothing else."""
    with pytest.raises(WireError):
        decode_news(parts)


@pytest.mark.parametrize(("height", "width", "size"), [(3, 4, 11), (0, 4, 0), (3, -4, 12), (10**9, 10**9, 12)])
def test_planes_of_another_size_are_refused(height: Any, width: Any, size: Any) -> None:
    """The header's size must be the buffer's."""
    with pytest.raises(WireError, match="plane"):
        plane(bytes(size), height, width)


@pytest.mark.parametrize("planes", [0, 1, 3])
def test_frames_without_their_pixels_are_refused(planes: Any) -> None:
    """As many planes as frames that say they have one."""
    message = encode(Frames("top", 1, [header(), header(), header(slot=1)]))
    with pytest.raises(WireError, match="parts, expected 3"):
        decode_to_worker([message, *[bytes(12)] * planes])


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_noise_is_refused(parts: Any) -> None:
    """No bytes from outside raise anything but WireError."""
    for decode in (decode_news, decode_to_worker, decode_to_ingest, decode_results):
        try:
            decode(parts)
        except WireError:
            continue


@given(st.binary(max_size=80), st.integers(0, 79))
def test_damaged_headers_are_refused_or_decoded(noise: Any, place: Any) -> None:
    """A valid header with noise in it either still decodes or raises WireError."""
    message = bytearray(encode_results(ENGINE, [Result("top", 1, 7, CLEAN)], FILTER)[0])
    message[1 + place % (len(message) - 1) :] = noise
    try:
        decode_results([bytes(message)])
    except WireError:
        return


@pytest.mark.parametrize(
    ("names", "thresholds"),
    [
        (("normal", "scratch"), (1.0,)),
        (("normal",), (1.0,)),
        (("normal", "normal"), (1.0, 0.5)),
        (("normal", "scratch"), (1.0, 1.5)),
        (("normal", "scratch"), (1.0, float("nan"))),
    ],
)
def test_results_of_an_engine_that_cannot_be_are_refused(names: Any, thresholds: Any) -> None:
    """An engine with invalid classes is refused."""
    good = encode_results(EngineClasses("e@1", ("a", "b"), (1.0, 0.5), (0, 0)), [], FILTER)[0]
    fields = msgspec.msgpack.decode(memoryview(good)[1:])
    fields[1] |= {"names": names, "thresholds": thresholds, "min_area_px": [0] * len(names)}
    with pytest.raises(WireError):
        decode_results([good[:1] + msgspec.msgpack.encode(fields)])  # type: ignore[operator]


@pytest.mark.parametrize("score", [-1, 0, 256])
def test_a_frame_score_outside_its_range_is_refused(score: int) -> None:
    """0 stands for NaN, which no worker sends."""
    inspection = Inspection("e@1", 1, 2, 3, frame_score=score)
    with pytest.raises(WireError, match="frame score"):
        decode_results(encode_results(ENGINE, [Result("top", 1, 7, inspection)], FILTER))
