import io
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from inspector.images import MAX_PIXELS, ImageFault, decode_mono, read_mono, read_size
from tests.support.frames import make_frame

GREY = make_frame(1, 96, 1616)
"""Wider than 1600, so that no digit of a size can be mistaken for a bit depth."""


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey(kind: str, **options: Any) -> bytes:
    return encode(Image.fromarray(GREY), kind, **options)


def colour() -> Image.Image:
    return Image.fromarray(np.stack([GREY, GREY // 2, 255 - GREY], axis=-1))


def luma() -> np.ndarray:
    return np.asarray(colour().convert("L")).astype(int)


def png(width: int, height: int, depth: int = 8, colour_type: int = 0) -> bytes:
    """A PNG with correct checksums whose header says anything."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def sixteen_bit(channels: int) -> bytes:
    planes = GREY if channels == 1 else np.stack([GREY] * channels, axis=-1)
    return cv2.imencode(".png", planes.astype(np.uint16) * 257)[1].tobytes()


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    data = grey("JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def deep_files(samples: np.ndarray) -> dict[str, bytes]:
    """16-bit grey in every format that can hold it."""
    height, width = samples.shape
    maximum = 4095 if samples.max() < 4096 else 65535
    pgm = f"P5 {width} {height} {maximum}\n".encode() + samples.astype(">u2").tobytes()
    return {
        "png": cv2.imencode(".png", samples)[1].tobytes(),
        "tiff": encode(Image.fromarray(samples), "TIFF"),
        "tiff with lzw": encode(Image.fromarray(samples), "TIFF", compression="tiff_lzw"),
        "pgm": pgm,
    }


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("kind", ["png", "tiff", "tiff with lzw", "pgm"])
def test_deep_grey_is_read_through_the_stated_window_and_refused_without_one(kind: str, bits: int) -> None:
    """Only the config can state which samples are black and white in 10 to 16 bits."""
    scale = (1 << bits) - 1
    samples = (GREY.astype(np.uint32) * scale // 255).astype(np.uint16)
    data = deep_files(samples)[kind]
    assert np.abs(decode_mono(data, (0, scale)).astype(int) - GREY).max() <= 1
    half = decode_mono(data, (0, scale // 2)).astype(int)
    assert np.abs(half - np.minimum(2 * GREY.astype(int), 255)).max() <= 2
    with pytest.raises(ImageFault, match=r"grey_window = \[low, high\]"):
        decode_mono(data)


def test_a_window_leaves_8_bit_images_as_they_are() -> None:
    """A folder may hold both."""
    assert np.array_equal(decode_mono(grey("PNG"), (0, 4095)), GREY)


def test_a_jpeg_of_hundreds_of_scans_is_refused_at_once() -> None:
    """Each scan is a pass over the whole picture: they would hold up the line for many seconds."""
    data = many_scans(1000)
    started_s = time.monotonic()
    with pytest.raises(ImageFault, match="over 32 scans"):
        decode_mono(data)
    assert time.monotonic() - started_s < 0.5
    assert decode_mono(many_scans(1)).shape == GREY.shape


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_grey_comes_back_bit_exact(kind: str) -> None:
    """What the camera stored is what the engine sees."""
    assert np.array_equal(decode_mono(grey(kind)), GREY)


def test_a_grey_jpeg_is_decoded_as_stored() -> None:
    """Within what JPEG at quality 95 loses, and the same from a colour JPEG of the same grey."""
    once = decode_mono(grey("JPEG", quality=95))
    assert np.abs(once.astype(int) - GREY).mean() < 2
    in_colour = encode(Image.fromarray(np.stack([GREY] * 3, axis=-1)), "JPEG", quality=95)
    assert np.abs(decode_mono(in_colour).astype(int) - once).max() <= 2


@pytest.mark.parametrize(
    ("name", "data", "tolerance"),
    [
        ("rgb png", encode(colour(), "PNG"), 0),
        ("rgba png", encode(colour().convert("RGBA"), "PNG"), 0),
        ("rgb bmp", encode(colour(), "BMP"), 0),
        ("rgb jpeg", encode(colour(), "JPEG", quality=95, subsampling=0), 9),
        ("progressive jpeg", encode(colour(), "JPEG", quality=95, progressive=True), 9),
        ("jpeg kept in rgb", encode(colour(), "JPEG", quality=95, keep_rgb=True), 9),
        ("jpeg with something behind it", encode(colour(), "JPEG", quality=95) + bytes(100), 9),
    ],
)
def test_colour_becomes_luma(name: str, data: bytes, tolerance: int) -> None:
    """BT.601 luma, whatever the file's way of storing colour."""
    assert np.abs(decode_mono(data).astype(int) - luma()).max() <= tolerance


def test_a_palette_becomes_the_luma_of_its_colours_and_transparency_is_ignored() -> None:
    """With one transparent entry, with a list of them, or none."""
    palette = colour().convert("P")
    expected = np.asarray(palette.convert("RGB").convert("L"))
    plain = decode_mono(encode(palette, "PNG"))
    assert np.abs(plain.astype(int) - expected).max() <= 1
    assert np.array_equal(decode_mono(encode(palette, "PNG", transparency=3)), plain)
    assert np.array_equal(decode_mono(encode(palette, "PNG", transparency=bytes(range(256)))), plain)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty file"),
        (b"not an image\n" * 50, "not a JPEG, PNG, BMP, TIFF, WebP or PGM"),
        (encode(Image.fromarray(GREY), "GIF"), "not a JPEG, PNG, BMP, TIFF, WebP or PGM"),
        (encode(Image.fromarray(GREY), "TIFF", compression="jpeg"), "TIFF with jpeg compression"),
        (encode(Image.fromarray(GREY), "TIFF", save_all=True, append_images=[colour()]), "several pictures"),
        (encode(colour(), "WEBP", save_all=True, append_images=[colour().rotate(180)]), "several pictures"),
        (encode(Image.fromarray(GREY.astype(np.float32)), "TIFF"), "floating-point"),
        (many_scans(100), "scans"),
        (encode(colour().convert("CMYK"), "JPEG"), "CMYK"),
        (sixteen_bit(1), "16-bit"),
        (sixteen_bit(3), "16-bit"),
        (sixteen_bit(4), "16-bit"),
        (png(9000, 9000), "over the limit"),
        (png(60_000, 60_000), "over the limit"),
        (png(2**31 - 1, 2**31 - 1), "over the limit"),
        (png(MAX_PIXELS // 1000 + 1, 1000), "over the limit"),
        (png(500, 500), "damaged"),
    ],
)
def test_what_cannot_become_a_frame_says_why_in_one_line(data: bytes, says: str) -> None:
    """Empty, no image, an unknown scale, or a header that would fill the memory."""
    with pytest.raises(ImageFault, match=says) as caught:
        decode_mono(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_truncated_image_is_never_a_frame(kind: str) -> None:
    """Cut anywhere, a file is either refused, or only lacks what holds no pixels."""
    data = grey(kind)
    for share in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.9999):
        with pytest.raises(ImageFault):
            decode_mono(data[: int(len(data) * share)])


def test_a_png_without_its_last_checksum_is_refused() -> None:
    """Pillow stops before it, so the check is our own."""
    data = grey("PNG")
    with pytest.raises(ImageFault, match="damaged"):
        decode_mono(data[:-14])


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2] + b"\xff\xd9",
        lambda data: data[: len(data) // 2] + bytes(2000) + data[len(data) // 2 + 2000 :],
        lambda data: data[: len(data) // 2] + b"\xff" * 2000 + data[len(data) // 2 + 2000 :],
    ],
    ids=["ends early with an end mark", "zeros inside", "ones inside"],
)
def test_a_jpeg_with_a_hole_is_refused_instead_of_filled_with_grey(damage: object) -> None:
    """A half-written frame must not be accepted as clean steel."""
    assert callable(damage)
    with pytest.raises(ImageFault, match="damaged image"):
        decode_mono(damage(grey("JPEG", quality=95)))


def test_flipped_bits_in_a_png_never_pass_as_other_pixels() -> None:
    """Every byte of a PNG is under a checksum."""
    data = grey("PNG")
    random = np.random.default_rng(5)
    for position in random.integers(8, len(data), 120):
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(random.integers(0, 8))
        try:
            pixels = decode_mono(bytes(flipped))
        except ImageFault:
            continue
        assert np.array_equal(pixels, GREY)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_damaged_header_is_a_fault_or_a_picture_and_nothing_else(kind: str) -> None:
    """Whatever bytes come, the only exception is ImageFault, and nothing is written to stderr as a warning."""
    data = grey(kind)
    random = np.random.default_rng(6)
    faults = 0
    for _ in range(150):
        damaged = bytearray(data)
        for position in random.integers(0, 200, 3):
            damaged[position] = int(random.integers(0, 256))
        try:
            pixels = decode_mono(bytes(damaged))
        except ImageFault:
            faults += 1
        else:
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 2
    assert faults > 0


def test_size_is_read_from_the_header_alone(tmp_path: Path) -> None:
    """Height before width; the pixels may be missing."""
    path = tmp_path / "frame.png"
    path.write_bytes(grey("PNG")[:100])
    assert read_size(path) == (96, 1616)


@pytest.mark.parametrize("read", [read_mono, read_size])
def test_files_that_are_no_files_are_faults(tmp_path: Path, read: object) -> None:
    """A missing file, an empty one, a dangling link, and a pipe, which would block for ever."""
    assert callable(read)
    (tmp_path / "empty.png").touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    for name, says in {
        "missing.png": "cannot be read: No such file",
        "empty.png": "empty file",
        "link.png": "cannot be read: No such file",
        "pipe.png": "not a regular file",
    }.items():
        with pytest.raises(ImageFault, match=says):
            read(tmp_path / name)


_THREADS = """
import sys, warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from inspector.images import ImageFault, decode_mono

warnings.simplefilter("default")
damaged, whole = (Path(name).read_bytes() for name in sys.argv[1:])

def refused(data):
    try:
        decode_mono(data)
    except ImageFault:
        return True
    return False

with ThreadPoolExecutor(4) as pool:
    answers = list(pool.map(refused, [damaged, whole] * 200))
assert answers == [True, False] * 200, answers
warnings.warn("another library's advice", UserWarning)
"""


def test_threads_refuse_damage_and_leave_other_warnings_alone(tmp_path: Path) -> None:
    """The filters are the process's: damage that only Pillow's warning shows is refused in every thread."""
    whole = grey("TIFF")
    tag = whole.index(struct.pack("<HHI", 284, 3, 1), 0)
    (tmp_path / "damaged").write_bytes(whole[: tag + 4] + struct.pack("<I", 2) + whole[tag + 8 :])
    (tmp_path / "whole").write_bytes(whole)
    command = [sys.executable, "-c", _THREADS, str(tmp_path / "damaged"), str(tmp_path / "whole")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "another library's advice" in done.stderr
