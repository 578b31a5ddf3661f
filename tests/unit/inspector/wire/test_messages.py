"""Messages: what goes in comes out; what is damaged or of another version is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.errors import WireError
from inspector.values import Announcement, Inspection, Segmentation, Working
from inspector.wire.messages import (
    Begin,
    End,
    Fault,
    FrameHeader,
    Idle,
    decode_frame,
    decode_news,
    decode_result,
    encode,
    encode_result,
)

ANNOUNCEMENT = Announcement("top", 7, 10, 11, 12.5, 256, "coil", None)


@pytest.mark.parametrize(
    "message", [Begin("top", None), ANNOUNCEMENT, Fault("top", 7, "shed"), End("top", 8), Idle("top")]
)
def test_news_round_trip(message):
    """decide hears what ingest said."""
    assert decode_news([encode(message)]) == message


def test_frame_round_trip_shares_the_pixels():
    """The worker's pixels are a view of the message, not a copy."""
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    raw = pixels.tobytes()
    header, frame = decode_frame([encode(FrameHeader("top", 7, 10, 11, 12.5, 3, 4, view=True)), raw])
    assert (header.view, frame.frame_id, frame.position_mm) == (True, 7, 12.5)
    assert np.array_equal(frame.pixels, pixels)
    assert not frame.pixels.flags.owndata


def test_result_round_trip():
    """A clean result is one part; one with a candidate carries maps and pixels."""
    clean = Inspection("e@1", 1, 2, 3, working=Working(4, 5, 6))
    parts = encode_result("top", 7, clean)
    assert len(parts) == 1
    assert decode_result(parts) == ("top", 7, clean)
    pixels = np.arange(32, dtype=np.uint8).reshape(4, 8)
    maps = Segmentation(np.ones((2, 4), np.uint8), np.full((2, 4), 9, np.uint8), 2)
    _, _, seen = decode_result(encode_result("top", 7, Inspection("e@1", 1, 2, 3, maps, pixels)))
    assert seen.segmentation.map_stride == 2
    assert np.array_equal(seen.segmentation.score, maps.score)
    assert np.array_equal(seen.pixels, pixels)


def test_another_wire_version_is_refused_by_name():
    """The error says both versions and what to do."""
    message = b"\x63" + encode(ANNOUNCEMENT)[1:]
    with pytest.raises(WireError, match="wire version 99, this stage speaks 1: update both sides"):
        decode_news([message])


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b""],
        [encode(ANNOUNCEMENT)[:-3]],
        [encode(ANNOUNCEMENT), b"more"],
        [encode(FrameHeader("top", 7, 10, 11, 12.5, 3, 4, view=False))],
    ],
)
def test_malformed_news_is_refused(parts):
    """Torn, empty, surplus and misdirected messages raise WireError and nothing else."""
    with pytest.raises(WireError):
        decode_news(parts)


@pytest.mark.parametrize(("height", "width", "size"), [(3, 4, 11), (0, 4, 0), (3, -4, 12), (10**9, 10**9, 12)])
def test_planes_of_another_size_are_refused(height, width, size):
    """The header's size must be the buffer's."""
    with pytest.raises(WireError, match="plane"):
        decode_frame([encode(FrameHeader("top", 7, 10, 11, 12.5, height, width, view=False)), bytes(size)])


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_noise_is_refused(parts):
    """No bytes from outside raise anything but WireError."""
    for decode in (decode_news, decode_frame, decode_result):
        try:
            decode(parts)
        except WireError:
            continue


@given(st.binary(max_size=80), st.integers(0, 79))
def test_damaged_headers_are_refused_or_decoded(noise, place):
    """A valid header with noise in it either still decodes or raises WireError."""
    header = bytearray(encode_result("top", 7, Inspection("e@1", 1, 2, 3))[0])
    header[1 + place % (len(header) - 1) :] = noise
    try:
        decode_result([bytes(header)])
    except WireError:
        return
