"""Write a frozen split file: which frames train, which choose thresholds, which judge.

Frames that show the same piece of steel stay in one part: copies, re-encoded, mirrored or turned frames, and
pictures that share parts. Classes are spread evenly. The same seed gives the same split. The file holds the hash
of every frame: `train --split` and `evaluate --split` refuse it after the data has changed. Data with faults is
refused, as `check-data` reports them."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Final

import numpy as np

from inspector.errors import InputError
from trainer.data.split_file import Split

EXAMPLE: Final = """\
examples:
  trainer split severstal/ --out severstal-split.json --val 0.1 --test 0.1 --seed 1
  trainer train --data severstal/ --split severstal-split.json --out runs/first"""

DEFAULT_SHARE: Final = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("data", type=Path, metavar="DIR", help="folder of labelled frames")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="split file to write")
    parser.add_argument("--val", type=float, default=DEFAULT_SHARE, help="share for validation (default 0.1)")
    parser.add_argument("--test", type=float, default=DEFAULT_SHARE, help="share for the test (default 0.1)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same split (default 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> None:
    """Split the data, write the file and print the parts."""
    from trainer.data.faults import Remarks
    from trainer.data.formats import open_dataset
    from trainer.data.split import split_dataset
    from trainer.data.split_file import freeze

    out: Path = arguments.out
    if out.exists():
        raise InputError(f"{out} exists, and a split is frozen: name another file, or remove it first")
    if not out.absolute().parent.is_dir():
        raise InputError(f"{out}: there is no folder {out.absolute().parent}")
    remarks = Remarks()
    dataset = open_dataset(arguments.data, remarks)
    remarks.tell()
    dealt = split_dataset(dataset, arguments.val, arguments.test, arguments.seed, show_progress=True)
    sizes = np.bincount(dealt.groups)
    about = {
        "command": shlex.join(["trainer", *sys.argv[1:]]),
        "seed": arguments.seed,
        "val_share": arguments.val,
        "test_share": arguments.test,
        "groups": len(sizes),
        "largest_group": int(sizes.max()),
    }
    data_sha256 = freeze(out, dealt.split, dataset, about, show_progress=True)
    place = {name: index for index, name in enumerate(dealt.names)}
    counts = {
        part: dealt.present[[place[name] for name in names]].sum(axis=0).tolist() if names else []
        for part, names in dealt.split.items()
    }
    _warn(dealt.split, counts, dataset.classes)
    if arguments.json:
        parts = {
            part: {"frames": len(names), "classes": dict(zip(dataset.classes, counts[part], strict=False))}
            for part, names in dealt.split.items()
        }
        print(json.dumps({"split": str(out), **about, "data_sha256": data_sha256, "parts": parts}))
        return
    print(f"{out}: {len(dealt.names)} frames in {len(sizes)} groups of look-alikes, the largest of {sizes.max()}")
    width = max(10, *(len(name) + 2 for name in dataset.classes))
    print(f"{'':<6}{'frames':>8}{''.join(f'{name:>{width}}' for name in dataset.classes[1:])}")
    for part, names in dealt.split.items():
        print(f"{part:<6}{len(names):>8}{''.join(f'{count:>{width}}' for count in counts[part][1:])}")


def _warn(split: Split, counts: dict[str, list[int]], classes: tuple[str, ...]) -> None:
    """Print a warning for each class that some part does not show."""
    for kind, name in enumerate(classes[1:], start=1):
        lacking = [part for part, names in split.items() if names and not counts[part][kind]]
        if len(lacking) == sum(bool(names) for names in split.values()):
            print(f"trainer: warning: no frame shows {name}", file=sys.stderr)
        elif lacking:
            print(f"trainer: warning: no frame of {' or '.join(lacking)} shows {name}", file=sys.stderr)
