"""Compare the verdicts of a replay with the labels of its frames.

A frame counts as defective if it shows a kind that the recipe of the run rejects. Prints how many defective frames
were found, how many sound frames were rejected, and the names of the wrong ones."""

import argparse
import json
from pathlib import Path
from typing import Final

EXAMPLE: Final = "example: trainer compare out/run --data simulated/"
MAX_NAMES: Final = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder that `inspector replay` wrote")
    parser.add_argument("--data", type=Path, required=True, help="the labelled frames that were replayed")
    parser.add_argument("--json", action="store_true", help="print one JSON object, with every name")


def run(arguments: argparse.Namespace) -> None:
    """Compare the verdicts with the labels and print the counts."""
    from trainer.data.formats import open_dataset
    from trainer.evaluation.truth import compare

    found = compare(arguments.run, open_dataset(arguments.data))
    if arguments.json:
        figures = {
            "defective": found.defective,
            "sound": found.sound,
            "uninspected": found.uninspected,
            "missed": found.missed,
            "false_rejects": found.false_rejects,
        }
        print(json.dumps(figures, ensure_ascii=False))
        return
    uninspected = f", {found.uninspected} not inspected" if found.uninspected else ""
    print(
        f"truth    {found.defective - len(found.missed)} of {found.defective} defective frames found, "
        f"{len(found.false_rejects)} of {found.sound} sound ones rejected{uninspected}"
    )
    for what, names in (
        ("missed defects (escape)", found.missed),
        ("false rejects (overkill)", found.false_rejects),
    ):
        if names:
            more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
            print(f"         {what}: {', '.join(names[:MAX_NAMES])}{more}")
