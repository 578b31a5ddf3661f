"""Make a first model from a plant's own frames, without a label.

Takes frames of a folder or of a recording of `inspector record`, sets the most unusual ones aside for a look, and
draws defects on the others. Trains the preset `pretrained` on them, and moves the thresholds until the stated
share of held-out own frames is rejected. Each step is kept: --resume continues after Ctrl-C, a power cut or
SIGKILL."""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from inspector.errors import InputError
from trainer.artifacts.extras import needs_train_extra

EXAMPLE: Final = """\
examples:
  trainer commission recordings/monday --out first --minutes 60
  trainer commission frames/ --out first --transplant severstal/ --false-rejects 0.02
  trainer commission --out first --resume"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; options not given stay absent."""

    def add(name: str, **options: Any) -> None:
        parser.add_argument(name, default=argparse.SUPPRESS, **options)

    parser.add_argument("source", nargs="?", type=Path, help="folder of images, or a recording")
    parser.add_argument("--out", type=Path, required=True, help="folder of the commissioning")
    parser.add_argument("--resume", action="store_true", help="continue the commissioning in --out")
    add("--frames", type=int, help="most own frames to take, evenly spread (default 600)")
    add("--set-aside", type=float, metavar="SHARE", help="the most unusual own frames, not used (default 0.1)")
    add("--held-out", type=float, metavar="SHARE", help="own frames that only choose thresholds (default 0.3)")
    add("--false-rejects", type=float, metavar="SHARE", help="budget on the held-out frames (default 0.05)")
    add("--transplant", type=Path, metavar="DATA", help="labelled frames whose defects are put on yours, too")
    add("--minutes", type=float, help="length of the training (default 60)")
    add("--encoder-weights", type=Path, metavar="FILE", help="weights of the encoder (default: the extra's)")
    add("--seed", type=int, help="seed of every random draw (default 1)")
    add("--threads", type=int, help="CPU threads")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def run(arguments: argparse.Namespace) -> None:
    """Commission and print what is known."""
    from trainer.commission.settings import SETTINGS_NAME, settings_of, stored_settings

    given = {name: value for name, value in vars(arguments).items() if name not in {"command", "resume", "json"}}
    out: Path = arguments.out
    if arguments.resume:
        settings = stored_settings(out)
        stored = settings.model_dump()
        changed = [name for name, value in given.items() if name != "out" and value not in (None, stored[name])]
        if changed:
            raise InputError(f"--resume: {out} was started with another {changed[0]}: leave the option out")
        settings = settings.model_copy(update={"out": out})
    else:
        if arguments.source is None:
            raise InputError("name a folder of images or a recording, or --resume")
        if (out / SETTINGS_NAME).exists():
            raise InputError(f"{out} holds a commissioning: add --resume to continue it, or name another folder")
        settings = settings_of(given)
        settings.write()
    with needs_train_extra("commission"):
        from trainer.commission.report import TEXT_NAME
        from trainer.commission.run import LOOK, MODEL, commission

        report = commission(settings, show_progress=True)
    if arguments.json:
        print(json.dumps(report, ensure_ascii=False))
        return
    print(
        f"{out / MODEL}: rejects {report['false_rejects']} of {report['held_out_frames']} held-out own frames and "
        f"finds {report['drawn_found']} of {report['drawn_defective_frames']} with drawn defects; how many real "
        f"defects it misses is not known\n{out / TEXT_NAME}: more; look at the frames in {out / LOOK}\n"
        f"next: trainer build-engine {out / MODEL} --backend openvino --out ENGINE"
    )
