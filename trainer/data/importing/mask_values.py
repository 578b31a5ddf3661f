"""Reads masks from pictures of any depth, and determines the class of each value or colour."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from inspector.errors import InputError
from inspector.images import ImageFault
from trainer.data.dataset import NORMAL_NAMES, default_classes
from trainer.data.importing.palettes import BLACK, Colour, check_palettes
from trainer.data.importing.source import Mark, Options
from trainer.data.label_maps import MAX_GUESSED_KINDS

NORMAL: Final = "normal"
ONE_KIND: Final = "defect"
"""Class name for masks with a single class."""
_DEEP_WHITE: Final = 257
"""A 16-bit mask saved from an 8-bit one holds its values times this: 255 becomes 65 535."""
JPEG_GAP: Final = 16
"""Least difference between the values of two classes in JPEG masks: compression moves values by a few."""
JPEG: Final = frozenset([".jpg", ".jpeg"])
_INNER_PX: Final = 4
"""Pixels of its class in a pixel's 3×3 from which it is no chance value of a smoothed edge."""
_REACH: Final = np.ones((7, 7), np.uint8)
"""A smoothed edge is up to three pixels wide on each side."""
_SHOWN: Final = 6
"""Most values or colours that a message lists."""


def read_picture(path: Path) -> NDArray[Any]:
    """A mask as stored: values int32 [H, W], or colours uint8 [H, W, 3] if its channels differ.

    A palette image gives its indices. Transparent pixels count as black. Raises ImageFault.
    """
    try:
        with Image.open(path) as image:
            if image.mode in {"L", "P", "1", "I", "I;16", "I;16B", "I;16L"}:
                return np.asarray(image).astype(np.int32)
            return _without_colour(np.array(image.convert("RGBA")))
    except UnidentifiedImageError:
        raise ImageFault("not an image") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ImageFault(f"damaged mask: {error}") from None


def read_colours(path: Path) -> NDArray[np.uint8]:
    """Colours of a mask, uint8 [H, W, 3], a palette's looked up; raises ImageFault."""
    try:
        with Image.open(path) as image:
            return _rgb(np.array(image.convert("RGBA")))
    except UnidentifiedImageError:
        raise ImageFault("not an image") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ImageFault(f"damaged mask: {error}") from None


