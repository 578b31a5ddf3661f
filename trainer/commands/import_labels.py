"""Import labels that another tool wrote, as a data set that every other command reads.

OUT gets images/, masks/ (label maps), classes.json, and split.json if the source has train, val and test parts.
Frames are written upright. Labels at fault are refused in one line, with the option that settles them, and
nothing is written. A recording or a folder of rejects of a line has no labels: --engine draws them, or --unlisted
normal takes the frames of a recording as sound."""

import argparse
from pathlib import Path
from typing import Final

from inspector.errors import InputError

NAMES: Final = (
    *(
        "masks",
        "coco",
        "labelme",
        "yolo",
        "cvat",
        "via",
        "voc",
        "labelstudio",
        "supervisely",
        "mvtec",
        "severstal",
    ),
)
"""Names of the formats; a test compares them with the table of readers, which needs numpy and Pillow."""

LINE_NAMES: Final = ("recording", "rejects")
"""Kinds of frames that a line stores, which have no labels."""

EXAMPLE: Final = """\
examples:
  trainer import labelme labelled/ data/
  trainer import masks shots/ data/ --value 255=scratch
  trainer import masks shots/ data/ --colour ff0000=scratch --colour 00ff00=pit
  trainer import coco roboflow/ data/ --unlisted normal --overlap smaller
  trainer import recording recordings/coil-17 data/ --unlisted normal --classes normal,scratch --every 10
  trainer import rejects runs/2026-11-29T06-00-00/rejects data/ --engine engines/strip-1"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "format", choices=(*NAMES, *LINE_NAMES), metavar="FORMAT", help=", ".join((*NAMES, *LINE_NAMES))
    )
    parser.add_argument("source", type=Path, metavar="SRC", help="folder of images and labels, or the label file")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument(
        "--unlisted",
        choices=("refuse", "normal", "skip"),
        help="images without labels (default: refuse; yolo, severstal: normal)",
    )
    parser.add_argument(
        "--overlap",
        choices=("refuse", "smaller", "later"),
        default="refuse",
        help="pixels of two classes: refuse (default), or take the smaller region, or the one listed later",
    )
    parser.add_argument("--clip", action="store_true", help="cut outlines that leave the frame at its edge")
    parser.add_argument(
        "--grey-window",
        type=int,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="16-bit images: samples for black and white",
    )
    masks = parser.add_argument_group("masks and tables")
    masks.add_argument(
        "--value", action="append", default=[], metavar="N=CLASS", help="value in a mask; repeatable"
    )
    masks.add_argument(
        "--colour", action="append", default=[], metavar="RRGGBB=CLASS", help="colour in a mask; repeatable"
    )
    masks.add_argument(
        "--classes",
        metavar="A,B,…",
        help="names of the values 0, 1, …, normal first; via: normal and the one class",
    )
    masks.add_argument(
        "--ignore", type=int, metavar="N", help="value without a class: such pixels take the nearest class"
    )
    masks.add_argument(
        "--by-folder", action="store_true", help="black-and-white masks: the folder names the class"
    )
    masks.add_argument(
        "--first", type=int, metavar="N", help="number of normal in masks, of the first kind in a table"
    )
    masks.add_argument("--row-major", action="store_true", help="severstal: runs go along the rows")
    parser.add_argument("--attribute", metavar="NAME", help="via: attribute that holds the class")
    line = parser.add_argument_group("recordings and rejects of a line")
    line.add_argument(
        "--engine", type=Path, metavar="ENGINE", help="label frames with what this engine or model finds"
    )
    line.add_argument("--every", type=int, metavar="N", default=1, help="take every Nth frame (default 1)")


def run(arguments: argparse.Namespace) -> None:
    """Import and print what was found."""
    if arguments.format in LINE_NAMES:
        _import_frames(arguments)
        return
    from inspector.render.numbers import frames
    from trainer.data.importing.formats import read_source
    from trainer.data.importing.source import Options
    from trainer.data.importing.write import SPLIT_NAME, Policies, write_imported

    options = Options(
        values=dict(_value(text) for text in arguments.value),
        colours=dict(_colour(text) for text in arguments.colour),
        classes=tuple(arguments.classes.split(",")) if arguments.classes else (),
        ignore=arguments.ignore,
        first=arguments.first,
        row_major=arguments.row_major,
        by_folder=arguments.by_folder,
        clip=arguments.clip,
        attribute=arguments.attribute,
    )
    window = arguments.grey_window
    if window is not None and not 0 <= window[0] < window[1]:
        raise InputError(f"--grey-window {window[0]} {window[1]}: needs 0 ≤ LOW < HIGH")
    policies = Policies(arguments.overlap, arguments.unlisted, None if window is None else (window[0], window[1]))
    source = read_source(arguments.format, arguments.source, options)
    found = write_imported(source, arguments.source, arguments.out, policies, show_progress=True)
    skipped = f", {frames(found.skipped)} without labels left out" if found.skipped else ""
    print(f"{arguments.out}: {frames(found.frames)}{skipped}")
    for name in found.classes[1:]:
        print(f"  {name}: on {frames(found.shown.get(name, 0))}")
    if found.parts:
        parts = ", ".join(f"{part} {len(names)}" for part, names in found.parts.items())
        print(f"  {SPLIT_NAME}: {parts}, as the source has them")
        unused = found.frames - sum(map(len, found.parts.values()))
        if unused:
            print(f"  {frames(unused)} in no part: no training and no evaluation by {SPLIT_NAME} uses them")
    for note in source.notes:
        print(f"  {note}")
    print(f"next: trainer check-data {arguments.out}")


def _import_frames(arguments: argparse.Namespace) -> None:
    from inspector.render.numbers import frames
    from trainer.evaluation.line_frames import import_line_frames

    classes = tuple(arguments.classes.split(",")) if arguments.classes else None
    found = import_line_frames(
        arguments.format,
        arguments.source,
        arguments.out,
        engine=arguments.engine,
        sound_classes=classes if arguments.unlisted == "normal" else None,
        every=arguments.every,
        show_progress=True,
    )
    print(f"{arguments.out}: {frames(found.frames)}, {found.defective} of them with a defect{found.left_out}")
    print(f"next: trainer check-data {arguments.out}")


def _value(text: str) -> tuple[int, str]:
    number, _, name = text.partition("=")
    if not number.strip().isdigit() or not name:
        raise InputError(f"--value {text}: must be a number and a class, such as --value 255=scratch")
    return int(number), name


def _colour(text: str) -> tuple[tuple[int, int, int], str]:
    digits, _, name = text.partition("=")
    digits = digits.removeprefix("#")
    try:
        red, green, blue = bytes.fromhex(digits)
    except ValueError:
        raise InputError(f"--colour {text}: must be six hex digits and a class: --colour ff0000=scratch") from None
    if not name:
        raise InputError(f"--colour {text}: names no class: --colour {digits}=scratch")
    return (red, green, blue), name
