"""Join data sets into one, the old one first, so that a network learns from the old frames and the new.

Validation and test frames of the first data set stay what they are; the frames of the others are dealt out to
training and validation."""

import argparse
import json
from pathlib import Path
from typing import Final

EXAMPLE: Final = "example: trainer combine data/severstal data/week-2 --split split.json --out data/both"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("data", type=Path, nargs="+", help="data sets, the old one first; its classes count")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--split", type=Path, help="split file of the first data set (default: a new one)")
    parser.add_argument("--val", type=float, default=0.1, help="share of new frames for validation (default 0.1)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the split (default 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> None:
    """Combine and print what was written."""
    from inspector.render.numbers import frames
    from trainer.data.combine import SPLIT_NAME, combine
    from trainer.data.formats import open_dataset
    from trainer.data.split import read_split

    datasets = [open_dataset(root) for root in arguments.data]
    split = None if arguments.split is None else read_split(arguments.split, datasets[0])
    found = combine(
        datasets,
        split,
        arguments.out,
        val_share=arguments.val,
        seed=arguments.seed,
        show_progress=True,
    )
    if arguments.json:
        print(
            json.dumps(
                {
                    "out": str(arguments.out),
                    "frames": found.frames,
                    "parts": found.parts,
                    "left_out": found.left_out,
                    "in_no_part": found.in_no_part,
                }
            )
        )
        return
    for root, count in found.frames.items():
        print(f"{root}: {frames(count)}")
    if found.left_out:
        print(
            f"left out: {frames(found.left_out)} that look like a validation or test frame of {arguments.data[0]}"
        )
    if found.in_no_part:
        print(f"left out: {frames(found.in_no_part)} of {arguments.data[0]} that {arguments.split} does not name")
    parts = ", ".join(f"{part} {count}" for part, count in found.parts.items())
    print(
        f"{arguments.out}: {parts}\n"
        f"next: trainer train --data {arguments.out} --split {arguments.out / SPLIT_NAME}"
    )
