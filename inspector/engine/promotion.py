"""The check that an engine must pass before it replaces another: `trainer promote-check` writes it."""

from pathlib import Path
from typing import Final

import msgspec

from inspector.errors import InputError
from inspector.files import write_whole

SCHEMA_VERSION: Final = 1

MAX_BYTES: Final = 1_000_000
"""Largest file that is read."""


class Counts(msgspec.Struct, frozen=True):
    """How one engine judged a set of labelled frames."""

    escapes: int
    overkills: int
    cost: float
    """escapes × their cost + overkills × theirs."""


class Comparison(msgspec.Struct, frozen=True):
    """Two engines on the same frames."""

    name: str
    data_sha256: str
    defective_frames: int
    good_frames: int
    current: Counts
    candidate: Counts
    only_candidate_right: int
    only_current_right: int
    chance: float
    """Probability of a difference this large between two equal engines: exact McNemar test, two-sided."""


class PromotionCheck(msgspec.Struct, frozen=True):
    """The whole check."""

    schema_version: int
    candidate: str
    """Name and content hash."""
    candidate_sha256: str
    """Of its manifest, which covers every file."""
    current: str
    current_sha256: str
    recipe: str | None
    """Name and content hash of the recipe that judged; None for the engines' own thresholds."""
    escape_cost: float
    overkill_cost: float
    frozen: Comparison
    golden: tuple[Comparison, ...]
    refusals: tuple[str, ...]
    """Reasons why the candidate must not replace the current engine; empty if it may."""


def write_check(path: Path, check: PromotionCheck) -> None:
    """Write the check. Raises OSError."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(check), indent=1) + b"\n")


def read_check(path: Path) -> PromotionCheck:
    """Read a check; raises InputError for anything else."""
    try:
        with path.open("rb") as file:
            check = msgspec.json.decode(file.read(MAX_BYTES), type=PromotionCheck)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: `trainer promote-check` writes it") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not written by `trainer promote-check` ({error})") from None
    if check.schema_version != SCHEMA_VERSION:
        raise InputError(f"{path}: schema version {check.schema_version}, this program reads {SCHEMA_VERSION}")
    return check
