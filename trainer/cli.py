"""The `trainer` command."""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from inspector.errors import InputError
from inspector.program import Command, Program

COMMANDS: Final = {
    "simulate": ("trainer.commands.simulate", "write simulated frames with known defects"),
    "check-data": ("trainer.commands.check_data", "look for faults, duplicates and odd labels in labelled frames"),
    "split": ("trainer.commands.split", "write a frozen split file that keeps look-alikes together"),
    "train": ("trainer.commands.train", "train a network on labelled frames"),
    "evaluate": ("trainer.commands.evaluate", "measure a checkpoint, model or engine on labelled frames"),
    "export": ("trainer.commands.export", "turn a checkpoint into a model folder (ONNX and card)"),
    "build-engine": ("trainer.commands.build_engine", "turn a model folder into an engine the line opens"),
    "compare": ("trainer.commands.compare", "hold the verdicts of a replay against the labels of its frames"),
    "reproduce": ("trainer.commands.reproduce", "run the founding paper's comparison again"),
}
"""Name → module and summary. The modules import a training library only when they run."""

LEAST: Final = {"seed": 0, "threads": 1}
"""Smallest value of options that several commands share."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    0 for success, 1 for failed work, 2 for wrong usage, config or input, 130 for Ctrl-C.
    """
    return PROGRAM.main(argv)


def _check(arguments: argparse.Namespace) -> None:
    for option, least in LEAST.items():
        value = getattr(arguments, option, None)
        if value is not None and value < least:
            raise InputError(f"--{option} must be at least {least}, got {value}")


PROGRAM: Final = Program(
    name="trainer",
    description="From labelled frames of steel to an engine the inspection line can trust.",
    example="trainer train --data severstal/ --out runs/first --preset fast --minutes 60",
    commands={name: Command(module, summary) for name, (module, summary) in COMMANDS.items()},
    check=_check,
)

if __name__ == "__main__":
    sys.exit(main())
