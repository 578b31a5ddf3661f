"""The `[archive]` table of line.toml: all frames of the last weeks, without loss."""

from pathlib import Path

from pydantic import BaseModel

from inspector.config.plc import STRICT, Positive


class ArchiveSettings(BaseModel):
    """Where frames are kept, and how many."""

    model_config = STRICT
    folder: Path | None = None
    """None is the folder `archive` in `sinks.out`."""
    max_gb: Positive
    """Space of the archive; the oldest coils make room, except marked ones."""
    keep_days: Positive | None = None
    """Older coils are deleted, except marked ones; None keeps them as long as there is room."""
    least_free_gb: Positive = 5.0
    """Free space that the archive leaves on its disk."""
