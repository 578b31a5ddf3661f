"""Packed samples, packed here by the standard's bit order (PFNC 2.4), come out as they went in."""

import numpy as np
import pytest

from inspector.images import through_window
from inspector.sources.genicam.mono_formats import FORMATS, Grey

MONO_8, MONO_10, MONO_10P, MONO_10_PACKED = 0x01080001, 0x01100003, 0x010A0046, 0x010C0004
MONO_12, MONO_12P, MONO_12_PACKED, MONO_16 = 0x01100005, 0x010C0047, 0x010C0006, 0x01100007


def packed(number: int, samples: np.ndarray) -> bytes:
    """Samples as a camera sends them; a second, slow way to write the formats."""
    values = [int(each) for each in samples.reshape(-1)]
    if number in {MONO_10P, MONO_12P}:
        bits = FORMATS[number].bits
        stream = sum(value << (place * bits) for place, value in enumerate(values))
        return stream.to_bytes(-(-len(values) * bits // 8), "little")
    if number in {MONO_10_PACKED, MONO_12_PACKED}:
        low = FORMATS[number].bits - 8
        out = bytearray()
        for first, second in zip(values[::2], values[1::2], strict=True):
            mask = (1 << low) - 1
            out += bytes([first >> low, (first & mask) | (second & mask) << 4, second >> low])
        return bytes(out)
    return samples.astype("<u2" if FORMATS[number].bits > 8 else np.uint8).tobytes()


@pytest.mark.parametrize("number", FORMATS)
@pytest.mark.parametrize("size", [(4, 8), (3, 10), (7, 6), (1, 2), (256, 1600)])
def test_every_format_is_read_as_it_is_packed(number: int, size: tuple[int, int]) -> None:
    """Also where a picture ends within a group of samples, and with chunk data behind it."""
    if size == (256, 1600) and number in {MONO_10P, MONO_12P}:
        size = (16, 1600)  # Python's own way to pack them is slow
    bits = FORMATS[number].bits
    window = (3, (1 << bits) - 1)
    samples = np.random.default_rng(1).integers(0, 1 << bits, size)
    grey = Grey(number, *size, window)
    data = packed(number, samples)
    assert grey.bytes == len(data)
    pixels = grey.pixels(data + b"chunk data")
    assert np.array_equal(pixels, samples if bits == 8 else through_window(samples, window))
    assert pixels.flags.c_contiguous
    assert pixels.dtype == np.uint8


def test_deep_grey_without_a_window_is_not_guessed_at() -> None:
    """Which samples are black and white is for the config to say."""
    with pytest.raises(ValueError, match="window"):
        Grey(MONO_12, 4, 4, None)
