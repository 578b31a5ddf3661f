"""Reads a label map: the numbers stored in a PNG, never their colours."""

from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from inspector.images import ImageFault
from inspector.values import Pixels

_INDEX_MODES: Final = frozenset({"L", "P", "1"})
"""Image modes of label maps. Palette images hold class numbers behind display colours; mono decoding would return
the colours."""


def read_labels(path: Path) -> Pixels:
    """Class numbers, uint8 [H, W]; raises ImageFault for a colour, 16-bit or damaged file."""
    try:
        with Image.open(path, formats=("PNG", "BMP")) as image:
            if image.mode not in _INDEX_MODES:
                raise ImageFault(f"a label map must be an 8-bit grey or palette PNG, got mode {image.mode}")
            return np.array(image, dtype=np.uint8)
    except UnidentifiedImageError:
        raise ImageFault("not a PNG or BMP label map") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ImageFault(f"damaged label map: {error}") from None
