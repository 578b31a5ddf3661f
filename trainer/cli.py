"""The `trainer` command."""

import argparse
import io
import math
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from inspector import logs
from inspector.errors import InputError, InspectorError
from inspector.passwords import masked
from inspector.usage import Parser

COMMANDS: Final = {
    "simulate": ("trainer.commands.simulate", "write simulated frames with known defects"),
    "import": ("trainer.commands.import_labels", "import labels that another tool wrote"),
    "check-data": ("trainer.commands.check_data", "check labelled frames for faults, duplicates and odd labels"),
    "split": ("trainer.commands.split", "write a frozen split file that keeps look-alikes together"),
    "train": ("trainer.commands.train", "train a network on labelled frames"),
    "evaluate": ("trainer.commands.evaluate", "measure a checkpoint, model or engine on labelled frames"),
    "export": ("trainer.commands.export", "export a checkpoint as a model folder (ONNX and card)"),
    "build-engine": ("trainer.commands.build_engine", "build an engine for the line from a model folder"),
    "compare": ("trainer.commands.compare", "compare the verdicts of a replay with the labels of its frames"),
    "reproduce": ("trainer.commands.reproduce", "repeat the comparison of the founding paper"),
}
"""Name → module and summary. The modules import a training library only when they run."""

LEAST: Final = {"seed": 0, "threads": 1, "height": 8, "width": 8}
"""Smallest value of options that several commands share."""

POSITIVE: Final = ("escape_cost", "overkill_cost", "minutes", "lr", "save_minutes")
"""Options that take a finite number above 0."""

EXIT_INTERRUPTED: Final = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as in shells."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit code.

    0 for success, 1 for failed work, 2 for wrong usage, config or input, 130 for Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):  # file names may be no UTF-8, and a terminal may be less
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = build_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has printed its error line or the help
        return int(stop.code or 0)
    logs.configure(f"trainer {arguments.command}")
    try:
        for option, least in LEAST.items():
            value = getattr(arguments, option, None)
            if value is not None and value < least:
                raise InputError(f"--{option} must be at least {least}, got {value}")
        for option in POSITIVE:
            value = getattr(arguments, option, None)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"--{option.replace('_', '-')} must be a number above 0, got {value:g}")
        import_module(COMMANDS[arguments.command][0]).run(arguments)
    except InspectorError as error:
        print(masked(f"trainer: error: {error}"), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("trainer: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of the output (head, less) has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"trainer: error: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> Parser:
    """Build the parser of all subcommands."""
    parser = Parser(
        prog="trainer",
        description="Makes engines for the inspection line from labelled frames of steel.",
        epilog="example: trainer train --data severstal/ --out runs/first --preset fast --minutes 60",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        command = import_module(module)
        subparser = commands.add_parser(
            name,
            help=summary,
            description=command.__doc__,
            epilog=command.EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(subparser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
