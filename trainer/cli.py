"""The `trainer` command."""

import argparse
import io
import math
import sys
from collections.abc import Sequence
from typing import Final

from inspector.errors import InputError
from inspector.program import Command, Program

COMMANDS: Final = {
    "simulate": ("trainer.commands.simulate", "write simulated frames with known defects"),
    "import": ("trainer.commands.import_labels", "import labels that another tool wrote"),
    "export-coco": ("trainer.commands.export_coco", "write a data set as COCO, to label it in another tool"),
    "combine": ("trainer.commands.combine", "join data sets into one: the old frames and the new"),
    "check-data": ("trainer.commands.check_data", "check labelled frames for faults, duplicates and odd labels"),
    "split": ("trainer.commands.split", "write a frozen split file that keeps look-alikes together"),
    "train": ("trainer.commands.train", "train a network on labelled frames"),
    "sweep": ("trainer.commands.sweep", "try settings of `train`, and learn which to try next"),
    "evaluate": ("trainer.commands.evaluate", "measure a checkpoint, model or engine on labelled frames"),
    "export": ("trainer.commands.export", "export a checkpoint as a model folder (ONNX and card)"),
    "build-engine": ("trainer.commands.build_engine", "build an engine for the line from a model folder"),
    "promote-check": ("trainer.commands.promote_check", "check whether an engine may replace the line's"),
    "compare": ("trainer.commands.compare", "compare the verdicts of a replay with the labels of its frames"),
    "commission": ("trainer.commands.commission", "make a first engine from a plant's own frames, without labels"),
    "reproduce": ("trainer.commands.reproduce", "repeat the comparison of the founding paper"),
}
"""Name → module and summary. The modules import a training library only when they run."""

LEAST: Final = {"seed": 0, "threads": 1, "height": 8, "width": 8}
"""Smallest value of options that several commands share."""

POSITIVE: Final = ("escape_cost", "overkill_cost", "minutes", "lr", "save_minutes")
"""Options that take a finite number above 0."""

SHARES: Final = ("frame_escape", "false_rejects", "set_aside", "held_out")
"""Options that take a share of frames, from 0 to below 1."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    0 for success, 1 for failed work, 2 for wrong usage, config or input, 130 for Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):  # file names need not be UTF-8, and a terminal may not support it
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return PROGRAM.main(argv)


def _check(arguments: argparse.Namespace) -> None:
    for option, least in LEAST.items():
        value = getattr(arguments, option, None)
        if value is not None and value < least:
            raise InputError(f"--{option} must be at least {least}, got {value}")
    for option in POSITIVE:
        value = getattr(arguments, option, None)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"--{option.replace('_', '-')} must be a number above 0, got {value:g}")
    for option in SHARES:
        value = getattr(arguments, option, None)
        if value is not None and not 0.0 <= value < 1.0:
            raise InputError(f"--{option.replace('_', '-')} must be a share from 0 to below 1, got {value:g}")


PROGRAM: Final = Program(
    name="trainer",
    description="Makes engines for the inspection line from labelled frames of steel.",
    example="trainer train --data severstal/ --out runs/first --preset fast --minutes 60",
    commands={name: Command(module, summary) for name, (module, summary) in COMMANDS.items()},
    check=_check,
)

if __name__ == "__main__":
    sys.exit(main())
