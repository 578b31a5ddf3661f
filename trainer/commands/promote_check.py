"""Check whether a new engine may replace the one on the line.

It may if a frozen set of labelled frames costs less with it (escapes and overkills, weighed), and if no golden
coil has more of either. `inspector promote` asks for the file that this writes. Exit code 3: it may not."""

import argparse
from pathlib import Path
from typing import Final

from trainer.data.split import PARTS

EXAMPLE: Final = """\
example:
  trainer promote-check engines/second engines/first --frozen data/severstal --split split.json \\
    --golden coils/C-48213 coils/C-48300 --recipe recipe.toml --out promotion.json"""

NOT_BETTER: Final = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("candidate", type=Path, help="engine folder of the new engine")
    parser.add_argument("current", type=Path, help="engine folder of the engine on the line")
    parser.add_argument("--frozen", type=Path, required=True, metavar="DATA", help="frames that neither learned")
    parser.add_argument("--split", type=Path, help="take one part of this split file (default: all frames)")
    parser.add_argument("--part", choices=PARTS, default="test", help="of the split (default test)")
    parser.add_argument(
        "--golden", type=Path, nargs="+", default=[], metavar="DATA", help="labelled coils that must not get worse"
    )
    parser.add_argument("--recipe", type=Path, help="the line's recipe (default: the engines' own thresholds)")
    parser.add_argument("--escape-cost", type=float, default=10.0, help="cost of a missed defect (default 10)")
    parser.add_argument("--overkill-cost", type=float, default=1.0, help="cost of a false reject (default 1)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="file to write")


def run(arguments: argparse.Namespace) -> int:
    """Compare, write the check, and print it."""
    from inspector.engine.promotion import write_check
    from inspector.errors import WorkError
    from trainer.data.formats import open_dataset
    from trainer.evaluation.evaluate import part_names
    from trainer.evaluation.promotion import promotion_check

    frozen = open_dataset(arguments.frozen)
    check = promotion_check(
        arguments.candidate,
        arguments.current,
        (frozen, part_names(frozen, arguments.split, arguments.part)),
        [open_dataset(root) for root in arguments.golden],
        recipe=arguments.recipe,
        escape_cost=arguments.escape_cost,
        overkill_cost=arguments.overkill_cost,
        show_progress=True,
    )
    try:
        write_check(arguments.out, check)
    except OSError as error:
        raise WorkError(f"{arguments.out}: cannot be written: {error.strerror}") from None
    print(f"{'':<24}{'frames':>8}{'escapes':>18}{'overkills':>18}{'chance':>9}")
    for each in (check.frozen, *check.golden):
        frames = each.defective_frames + each.good_frames
        escapes = f"{each.current.escapes} → {each.candidate.escapes} of {each.defective_frames}"
        overkills = f"{each.current.overkills} → {each.candidate.overkills} of {each.good_frames}"
        print(f"{each.name[:23]:<24}{frames:>8}{escapes:>18}{overkills:>18}{each.chance:>9.3f}")
    for refusal in check.refusals:
        print(f"not promoted: {refusal}")
    if check.refusals:
        return NOT_BETTER
    print(
        f"{check.candidate} may replace {check.current}\n"
        f"next: inspector promote {arguments.candidate} --check {arguments.out} --config line.toml"
    )
    return 0
