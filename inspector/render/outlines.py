"""Outlines of a frame's defects: a colour and a dash pattern per kind, and a number per defect."""

from collections.abc import Mapping, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.render.colours import kind_colour_bgr, kind_dashes
from inspector.values import Defect, Pixels

OUTLINE_GAP_PX: Final = 2
"""Steel left free between a defect and its outline, so that the edge can be judged."""
OUTLINE_PX: Final = 2
SMALL_FRAME_PX: Final = 400
"""Width below which a frame is shown enlarged: half the gap, a line of 1 px and small numbers are enough."""
MAX_NUMBERS: Final = 12
"""Most numbered defects of a frame, the largest ones: more numbers would hide the steel between them."""

TAG_BACK: Final = (24, 24, 24)
TAG_INK: Final = (240, 240, 240)
TAG_BAR_PX: Final = 4
TAG_SIZES: Final = ((20, 0.55), (11, 0.34))
"""Height in px and font scale of a tag, in a frame of usual width and in a small one."""
TAG_STEPS: Final = 4
"""Positions tried on each side of a defect, each one tag further away; beyond, a number looks unrelated."""


def by_size(defects: Sequence[Defect]) -> list[int]:
    """Indices of the defects, largest first, which is their numbering from 1 in the picture and the report."""
    return sorted(range(len(defects)), key=lambda n: -defects[n].area_px)


