"""Mark coils and frames, so that their records and pictures are kept however old they get.

`inspector collect RECORDING --marked` puts them into the review queue."""

import argparse
import getpass
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inspector.commands.options import add_config, add_json, config_path
from inspector.config.line import LineConfig, load_config
from inspector.errors import InputError
from inspector.extras import needs_extra

if TYPE_CHECKING:
    from inspector.sinks.records.marks import Subject

EXAMPLE: Final = "example: inspector mark C-48213 top:1234 --config line.toml --note 'claim 771'"

MOST_DIGITS: Final = 18
"""Most digits of a frame number: a database's 64-bit integer holds any 18."""

_FRAME: Final = re.compile(r"(?P<camera>[^:]+):(?P<frame_id>\d+)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_subjects(parser)
    parser.add_argument("--note", default="", help="why")
    parser.add_argument("--list", action="store_true", help="show what is marked")
    add_json(parser)


def add_subjects(parser: argparse.ArgumentParser) -> None:
    """Declare the options that name coils and frames."""
    parser.add_argument("what", nargs="*", metavar="COIL|CAMERA:FRAME", help="a coil, or one frame")
    add_config(parser, installed=True)
    parser.add_argument("--run", help="name of the run's folder, if several runs have such a frame")


def run(arguments: argparse.Namespace) -> int:
    """Mark coils and frames in the config's records, or list marks. Raises InspectorError."""
    line = load_config(config_path(arguments)).line
    if arguments.list:
        if arguments.what:
            raise InputError("--list shows all that is marked: leave out what to mark")
        return _list_marks(line, as_json=arguments.json)
    with needs_extra("`inspector mark`"):
        from inspector.sinks.records import marks
        from inspector.sinks.records.database import Database
    subjects = subjects_of(line, arguments.what, arguments.run)
    with Database(str(line.records.url)).changing("cannot be marked") as connection:
        marks.mark(connection, subjects, arguments.note, _user())
    if arguments.json:
        print(json.dumps({"marked": [str(subject) for subject in subjects]}, ensure_ascii=False))
        return 0
    for subject in subjects:
        print(f"marked {subject}")
    return 0


def _list_marks(line: LineConfig, *, as_json: bool) -> int:
    """Print all marks; returns the exit code. Raises InspectorError."""
    with needs_extra("`inspector mark`"):
        from inspector.sinks.records.database import Database
        from inspector.sinks.records.marks import marks
        from inspector.sinks.records.selection import iso_time
    with Database(str(line.records.url)).reading("cannot be read") as connection:
        found = marks(connection)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return 0
    for each in found:
        frame = f"{each['camera']}:{each['frame_id']} --run {Path(each['folder'] or '').name}"
        what = each["coil"] if each["coil"] is not None else frame
        print(f"{what:30s} {iso_time(each['marked_ns'])[:19]}Z by {each['marked_by']}: {each['note']}")
    return 0


def subjects_of(line: LineConfig, names: list[str], run: str | None) -> "list[Subject]":
    """Parse names: CAMERA:FRAME if the line has that camera, else a coil. Raises InputError."""
    from inspector.sinks.records.marks import Subject

    subjects = []
    for name in names:
        found = _FRAME.fullmatch(name)
        if found is not None and found["camera"] in line.cameras:
            if len(found["frame_id"]) > MOST_DIGITS:
                raise InputError(f"{name}: no frame has such a number")
            subjects.append(Subject(camera=found["camera"], frame_id=int(found["frame_id"]), run=run))
        else:
            subjects.append(Subject(coil=name))
    if not subjects:
        raise InputError("nothing to mark: give a coil, or CAMERA:FRAME")
    if run is not None and all(subject.coil is not None for subject in subjects):
        raise InputError("--run selects the run of a frame: a coil is marked in all runs")
    return subjects


def _user() -> str:
    """Name of the user who marks, also under sudo, which writing to the records may need."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # in a container a user may have no name
        return f"user {os.getuid()}"
