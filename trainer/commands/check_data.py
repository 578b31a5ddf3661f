"""Check a folder of labelled frames before training.

Reports sizes, counts and mask areas per class, faults with file and row, exact and near duplicates (also mirrored
and turned ones), how well the masks of duplicates agree (a ceiling for any model), frames that share parts, and
black margins. Exit code 0: `train` accepts the data. 1: it refuses the data because of a fault. 2: the folder
holds no data set. Remarks, such as duplicates, do not change the exit code."""

import argparse
import json
from pathlib import Path
from typing import Final

from inspector.errors import WorkError

EXAMPLE: Final = """\
examples:
  trainer check-data severstal/
  trainer check-data severstal/ --html severstal.html --json > severstal.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("data", type=Path, metavar="DIR", help="folder of labelled frames")
    parser.add_argument("--json", action="store_true", help="print one JSON object, with every finding")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write one HTML page with pictures")


def run(arguments: argparse.Namespace) -> None:
    """Check, print, and fail where training would."""
    from trainer.data.report.page import write_page
    from trainer.data.report.survey import survey
    from trainer.data.report.text import as_json, as_text

    found = survey(arguments.data, show_progress=True)
    if arguments.html is not None:
        write_page(found, arguments.html)
    print(json.dumps(as_json(found), ensure_ascii=False) if arguments.json else as_text(found))
    if found.faults:
        count = len(found.faults)
        raise WorkError(
            f"{arguments.data}: {count} fault{'s' * (count != 1)} that `trainer train` would refuse: "
            f"the first is {found.faults[0]}"
        )
