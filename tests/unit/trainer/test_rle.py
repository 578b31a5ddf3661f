"""Run-length masks: there and back, and what is refused."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from inspector.errors import InputError
from trainer.data.rle import decode, encode

REAL = Path(os.environ.get("INSPECTOR_TEST_DATA", Path(__file__).parents[3].parent / "shared" / "data"))


def test_counts_down_the_columns_from_one() -> None:
    """Pixel 2 is below pixel 1, and a run may go on in the next column."""
    mask = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 1]], bool)
    assert encode(mask) == "2 1 4 2 9 1"
    assert (decode("2 1 4 2 9 1", (3, 3)) == mask).all()


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.booleans()))
def test_any_mask_comes_back(mask: NDArray[np.bool_]) -> None:
    """decode(encode(mask)) is the mask, empty and full ones included."""
    back = decode(encode(mask), (mask.shape[0], mask.shape[1]))
    assert back.dtype == np.bool_
    assert (back == mask).all()


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        ("1", "pairs"),
        ("1 2 3", "pairs"),
        ("1 two", "whole numbers"),
        ("1.5 2", "whole numbers"),
        ("99999999999999999999 1", "whole numbers"),
        ("0 2", "from 1"),
        ("3 0", "from 1"),
        ("3 -1", "from 1"),
        ("12 2", "4×3 pixels"),
        ("13 1", "4×3 pixels"),
        ("2 9223372036854775807", "4×3 pixels"),
        ("5 2 1 2", "in order"),
        ("1 3 3 2", "in order"),
    ],
)
def test_wrong_runs_are_refused(runs: str, says: str) -> None:
    """Runs that are not a mask of this frame size are an InputError that says what is wrong."""
    with pytest.raises(InputError, match=says):
        decode(runs, (4, 3))


@pytest.mark.shared
def test_real_annotations_come_back() -> None:
    """Every mask of the real sample is spelt again exactly as Kaggle spells it."""
    table = REAL / "severstal" / "train.csv"
    if not table.is_file():
        pytest.skip("no real frames here")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        assert encode(decode(row["EncodedPixels"], (256, 1600))) == row["EncodedPixels"].strip()
