"""The names that other programs may import; docs/api.md shows their use."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from inspector.backends import Backend, open_backend
from inspector.engine.signature import open_trusted
from inspector.errors import (
    ConfigError,
    EngineError,
    InputError,
    InspectorError,
    SourceError,
    WorkError,
)
from inspector.report.verdict_files import Selection, VerdictFiles
from inspector.sources import Source, WhenBehind
from inspector.values import Capture, Code, Decision, Defect, Uninspected, Verdict
from inspector.wire.view import ViewMessage, view_address, watch


def read_verdicts(run: Path) -> Iterator[Verdict]:
    """Yield the verdicts in a folder that `inspector run`, `replay` or a service wrote, oldest first.

    The line may still be writing. Raises InputError for a folder without verdicts or a damaged log.
    """
    decoder = msgspec.json.Decoder(Verdict)
    for number, line in enumerate(VerdictFiles(run, Selection()).lines(), 1):
        if not line.endswith(b"\n"):
            return  # the line is writing it
        try:
            yield decoder.decode(line)
        except msgspec.DecodeError as error:
            raise InputError(f"{run}: verdict {number} of its logs: {error}") from None


def open_engine(folder: Path, *, trusted_keys: tuple[str, ...] = (), threads: int | None = None) -> Backend:
    """Return the engine in a folder, to be entered: `with open_engine(folder) as engine: engine.infer(frames)`.

    Checks every file against the manifest, and the signature when keys are trusted. Raises EngineError.
    """
    return open_backend(open_trusted(folder, trusted_keys), threads=threads)


__all__ = [
    "Backend",
    "Capture",
    "Code",
    "ConfigError",
    "Decision",
    "Defect",
    "EngineError",
    "InputError",
    "InspectorError",
    "Source",
    "SourceError",
    "Uninspected",
    "Verdict",
    "ViewMessage",
    "WhenBehind",
    "WorkError",
    "open_engine",
    "read_verdicts",
    "view_address",
    "watch",
]
