"""Run-length masks in the notation of Kaggle's Severstal data: "start length start length …".

Pixels are counted down the columns (column-major), from 1.
"""

import numpy as np
from numpy.typing import NDArray

from inspector.errors import InputError

_SHOWN = 24


def encode(mask: NDArray[np.bool_]) -> str:
    """Run lengths of a mask, bool [H, W]; "" for an empty one."""
    if mask.ndim != 2:
        raise ValueError(f"a mask must have two dimensions, got shape {mask.shape}")
    flat = np.zeros(mask.size + 2, np.int8)
    flat[1:-1] = mask.T.reshape(-1) != 0
    borders = np.flatnonzero(np.diff(flat)) + 1
    borders[1::2] -= borders[0::2]
    return " ".join(map(str, borders.tolist()))


def decode(runs: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode `runs` into a mask, bool `shape` = [H, W].

    Raises InputError for runs that are not pairs of whole numbers, are out of order, overlap, or leave the frame.
    """
    try:
        numbers = np.array([int(word) for word in runs.split()], np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"run-length mask {_short(runs)} must hold whole numbers only: {error}") from None
    if len(numbers) % 2:
        raise InputError(f"run-length mask {_short(runs)} must hold pairs, got {len(numbers)} numbers")
    starts, lengths = numbers[0::2] - 1, numbers[1::2]
    height, width = shape
    mask = np.zeros(height * width, np.bool_)
    if not len(starts):
        return mask.reshape(shape)
    if starts.min() < 0 or lengths.min() < 1:
        raise InputError(f"run-length mask {_short(runs)} must have starts and lengths from 1")
    # compared without adding, which could overflow
    if (starts >= mask.size).any() or (lengths > mask.size - starts).any():
        raise InputError(
            f"run-length mask {_short(runs)} runs over the frame's {height}×{width} pixels: "
            "is it of another frame size?"
        )
    ends = starts + lengths
    if (starts[1:] < ends[:-1]).any():
        raise InputError(f"run-length mask {_short(runs)} must have runs in order that do not overlap")
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        mask[start:end] = True
    return np.ascontiguousarray(mask.reshape(width, height).T)


def _short(runs: str) -> str:
    return repr(runs if len(runs) <= _SHOWN else runs[:_SHOWN] + "…")
