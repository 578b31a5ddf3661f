"""The `[report]` table of line.toml: reports that are written by themselves."""

from pathlib import Path

from pydantic import BaseModel

from inspector.config.plc import STRICT


class ReportSettings(BaseModel):
    """What `inspector report --judged` writes."""

    model_config = STRICT
    at_coil_end: bool = False
    """Write a report of each coil when it is judged."""
    pdf: bool = False
    """As a PDF, beside the HTML page; needs the extra `pdf`."""
    folder: Path = Path("reports")
    """A relative path starts at sinks.out."""
