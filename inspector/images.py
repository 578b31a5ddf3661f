"""The one way an image file becomes mono pixels, on the line and in training."""

import io
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from inspector.errors import InspectorError
from inspector.values import Pixels

IMAGE_ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp"})

MAX_PIXELS: Final = 64_000_000
"""Largest image that is decoded, px: ten times the widest line-scan frame in use, far below a
decompression bomb."""

MAX_FILE_BYTES: Final = 4 * MAX_PIXELS + 1_000_000
"""Largest file that is read: the largest image as 32-bit BMP, and room for its headers."""

_FORMATS: Final = ("JPEG", "PNG", "BMP")

_MONO_MODES: Final = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr"})
"""Pillow's 8-bit modes with an unambiguous brightness. 16-bit, float and CMYK are refused: guessing their
scale or ink polarity would feed the network pictures it was not trained on."""

_MODE_NAMES: Final = {"CMYK": "CMYK", "I": "32-bit", "F": "floating-point"}


class ImageFault(InspectorError):  # noqa: N818 (a fault is what a capture carries; nothing stops)
    """An image file that cannot become a frame; the text says why, without the file's name."""


def decode_mono(data: bytes) -> Pixels:
    """Decode an encoded image to uint8 [H, W]; colour becomes ITU-R BT.601 luma, transparency is ignored.

    Rows and columns stay as they are stored: an EXIF orientation is not applied.

    Raises ImageFault for anything that is empty, truncated, not an image, too large, CMYK or deeper than
    8 bits, and for damage that shows: JPEG and BMP carry no checksum, so a flipped bit that still decodes
    goes unnoticed.
    """
    if not data:
        raise ImageFault("empty file")
    with _opened(io.BytesIO(data)) as image:
        is_jpeg = image.format in {"JPEG", "MPO"}
        if is_jpeg:
            # The decoder hands over the stored luma itself: no conversion to RGB and back.
            image.draft("L", image.size)
        # Pillow warns on stderr about a palette with transparency, which a brightness has no use for.
        image.info.pop("transparency", None)
        pixels = np.ascontiguousarray(np.asarray(image.convert("L"), dtype=np.uint8))
        if is_jpeg:
            _check_jpeg_is_whole(data)
        elif image.format == "PNG":
            _check_png_is_whole(data)
    return pixels


def read_mono(path: Path) -> Pixels:
    """Read and decode one image file to uint8 [H, W]; raises ImageFault, also where it cannot be read."""
    _check_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageFault(f"cannot be read: {error.strerror}") from error
    return decode_mono(data)


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) from the header alone; raises ImageFault."""
    if _check_file(path) == 0:
        raise ImageFault("empty file")
    try:
        with path.open("rb") as file, _opened(file) as image:
            return image.height, image.width
    except OSError as error:
        raise ImageFault(f"cannot be read: {error.strerror}") from error


def _check_file(path: Path) -> int:
    """The file's size in bytes; raises ImageFault for a pipe, which would block, and for an absurd size."""
    try:
        status = path.stat()
    except OSError as error:
        raise ImageFault(f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise ImageFault("not a regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise ImageFault(f"{status.st_size:,} bytes is over the limit of {MAX_FILE_BYTES:,}")
    return status.st_size


@contextmanager
def _opened(file: BinaryIO) -> Iterator[Image.Image]:
    """An image whose header passed; whatever Pillow then raises on its data becomes an ImageFault."""
    try:
        with warnings.catch_warnings():
            # Pillow's own limit lies over ours: it would print a warning and go on.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file, formats=_FORMATS)
        with image:
            _check_header(image)
            yield image
    except UnidentifiedImageError:
        raise ImageFault("not a JPEG, PNG or BMP image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageFault(f"the picture is over the limit of {MAX_PIXELS:,} px") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageFault(f"damaged image: {error}") from error


def _check_header(image: Image.Image) -> None:
    # Pillow opens a 16-bit colour PNG as RGB and keeps the upper bytes; only the raw mode tells.
    if isinstance(image, ImageFile.ImageFile) and any(str(tile.args).endswith(";16B") for tile in image.tile):
        raise ImageFault("16-bit image: save it as 8-bit grey or RGB")
    if image.mode not in _MONO_MODES:
        deep = _MODE_NAMES.get(image.mode, "16-bit" if image.mode.startswith("I;16") else image.mode)
        raise ImageFault(f"{deep} image: save it as 8-bit grey or RGB")
    if image.width * image.height > MAX_PIXELS:
        raise ImageFault(f"{image.width}×{image.height} px is over the limit of {MAX_PIXELS:,} px")


def _check_png_is_whole(data: bytes) -> None:
    """Check every chunk's CRC up to IEND: Pillow stops reading at the last pixel, before the last CRC."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.verify()


def _check_jpeg_is_whole(data: bytes) -> None:
    """Raise ImageFault where the entropy-coded data breaks off or stops making sense.

    libjpeg fills such a gap with grey and only warns, which Pillow does not pass on, and a half-grey frame
    would be inspected as steel. FFmpeg's decoder can be told to refuse instead (err_detect: explode). Its
    answer is needed, not its pixels, so it skips the inverse DCT.
    """
    import av

    decoder = av.codec.CodecContext.create("mjpeg", "r")
    decoder.thread_count = 1
    decoder.options = {"err_detect": "explode", "skip_idct": "all"}
    try:
        frames = decoder.decode(av.Packet(data))
        frames += decoder.decode(None)
    except av.PatchWelcomeError:
        return  # a valid variant that only libjpeg knows, such as arithmetic coding
    except av.FFmpegError as error:
        raise ImageFault("damaged image: JPEG data breaks off or is corrupt") from error
    if not frames or frames[0].is_corrupt:
        raise ImageFault("damaged image: JPEG data breaks off or is corrupt")