def draw_outlines(
    pixels: Pixels, label: Pixels, names: Mapping[int, str], defects: Sequence[Defect] = ()
) -> NDArray[np.uint8]:
    """Return the frame in BGR with each defect outlined in its kind's colour and dashes; none is covered.

    `pixels` and `label` are uint8 [H, W]; 0 is normal, 1..K the kind. The largest `defects` get their number (see
    `by_size`). `names`, kind → name, are written once per kind, beside its largest piece, but not in a small
    frame. A tag without free space near its defect is left out. Returns uint8 [H, W, 3]. Raises ValueError if the
    shapes differ.
    """
    if pixels.shape != label.shape:
        raise ValueError(f"pixels are {pixels.shape} but labels are {label.shape}")
    picture = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8)
    small = pixels.shape[1] < SMALL_FRAME_PX
    gap, line = (OUTLINE_GAP_PX // 2, 1) if small else (OUTLINE_GAP_PX, OUTLINE_PX)
    away = gap + line + 1
    taken = np.zeros(label.shape, np.bool_)
    # Most of a frame is steel: only the part with defects and their outlines is computed.
    part = defective_part(label, away)
    left, top = part[1].start, part[0].start
    label, drawn = label[part], picture[part]
    taken[part] = label > 0
    largest: dict[int, tuple[int, int, int, int]] = {}
    for kind in kinds_of(label):
        mask = (label == kind).astype(np.uint8)
        outer = np.asarray(cv2.dilate(mask, _disc(gap + line)), np.uint8)
        ring = (outer - cv2.dilate(mask, _disc(gap))) > 0
        taken[part] |= ring
        # Dark between the dashes, so that the outline is closed and visible on bright steel.
        drawn[ring & (label == 0)] = TAG_BACK
        drawn[ring & _dashes(outer, kind, line) & (label == 0)] = kind_colour_bgr(kind)
        x, y, width, height = _largest_piece(mask)
        largest[kind] = (left + x, top + y, width, height)
    for text, kind, box in _tags(defects, {} if small else names, largest):
        _tag(picture, taken, text, kind, box, TAG_SIZES[small], away)
    return picture


def defective_part(label: Pixels, margin_px: int = 0) -> tuple[slice, slice]:
    """Return the rows and columns that hold every defect of a label map [H, W], with a margin inside the frame."""
    x, y, width, height = cv2.boundingRect(label)
    if not width:
        return slice(0, 0), slice(0, 0)
    rows = slice(max(0, y - margin_px), min(label.shape[0], y + height + margin_px))
    return rows, slice(max(0, x - margin_px), min(label.shape[1], x + width + margin_px))


def kinds_of(label: Pixels) -> list[int]:
    """Return the kinds of defect in a label map, ascending."""
    return [kind for kind in np.flatnonzero(np.bincount(label.ravel(), minlength=1)).tolist() if kind]


def _tags(
    defects: Sequence[Defect], names: Mapping[int, str], largest: Mapping[int, tuple[int, int, int, int]]
) -> list[tuple[str, int, tuple[int, int, int, int]]]:
    """Text, kind and box of each tag; a kind's name appears once."""
    unnamed = dict(names)
    tags = []
    for number, n in enumerate(by_size(defects)[:MAX_NUMBERS], 1):
        defect = defects[n]
        tags.append((f"{number} {unnamed.pop(defect.kind, '')}".strip(), defect.kind, defect.box))
    return tags + [(unnamed[kind], kind, box) for kind, box in largest.items() if kind in unnamed]


def _disc(radius_px: int) -> NDArray[np.uint8]:
    side = 2 * radius_px + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _dashes(outer: Pixels, kind: int, line_px: int) -> NDArray[np.bool_]:
    """Where a kind's outline is drawn, as bool [H, W]; `outer` is its defects with their outlines."""
    is_on = _pattern(kind, line_px)
    if is_on.all():
        return np.ones(outer.shape, np.bool_)
    drawn = np.zeros(outer.shape, np.uint8)
    contours, _ = cv2.findContours(outer, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for contour in contours:
        columns, rows = contour[:, 0, 0], contour[:, 0, 1]
        # A whole number of patterns around each defect, so that the outline has no seam.
        patterns = max(1, round(len(contour) / len(is_on)))
        place = np.arange(len(contour)) * patterns * len(is_on) // len(contour) % len(is_on)
        drawn[rows[is_on[place]], columns[is_on[place]]] = 1
    return np.asarray(cv2.dilate(drawn, _disc(line_px)) > 0, np.bool_)


def _pattern(kind: int, line_px: int) -> NDArray[np.bool_]:
    """One dash pattern, one entry per pixel; dashes are shorter here because drawing widens them."""
    lengths: list[int] = []
    dashes = [-(-length_px * line_px // OUTLINE_PX) for length_px in kind_dashes(kind)]
    for line, space in zip(dashes[::2], dashes[1::2], strict=True):
        short = max(1, line - 2 * line_px)
        lengths += [short, line + space - short]
    return np.repeat(np.arange(len(lengths)) % 2 == 0, lengths) if lengths else np.ones(1, np.bool_)


def _largest_piece(mask: Pixels) -> tuple[int, int, int, int]:
    _, _, pieces, _ = cv2.connectedComponentsWithStats(mask)
    x, y, width, height = (int(v) for v in pieces[1 + int(pieces[1:, cv2.CC_STAT_AREA].argmax()), :4])
    return x, y, width, height


def _tag(
    picture: Pixels,
    taken: NDArray[np.bool_],
    text: str,
    kind: int,
    box: tuple[int, int, int, int],
    size: tuple[int, float],
    away_px: int,
) -> None:
    """Write a tag beside its defect where it covers no defect, outline or other tag."""
    height, scale = size
    text = text.encode("ascii", "replace").decode()  # OpenCV's font has only ASCII
    bar = TAG_BAR_PX if height > TAG_SIZES[1][0] else TAG_BAR_PX // 2
    width = 2 * bar + 2 + cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0]
    x, y, box_width, box_height = box
    rows, columns = taken.shape
    beside, along = min(max(0, x), columns - width), min(max(0, y), rows - height)
    for step in range(TAG_STEPS):
        up_px, side_px = away_px + step * height, away_px + step * width
        for top, start in (
            (y - up_px - height, beside),
            (y + box_height + up_px, beside),
            (along, x + box_width + side_px),
            (along, x - side_px - width),
        ):
            if min(top, start) < 0 or top + height > rows or start + width > columns:
                continue
            place = (slice(top, top + height), slice(start, start + width))
            if taken[place].any():
                continue
            picture[place] = TAG_BACK
            picture[top : top + height, start : start + bar] = kind_colour_bgr(kind)
            corner = (start + 2 * bar, top + height - height // 4)
            cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, TAG_INK, 1, cv2.LINE_AA)
            taken[place] = True
            return