def _rgb(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(rgba[..., 3:] > 0, rgba[..., :3], 0).astype(np.uint8)


def _without_colour(rgba: NDArray[np.uint8]) -> NDArray[Any]:
    rgb = _rgb(rgba)
    if (rgb == rgb[..., :1]).all():
        return rgb[..., 0].astype(np.int32)
    return rgb


@dataclass(frozen=True, slots=True)
class Values:
    """The class of each value or colour of a mask; a value between two takes the nearest."""

    by_value: Mapping[int, str]
    by_colour: Mapping[Colour, str]
    ignore: int | None = None
    void: Colour | None = None
    """Colour of pixels without a class."""

    @property
    def classes(self) -> list[str]:
        """Names of the defects, in the order of their values."""
        names = [*self.by_value.values(), *self.by_colour.values()]
        return list(dict.fromkeys(name for name in names if name.lower() not in NORMAL_NAMES))

    def marks(self, path: Path) -> list[Mark]:
        """Return one mark for each class that the mask shows; raises ImageFault."""
        if self.by_colour:
            colours = read_colours(path).astype(np.int32)
            nearest = _nearest(colours, list(self.by_colour), _tolerance(path))
            if self.void is not None:
                nearest = _filled(nearest, (colours == self.void).all(axis=-1))
            names = list(self.by_colour.values())
        else:
            values = read_picture(path)
            if values.ndim == 3:
                raise ImageFault("is in colour, other masks are not: --colour RRGGBB=NAME names the colours")
            if self.ignore is not None:
                values = _filled(values, values == self.ignore)
            nearest = _nearest(values[..., None], [(value,) for value in self.by_value], _tolerance(path))
            names = list(self.by_value.values())
        return [
            Mark(name, nearest == number, path.name)
            for number, name in enumerate(names)
            if name.lower() not in NORMAL_NAMES and (nearest == number).any()
        ]


def _tolerance(path: Path) -> int:
    """How far a pixel of a class may be from its stated value."""
    return JPEG_GAP // 2 if path.suffix.lower() in JPEG else 0


def _nearest(pixels: NDArray[np.int32], stated: Sequence[tuple[int, ...]], tolerance: int) -> NDArray[np.intp]:
    """Return the index of each pixel's stated value or colour, int [H, W]; pixels are [H, W, channels].

    It is the nearest one, but not on an edge: smoothed between normal (0) and scratch (200), a pixel of 100 is no
    pit (100) if no pit is near.
    """
    channels = pixels.shape[-1]
    distances = np.stack([np.square(pixels.astype(np.int64) - np.array(one)).sum(axis=-1) for one in stated])
    nearest = np.asarray(np.argmin(distances, axis=0), np.intp)
    exact = distances <= channels * tolerance**2
    if exact.any(axis=0).all():
        return nearest
    # The inner part of each class, and the places near it.
    inner = np.stack(
        [one & (cv2.boxFilter(one.astype(np.uint8), -1, (3, 3), normalize=False) >= _INNER_PX) for one in exact]
    )
    near = np.stack([cv2.dilate(one.astype(np.uint8), _REACH) > 0 for one in inner])
    smoothed = cv2.dilate((~exact.any(axis=0)).astype(np.uint8), _REACH) > 0
    on_edge = smoothed & (near.sum(axis=0) > 1) & ~np.take_along_axis(near, nearest[None], axis=0)[0]
    of_near = np.argmin(np.where(near, distances, np.iinfo(np.int64).max), axis=0)
    return np.asarray(np.where(on_edge, of_near, nearest), np.intp)


def _filled(values: NDArray[Any], holes: NDArray[np.bool_]) -> NDArray[Any]:
    """Give pixels without a class the value of the nearest pixel with one; raises ImageFault if none has one."""
    if not holes.any():
        return values
    if holes.all():
        raise ImageFault("holds nothing but pixels without a class")
    _, nearest = cv2.distanceTransformWithLabels(
        holes.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(int(nearest.max()) + 1, values.dtype)
    table[nearest[~holes]] = values[~holes]
    return np.asarray(table[nearest], values.dtype)


def find_values(paths: Iterable[Path], options: Options, where: Path) -> Values:
    """Return the table for a folder of masks: as stated, or the only possible reading of their values.

    Raises InputError for values that could mean several things, with the options that state it.
    """
    if options.colours:
        return Values({}, {BLACK: NORMAL, **options.colours}, void=options.void)
    paths = list(paths)
    check_palettes(paths, is_0_stated=bool(options.values or options.classes))
    if options.values:
        stated = {0: NORMAL, **options.values}
        _refuse_jpeg(paths, stated)
        return Values(stated, {}, options.ignore)
    counts: Counter[int] = Counter()
    colours: Counter[Colour] = Counter()
    for path in paths:
        try:
            picture = read_picture(path)
        except ImageFault as error:
            raise InputError(f"{path}: {error}: replace it, or remove it and its image") from None
        if picture.ndim == 3:
            found, number = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
            colours.update({(int(r), int(g), int(b)): int(n) for (r, g, b), n in zip(found, number, strict=True)})
        else:
            found, number = np.unique(picture, return_counts=True)
            counts.update(dict(zip(found.tolist(), number.tolist(), strict=True)))
    if colours:
        raise InputError(_unnamed_colours(colours, where))
    if options.ignore is not None:
        counts.pop(options.ignore, None)
    table = _guess(counts, options, where)
    _refuse_jpeg(paths, table)
    return Values(table, {}, options.ignore)


def _refuse_jpeg(paths: Sequence[Path], table: Mapping[int, str]) -> None:
    """Raise InputError for JPEG masks whose classes differ by less than compression changes a value."""
    jpeg = next((path for path in paths if path.suffix.lower() in JPEG), None)
    values = sorted(table)
    for lower, upper in pairwise(values):
        if jpeg is not None and upper - lower < JPEG_GAP:
            raise InputError(
                f"{jpeg}: a JPEG, whose compression changes values by a few: classes {lower} and {upper} cannot "
                "be told apart: save the masks as PNG from their source"
            )


def _guess(counts: Counter[int], options: Options, where: Path) -> dict[int, str]:
    first = options.first or 0
    values = sorted(counts)
    if len(options.classes) == 2 and len(set(values) - {first}) == 1:  # one kind, in whatever grey it is drawn
        return {first: options.classes[0], max(set(values) - {first}): options.classes[1]}
    if options.classes:
        table = {first + number: name for number, name in enumerate(options.classes)}
        unknown = [value for value in values if value not in table]
        if unknown:
            raise InputError(
                f"{where}: masks hold {_listed(unknown)}, but the classes are {first}..{max(table)} "
                f"({', '.join(options.classes)}): name all classes, or state "
                f"--ignore {unknown[-1]} for pixels without a class, or --first NUMBER if they do not count from 0"
            )
        return table
    others = [value for value in values if value != first]
    if len(others) == 1 and (others[0] == first + 1 or first == 0):
        return {first: NORMAL, others[0]: ONE_KIND}
    if values and values[-1] > 255 and all(value % _DEEP_WHITE == 0 for value in values):
        table = _guess(Counter({value // _DEEP_WHITE: counts[value] for value in values}), options, where)
        return {value * _DEEP_WHITE: name for value, name in table.items()}
    if options.first is None and first not in counts and len(others) > 1:
        raise InputError(
            f"{where}: masks hold {_listed(values)} and no 0: is {values[0]} normal? State --first {values[0]} "
            f"or name them, such as --value {values[0]}=scratch"
        )
    if others == list(range(first + 1, first + 1 + len(others))) and len(others) <= MAX_GUESSED_KINDS:
        return {first + number: name for number, name in enumerate(default_classes(len(others)))}
    if not others:
        raise InputError(f"{where}: masks hold nothing but {first}: none shows a defect")
    total = counts.total()
    shown = [f"{value} ({count / total:.2%})" for value, count in counts.most_common(_SHOWN)]
    many = f"{len(values)} different values, such as " if len(values) > _SHOWN else ""
    raise InputError(
        f"{where}: masks hold {many}{', '.join(shown)}: state the classes, such as --value {values[-1]}=scratch "
        "(values between two take the nearest), and --ignore VALUE for pixels without a class"
    )


def _unnamed_colours(colours: Counter[Colour], where: Path) -> str:
    total = colours.total()
    most = colours.most_common(_SHOWN)
    shown = [f"{r:02x}{g:02x}{b:02x} ({count / total:.2%})" for (r, g, b), count in most]
    example = next((shown[at].split()[0] for at, (colour, _) in enumerate(most) if colour != BLACK), "ff0000")
    more = f" and {len(colours) - _SHOWN} more" if len(colours) > _SHOWN else ""
    return (
        f"{where}: masks hold the colours {', '.join(shown)}{more}: name them, such as --colour {example}=scratch "
        "(black is normal, others take the nearest)"
    )


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:_SHOWN])) + (" …" if len(values) > _SHOWN else "")
