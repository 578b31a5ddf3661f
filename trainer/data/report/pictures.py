"""Pictures of the page: frames with outlined labels, alone or as pairs, small enough for one file."""

import base64
from typing import Final

import cv2
import numpy as np

from inspector.render.outlines import draw_outlines
from inspector.values import Pixels
from trainer.data.dataset import Dataset
from trainer.data.faults import DataError, Fault
from trainer.data.look_alikes import turned

JPEG_QUALITY: Final = 82
MAX_WIDTH_PX: Final = 1100
"""Width limit of a picture: the page is 1180 px wide."""
_GAP_PX: Final = 6
"""White gap between the two frames of a pair."""
_WIDE: Final = 2.0
"""Ratio of width to height above which the frames of a pair are stacked instead of set side by side."""


def picture(dataset: Dataset, name: str) -> str:
    """One frame with its label's outlines, JPEG in base64."""
    return _encode(_outlined(dataset, name, 0))


def pair_picture(dataset: Dataset, first: str, second: str, turn: int) -> str:
    """Two frames with their outlines, the second turned onto the first, JPEG in base64."""
    one, other = _outlined(dataset, first, 0), _outlined(dataset, second, turn)
    if one.shape != other.shape:
        other = np.asarray(cv2.resize(other, one.shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)
    stacked = one.shape[1] > _WIDE * one.shape[0]
    gap = (_GAP_PX, one.shape[1], 3) if stacked else (one.shape[0], _GAP_PX, 3)
    parts = [one, np.full(gap, 255, np.uint8), other]
    return _encode(np.concatenate(parts, axis=0 if stacked else 1))


def _outlined(dataset: Dataset, name: str, turn: int) -> Pixels:
    pixels = dataset.frame(name)
    shape = (pixels.shape[0], pixels.shape[1])
    try:
        label = dataset.label(name, shape, _ignore)
    except DataError:
        label = np.zeros(shape, np.uint8)
    names = {kind: text for kind, text in enumerate(dataset.classes) if kind}
    pixels, label = np.ascontiguousarray(turned(pixels, turn)), np.ascontiguousarray(turned(label, turn))
    return draw_outlines(pixels, label, names)


def _encode(image: Pixels) -> str:
    height, width = image.shape[:2]
    if width > MAX_WIDTH_PX:
        size = (MAX_WIDTH_PX, max(1, round(height * MAX_WIDTH_PX / width)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    done, data = cv2.imencode(".jpg", image, options)
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded")
    return base64.b64encode(data.tobytes()).decode()


def _ignore(fault: Fault) -> None:
    """Drop a fault that the scan has reported."""
