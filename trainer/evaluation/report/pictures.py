"""Pictures of wrongly judged frames: the label and the model's answer."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from inspector.numbers import thousands
from inspector.render.outlines import draw_outlines
from inspector.values import MAX_SCORE, Pixels
from trainer.data.frames import LoadedFrames
from trainer.evaluation.study import WrongFrame

PICTURE_PX: Final = 1200
PICTURE_QUALITY: Final = 72
"""JPEG quality. 24 pictures of 256×1600 then take about 1.5 MB."""


@dataclass(frozen=True, slots=True)
class WrongPicture:
    """One frame on the page."""

    name: str
    told: tuple[str, ...]
    label: str
    """JPEG with the labelled defects outlined, base64."""
    answer: str
    """JPEG with the model's defects outlined, base64."""
    width_px: int
    height_px: int


def show_escapes(
    worst: Sequence[WrongFrame], data: LoadedFrames, classes: Sequence[str]
) -> tuple[WrongPicture, ...]:
    """Pictures of defective frames that were accepted."""
    shown = []
    for wrong in worst:
        label = data.labels[wrong.index]
        told = (f"labelled {_areas(label, classes)}", f"found {_areas(wrong.mask, classes) or 'nothing'}")
        shown.append(_show(wrong, data, classes, told))
    return tuple(shown)


def show_overkills(
    worst: Sequence[WrongFrame], data: LoadedFrames, classes: Sequence[str]
) -> tuple[WrongPicture, ...]:
    """Pictures of good frames that were rejected."""
    shown = []
    for wrong in worst:
        over = f"{100 * wrong.rank / MAX_SCORE:.0f} % over the threshold"
        shown.append(_show(wrong, data, classes, (f"found {_areas(wrong.mask, classes)}", over)))
    return tuple(shown)


def _areas(mask: Pixels, classes: Sequence[str]) -> str:
    counts = np.bincount(mask.ravel(), minlength=len(classes))
    return ", ".join(
        f"{name} {thousands(int(count))} px" for name, count in zip(classes[1:], counts[1:], strict=True) if count
    )


def _show(wrong: WrongFrame, data: LoadedFrames, classes: Sequence[str], told: tuple[str, ...]) -> WrongPicture:
    frame, label = data.frames[wrong.index], data.labels[wrong.index]
    names = dict(enumerate(classes))
    return WrongPicture(
        data.names[wrong.index],
        told,
        _jpeg(draw_outlines(frame, np.ascontiguousarray(label), names)),
        _jpeg(draw_outlines(frame, wrong.mask, names)),
        frame.shape[1],
        frame.shape[0],
    )


def _jpeg(picture: Pixels) -> str:
    height, width = picture.shape[:2]
    if width > PICTURE_PX:
        size = (PICTURE_PX, max(1, round(height * PICTURE_PX / width)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, PICTURE_QUALITY),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),  # for sharp coloured lines
    ]
    _, encoded = cv2.imencode(".jpg", picture, options)
    return base64.b64encode(encoded.tobytes()).decode()
