"""Remove the marks of coils and frames: retention deletes them again when they are old."""

import argparse
from typing import Final

from inspector.commands.mark import add_subjects, subjects_of
from inspector.commands.options import config_path
from inspector.config.line import load_config
from inspector.extras import needs_extra

EXAMPLE: Final = "example: inspector unmark C-48213 --config line.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_subjects(parser)


def run(arguments: argparse.Namespace) -> int:
    """Remove marks; returns the exit code. Raises InspectorError."""
    line = load_config(config_path(arguments)).line
    with needs_extra("`inspector unmark`"):
        from inspector.sinks.records import marks
        from inspector.sinks.records.database import Database
    subjects = subjects_of(line, arguments.what, arguments.run)
    with Database(str(line.records.url)).changing("cannot be unmarked") as connection:
        marks.unmark(connection, subjects)
    for subject in subjects:
        print(f"unmarked {subject}")
    return 0
