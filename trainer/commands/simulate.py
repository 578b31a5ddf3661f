"""Write simulated frames with known defects, in the layout of Kaggle's Severstal data."""

import argparse
from pathlib import Path
from typing import Final

EXAMPLE: Final = "example: trainer simulate --out simulated/ --frames 2000 --seed 1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--frames", type=int, required=True, help="number of frames")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same frames (default 1)")
    parser.add_argument(
        "--defective-share", type=float, default=0.5, help="share of frames with a defect (default 0.5)"
    )
    parser.add_argument("--height", type=int, default=256, help="frame height, px (default 256)")
    parser.add_argument("--width", type=int, default=1600, help="frame width, px (default 1600)")


def run(arguments: argparse.Namespace) -> None:
    """Simulate and say where the frames are."""
    from trainer.data.simulate import simulate

    simulate(
        arguments.out,
        arguments.frames,
        arguments.seed,
        defective_share=arguments.defective_share,
        height=arguments.height,
        width=arguments.width,
        show_progress=True,
    )
    print(f"{arguments.frames} frames in {arguments.out}")
