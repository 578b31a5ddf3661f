"""Deals the labelled sample into parts, once and for all: a third is kept out and only ever measured on.

python -m tests.benchmarks.severstal.deal SAMPLE OUT.json

SAMPLE is laid out as by Kaggle, with a frames.csv beside it that says what the eye sees on frames without a label.
`trainer split` stratifies by class only; here each tag of a defect-free frame is a stratum, too. No two frames of
the sample share steel (`trainer check-data`), so frames are dealt one by one.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np

from trainer.data.split_file import Split, write_split

FRAMES_NAME: Final = "frames.csv"
TEST_SHARE: Final = 1 / 3
VAL_SHARE: Final = 1 / 6
SEED: Final = 1


def strata(sample: Path) -> dict[str, list[str]]:
    """Frame names by what they show: their kinds, or the tag of a frame without a label."""
    found = defaultdict(list)
    with (sample / FRAMES_NAME).open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            found[row["classes"] or row["tag"]].append(row["ImageId"])
    return dict(sorted(found.items()))


def deal(sample: Path) -> Split:
    """Test, then validation, get their shares of every stratum in turn; what rounding leaves goes to the next."""
    random = np.random.default_rng(SEED)
    split: Split = {"train": [], "val": [], "test": []}
    pending = {"test": 0.0, "val": 0.0}
    for names in strata(sample).values():
        left = random.permutation(sorted(names)).tolist()
        for part, share in (("test", TEST_SHARE), ("val", VAL_SHARE)):
            pending[part] += share * len(names)
            count = min(round(pending[part]), len(left))
            pending[part] -= count
            split[part] += left[:count]
            left = left[count:]
        split["train"] += left
    return {part: sorted(names) for part, names in split.items()}


if __name__ == "__main__":
    write_split(Path(sys.argv[2]), deal(Path(sys.argv[1])))
