"""Repeat the comparison of the founding paper: vanilla CNN, binary and multi-class U-Net under one protocol.

All three networks are trained alike (Adam, cross-entropy, one split, several seeds) and measured on defect against
normal. Writes table.txt, table.md and table.json to --out: the figures of the paper beside these under every
reading of its "mIoU", the all-normal answer, and the paired difference multi-class minus binary. The same command
continues an interrupted run."""

import argparse
import sys
from pathlib import Path
from typing import Final

from inspector.errors import InputError
from trainer.artifacts.extras import needs_train_extra

EXAMPLE: Final = """\
examples:
  trainer reproduce --data severstal/ --out runs/paper
  trainer reproduce --data neu_seg/ --out runs/paper --unet fast --seeds 5 --epochs 40
  trainer reproduce --data severstal/ --out runs/try --quick     (the same path, in a minute or two)"""

UNETS: Final = ("paper", "balanced", "fast")
EPOCHS: Final = 40
"""Epochs of every model, as in the paper."""
SEEDS: Final = 3
QUICK_EPOCHS: Final = 2
QUICK_SEEDS: Final = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled frames")
    parser.add_argument("--out", type=Path, required=True, help="folder of the comparison")
    parser.add_argument("--split", type=Path, help="split file; measured on its test part, or val without one")
    parser.add_argument("--unet", choices=UNETS, help="preset of both U-Nets (default paper on a GPU, else fast)")
    parser.add_argument("--seeds", type=int, help=f"runs of each model (default {SEEDS})")
    parser.add_argument("--epochs", type=int, help=f"default {EPOCHS}, the paper's")
    parser.add_argument("--batch", type=int, default=16, help="default 16, the paper's")
    parser.add_argument("--lr", type=float, default=1e-4, help="default 0.0001, the paper's")
    parser.add_argument(
        "--crop", type=int, nargs=2, metavar=("H", "W"), help="px (default: the frame, to 256×512)"
    )
    parser.add_argument("--quick", action="store_true", help="a few frames, two epochs, two seeds: shows the path")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="default auto")
    parser.add_argument("--json", action="store_true", help="print table.json instead of the table")


def run(arguments: argparse.Namespace) -> None:
    """Train, measure and print the table."""
    from pydantic import ValidationError

    with needs_train_extra("reproduce"):
        import torch

        from trainer.reproduce.protocol import Protocol
        from trainer.reproduce.run import reproduce
        from trainer.reproduce.table import JSON_NAME, TEXT_NAME

    on_gpu = arguments.device != "cpu" and torch.cuda.is_available()
    try:
        protocol = Protocol(
            data=arguments.data,
            split=arguments.split,
            unet=arguments.unet or ("paper" if on_gpu else "fast"),
            seeds=_given(arguments.seeds, QUICK_SEEDS if arguments.quick else SEEDS),
            epochs=_given(arguments.epochs, QUICK_EPOCHS if arguments.quick else EPOCHS),
            batch=arguments.batch,
            lr=arguments.lr,
            crop=arguments.crop,
            quick=arguments.quick,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--{first['loc'][0]}: {first['msg']}") from None
    reproduce(protocol, arguments.out, threads=arguments.threads, device=arguments.device)
    name = JSON_NAME if arguments.json else TEXT_NAME
    print((arguments.out / name).read_text(encoding="utf-8"), end="")
    print(f"written: {arguments.out}/table.txt, table.md, table.json", file=sys.stderr)


def _given(value: int | None, default: int) -> int:
    return default if value is None else value
