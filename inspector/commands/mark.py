"""`inspector mark` and `unmark`: mark coils and frames so that retention keeps them."""

import getpass
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inspector.config.line import LineConfig, load_config
from inspector.errors import InputError
from inspector.extras import needs_extra

if TYPE_CHECKING:
    from inspector.sinks.records.marks import Subject

MOST_DIGITS: Final = 18
"""Most digits of a frame number: a database's 64-bit integer holds any 18."""

_FRAME: Final = re.compile(r"(?P<camera>[^:]+):(?P<frame_id>\d+)")


def mark(config_path: Path, names: list[str], run: str | None, note: str, *, as_json: bool) -> int:
    """Mark coils and frames in the config's records; returns the exit code. Raises InspectorError."""
    line = load_config(config_path).line
    with needs_extra("`inspector mark`"):
        from inspector.sinks.records import marks
        from inspector.sinks.records.database import Database
    subjects = _subjects(line, names, run)
    with Database(str(line.records.url)).changing("cannot be marked") as connection:
        marks.mark(connection, subjects, note, _user())
    if as_json:
        print(json.dumps({"marked": [str(subject) for subject in subjects]}, ensure_ascii=False))
        return 0
    for subject in subjects:
        print(f"marked {subject}")
    return 0


def unmark(config_path: Path, names: list[str], run: str | None) -> int:
    """Remove marks; returns the exit code. Raises InspectorError."""
    line = load_config(config_path).line
    with needs_extra("`inspector unmark`"):
        from inspector.sinks.records import marks
        from inspector.sinks.records.database import Database
    subjects = _subjects(line, names, run)
    with Database(str(line.records.url)).changing("cannot be unmarked") as connection:
        marks.unmark(connection, subjects)
    for subject in subjects:
        print(f"unmarked {subject}")
    return 0


def list_marks(config_path: Path, *, as_json: bool) -> int:
    """Print all marks; returns the exit code. Raises InspectorError."""
    line = load_config(config_path).line
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


def _subjects(line: LineConfig, names: list[str], run: str | None) -> "list[Subject]":
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
        raise InputError("say what: a coil, or CAMERA:FRAME")
    if run is not None and all(subject.coil is not None for subject in subjects):
        raise InputError("--run says which run's frame is meant: a coil is marked in all runs")
    return subjects


def _user() -> str:
    """Name of the user who marks, also under sudo, which writing to the records may need."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # in a container a user may have no name
        return f"user {os.getuid()}"
