"""Decodes image files to mono pixels, in the same way on the line and in training."""

import io
import re
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from inspector.errors import InspectorError
from inspector.values import Pixels

IMAGE_ENDINGS: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm"})

GreyWindow = tuple[int, int]
"""Sample values of a 10- to 16-bit picture that map to black and white."""

MAX_PIXELS: Final = 64_000_000
"""Largest image that is decoded, px: ten times the widest line-scan frame, far below a decompression bomb."""

MAX_FILE_BYTES: Final = 4 * MAX_PIXELS + 1_000_000
"""Largest file that is read: the largest image as 32-bit BMP, plus its headers."""

MAX_JPEG_SCANS: Final = 32
"""Most scans of a progressive JPEG: libjpeg writes 10, mozjpeg at most 24. Each scan is a pass over the whole
picture, so hundreds of them would hold up the line for many seconds."""

_FORMATS: Final = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM")

_TIFF_COMPRESSIONS: Final = frozenset(
    {"raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "zstd"}
)
"""Lossless ones. JPEG in a TIFF is refused, because its decoder fills damaged parts with grey."""

_ONE_PICTURE: Final = frozenset({"TIFF", "WEBP"})
"""Formats that can hold several pictures, of which only the first would be inspected."""

_JPEG_MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
"""Any marker except those inside a scan."""
_START_OF_SCAN: Final = 0xDA
_WITHOUT_LENGTH: Final = frozenset({0x01, 0xD8})
_END_OF_IMAGE: Final = 0xD9

_DEEP_MODES: Final = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
_DEEP_WHITE: Final = 65_535

_MONO_MODES: Final = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr"})
"""Pillow's 8-bit modes with an unambiguous brightness. 16-bit, float and CMYK are refused: with a guessed scale
or ink polarity, the network would get pictures it was not trained on."""

_MODE_NAMES: Final = {"CMYK": "CMYK", "I": "16- or 32-bit", "F": "floating-point"}


class ImageFault(InspectorError):  # noqa: N818 (a capture carries it as a fault; nothing stops)
    """An image file that cannot become a frame; the text gives the reason without the file's name."""


def decode_mono(data: bytes, grey_window: GreyWindow | None = None) -> Pixels:
    """Decode an encoded image to uint8 [H, W]; colour becomes ITU-R BT.601 luma, transparency is ignored.

    Grey deeper than 8 bits is read through `grey_window`, its samples for black and white; 8-bit images ignore the
    window. Rows and columns stay as stored: an EXIF orientation is not applied.

    Raises ImageFault for data that is empty, truncated, not an image, too large, CMYK or of unknown scale, and for
    visible damage: only PNG has checksums, so in other formats a flipped bit that still decodes goes unnoticed.
    """
    if not data:
        raise ImageFault("empty file")
    with _opened(io.BytesIO(data), grey_window) as image:
        is_jpeg = image.format in {"JPEG", "MPO"}
        if is_jpeg:
            _check_jpeg_scans(data)
            # Decode the stored luma directly, without a conversion to RGB and back.
            image.draft("L", image.size)
        # Brightness needs no palette transparency, and Pillow would warn about it on stderr.
        image.info.pop("transparency", None)
        if grey_window is not None and image.mode in _DEEP_MODES:
            pixels = through_window(_samples(image), grey_window)
        else:
            pixels = np.ascontiguousarray(np.asarray(image.convert("L"), dtype=np.uint8))
        if is_jpeg:
            _check_jpeg_is_whole(data)
        elif image.format == "PNG":
            _check_png_is_whole(data)
    return pixels


def through_window(samples: NDArray[Any], window: GreyWindow) -> Pixels:
    """Integer samples as uint8: `window` maps to 0..255, values outside it to black or white."""
    low, high = window
    levels = (np.clip(samples, low, high) - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.ascontiguousarray(np.rint(levels), dtype=np.uint8)


def _samples(image: Image.Image) -> NDArray[Any]:
    """The sample values as stored."""
    maximum = None
    if isinstance(image, ImageFile.ImageFile) and image.format == "PPM" and image.tile:
        arguments = image.tile[0].args
        maximum = arguments[-1] if isinstance(arguments, tuple) and len(arguments) == 2 else None
    samples = np.asarray(image).astype(np.float32)
    # Pillow stretches a PGM of fewer bits to 16; undo that.
    return samples if not isinstance(maximum, int) else np.rint(samples * (maximum / _DEEP_WHITE))


def read_mono(path: Path, grey_window: GreyWindow | None = None) -> Pixels:
    """Read and decode one image file to uint8 [H, W]; raises ImageFault, also when the file cannot be read."""
    _check_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageFault(f"cannot be read: {error.strerror}") from error
    return decode_mono(data, grey_window)


def read_size(path: Path, grey_window: GreyWindow | None = None) -> tuple[int, int]:
    """(height, width) from the header alone; raises ImageFault."""
    if _check_file(path) == 0:
        raise ImageFault("empty file")
    try:
        with path.open("rb") as file, _opened(file, grey_window) as image:
            return image.height, image.width
    except OSError as error:
        raise ImageFault(f"cannot be read: {error.strerror}") from error


def _check_file(path: Path) -> int:
    """The file's size in bytes; raises ImageFault for a pipe, which would block, and for a huge file."""
    try:
        status = path.stat()
    except OSError as error:
        raise ImageFault(f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise ImageFault("not a regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise ImageFault(f"{status.st_size / 1e6:.0f} MB is over the limit of {MAX_FILE_BYTES / 1e6:.0f} MB")
    return status.st_size


@contextmanager
def _opened(file: BinaryIO, grey_window: GreyWindow | None) -> Iterator[Image.Image]:
    """Open an image and check its header; errors that Pillow raises inside the block become ImageFaults."""
    try:
        _raise_on_pillow_warnings()
        with Image.open(file, formats=_FORMATS) as image:
            _check_header(image, grey_window)
            yield image
    except UnidentifiedImageError:
        raise ImageFault("not a JPEG, PNG, BMP, TIFF, WebP or PGM image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageFault(f"the picture is over the limit of {MAX_PIXELS / 1e6:.0f} megapixels") from None
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, UserWarning, struct.error) as error:
        raise ImageFault(f"damaged image: {error}") from error


def _raise_on_pillow_warnings() -> None:
    """Make Pillow's warnings errors: it only warns on damaged TIFF tags and above a size limit higher than ours.

    The filter is for Pillow's modules alone and stays. `warnings.catch_warnings` would change the filters of the
    whole process: with several threads, damage would pass and other libraries' warnings would stay errors. Another
    library may restore older filters, so the filter is set again for each image.
    """
    for category in (UserWarning, Image.DecompressionBombWarning):
        warnings.filterwarnings("error", category=category, module=r"PIL\.")


def _check_header(image: Image.Image, grey_window: GreyWindow | None) -> None:
    is_deep = image.mode in _DEEP_MODES
    # Pillow opens a 16-bit colour image as RGB and keeps the upper bytes; only the raw mode shows it.
    if not is_deep and isinstance(image, ImageFile.ImageFile) and any(";16" in str(t.args) for t in image.tile):
        raise ImageFault("16-bit colour image: save it as 8-bit grey or RGB")
    if is_deep and grey_window is None:
        deep = _MODE_NAMES.get(image.mode, "16-bit")
        raise ImageFault(
            f"{deep} image: state grey_window = [low, high] in the config, the samples that are black and white, "
            "or save it as 8-bit grey"
        )
    if not is_deep and image.mode not in _MONO_MODES:
        raise ImageFault(f"{_MODE_NAMES.get(image.mode, image.mode)} image: save it as 8-bit grey or RGB")
    if image.format == "TIFF" and image.info.get("compression", "raw") not in _TIFF_COMPRESSIONS:
        raise ImageFault(f"TIFF with {image.info['compression']} compression: save it uncompressed, or with LZW")
    if image.format in _ONE_PICTURE and getattr(image, "n_frames", 1) != 1:
        raise ImageFault("several pictures in one file: save each in its own file")
    if image.width * image.height > MAX_PIXELS:
        raise ImageFault(f"{image.width}×{image.height} px is over the limit of {MAX_PIXELS / 1e6:.0f} megapixels")


def _check_png_is_whole(data: bytes) -> None:
    """Check every chunk's CRC up to IEND: Pillow stops reading at the last pixel, before the last CRC."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.verify()


def _check_jpeg_scans(data: bytes) -> None:
    """Raise ImageFault for a JPEG with far more scans than any program writes."""
    at, scans = 0, 0
    while (marker := _JPEG_MARKER.search(data, at)) is not None:
        kind, at = marker[1][0], marker.end()
        if kind == _END_OF_IMAGE:
            return
        scans += kind == _START_OF_SCAN
        if scans > MAX_JPEG_SCANS:
            raise ImageFault(f"JPEG of over {MAX_JPEG_SCANS} scans: save it as a baseline JPEG")
        if kind not in _WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2], "big")


def _check_jpeg_is_whole(data: bytes) -> None:
    """Raise ImageFault when the entropy-coded data ends early or is corrupt.

    libjpeg fills such a gap with grey and only warns, and Pillow does not pass the warning on, so a half-grey
    frame would be inspected as steel. FFmpeg's decoder can refuse instead (err_detect: explode). Only its answer
    is needed, not its pixels, so it skips the inverse DCT.
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
