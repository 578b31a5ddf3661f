"""Write a data set as COCO, to correct its labels in CVAT, Label Studio or another tool.

`trainer import coco` reads the corrected file back."""

import argparse
from pathlib import Path
from typing import Final

EXAMPLE: Final = "example: trainer export-coco data/to-label labelling/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("data", type=Path, help="folder of labelled frames")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument(
        "--polygons",
        action="store_true",
        help="outlines only, for tools that read no run lengths; holes are filled",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write and print what was written."""
    from inspector.render.numbers import frames
    from trainer.artifacts.extras import needs_train_extra
    from trainer.data.coco_out import ANNOTATIONS_NAME, write_coco
    from trainer.data.formats import open_dataset

    with needs_train_extra("export-coco"):
        found = write_coco(
            open_dataset(arguments.data), arguments.out, polygons_only=arguments.polygons, show_progress=True
        )
    print(
        f"{arguments.out / ANNOTATIONS_NAME}: {frames(found.frames)}, {found.polygons} polygons, "
        f"{found.run_lengths} run lengths\nback: trainer import coco {arguments.out} OUT"
    )
