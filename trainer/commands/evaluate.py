"""Measure a checkpoint, a model folder or an engine folder on labelled frames.

A pixel has the predicted kind if its score reaches the threshold of that kind, otherwise it is normal. Thresholds
are those chosen on validation (0.5 for a checkpoint). Pixels are pooled over all frames. A frame is rejected if a
defect reaches the minimum area of its class. Missed defects (escape) and false rejects (overkill) have 95 %
intervals (Wilson). Classes are matched by name."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from inspector.errors import InputError
from trainer.data.fit import POLICIES
from trainer.data.split import PARTS

EXAMPLE: Final = """\
examples:
  trainer evaluate engines/first --data severstal/ --split runs/first/split.json --part val
  trainer evaluate models/first --data coil_17/ --report coil_17.html
  trainer evaluate models/first --data coil_17/ --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("what", type=Path, help="RUN/best.ckpt, a model folder, or an engine folder")
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled frames")
    parser.add_argument("--split", type=Path, help="measure one part of this split file (default: all frames)")
    parser.add_argument("--part", choices=PARTS, help="of the split (default test)")
    parser.add_argument(
        "--fit",
        choices=POLICIES,
        help="frames of another size: tile cuts them, resize scales them (default: as trained)",
    )
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="also write one page with pictures")


def run(arguments: argparse.Namespace) -> None:
    """Evaluate and print the figures."""
    from trainer.data.class_order import in_classes
    from trainer.data.faults import Remarks
    from trainer.data.formats import open_dataset
    from trainer.data.frames import load_frames
    from trainer.evaluation.alarms import alarms
    from trainer.evaluation.evaluate import check_classes, fit_for, part_names, study
    from trainer.evaluation.predictors import as_the_line_tiles, open_predictor
    from trainer.evaluation.seen_frames import count_seen, read_origin, warn_of_seen

    if arguments.part is not None and arguments.split is None:
        raise InputError(f"--part {arguments.part} is a part of a split: give the file with --split")
    part = arguments.part or "test"
    report: Path | None = arguments.report
    if report is not None and not report.resolve().parent.is_dir():
        raise InputError(f"--report {report}: there is no folder {report.resolve().parent}: make it first")
    predictor = open_predictor(arguments.what, arguments.threads)
    remarks = Remarks()
    dataset = open_dataset(arguments.data, remarks)
    remarks.tell()
    names = part_names(dataset, arguments.split, part)
    warnings = [check_classes(predictor, dataset)]
    fit = fit_for(predictor, dataset, names, arguments.fit, arguments.what)
    if fit is not None and fit.policy == "tile" and len({dataset.size(name) for name in names}) == 1:
        predictor, fit = as_the_line_tiles(predictor, dataset.size(names[0])), None
    data = load_frames(dataset, names, fit=fit, show_progress=True)
    if fit is not None:
        warnings.append(
            f"frames of another size: {fit.policy}, so the figures count {len(data)} entries as frames"
        )
    seen = count_seen(read_origin(arguments.what), data)
    warnings.append(warn_of_seen(seen, len(data)))
    data = in_classes(predictor.operation.classes, dataset.classes, data)
    told = [warning for warning in warnings if warning]
    for warning in told:
        print(f"trainer: warning: {warning}", file=sys.stderr)
    with predictor:
        result = study(predictor, data, show_progress=True)
    counted = result.figures()
    for said in alarms(counted):
        print(f"trainer: warning: {said}", file=sys.stderr)
    figures = {
        **counted,
        **result.curves(),
        "seen_in_training": seen,
        "warnings": told,
        "what": predictor.identity,
        "part": part if arguments.split else "all",
    }
    if report is not None:
        from trainer.evaluation.report import write_page

        write_page(report, figures, result, data, str(arguments.data))
    print(json.dumps(figures, ensure_ascii=False) if arguments.json else _table(figures))
    if report is not None and not arguments.json:
        print(f"\n{report}: curves and the worst frames")


def _table(figures: dict[str, Any]) -> str:
    """The figures for people: per class and in total, beside the all-normal model."""
    from trainer.evaluation.frame_score import with_frame_score
    from trainer.evaluation.intervals import measured

    baseline = figures["all_normal"]
    lines = [
        f"{figures['what']} on {figures['frames']} frames, {figures['defective_frames']} of them defective",
        "",
        f"{'':<14}{'IoU':>8}{'Dice':>8}{'threshold':>11}{'min area px':>13}   frames rejected",
    ]
    for name, iou in figures["iou"].items():
        threshold = figures["thresholds"].get(name)
        area = figures["min_area_px"].get(name)
        recall = figures["frame_recall"].get(name)
        lines.append(
            f"{name:<14}{_share(iou):>8}{_share(figures['dice'][name]):>8}"
            f"{'' if threshold is None else f'{threshold:.3f}':>11}{'' if area is None else area:>13}"
            f"{'' if recall is None else '   ' + _counted(recall)}".rstrip()
        )
    lines += ["", f"{'':<14}{'this':>8}{'all normal':>12}"]
    good = figures["good_frames"]
    for title, key, more in (
        ("mIoU", "miou", ""),
        ("defect IoU", "defect_iou", ""),
        ("binary mIoU", "binary_miou", ""),
        ("Kaggle Dice", "kaggle_dice", ""),
        (
            "escape",
            "escape",
            _interval(figures["escapes"], figures["defective_frames"], figures["escape_interval"]),
        ),
        ("overkill", "overkill", _interval(figures["overkills"], good, figures["overkill_interval"])),
    ):
        this, normal = (_share(measured(of, key)) for of in (figures, baseline))
        lines.append(f"{title:<14}{this:>8}{normal:>12}   {more}".rstrip())
    scored = figures.get("with_frame_score")
    if scored is not None:
        lines.append(f"with frame_score = {scored['threshold']:g} in the recipe: {with_frame_score(scored)}")
    calibration, boxes = figures["calibration"], figures["boxes"]
    lines += [
        "",
        f"{'defects hit':<20}{_counted(figures['defects'])}",
        f"{'defects invented':<20}{_counted(figures['invented_defects'])}",
        f"{'boxes as labelled':<20}{_counted(boxes['good_box'])} with IoU ≥ {boxes['good_box_iou']}",
        f"{'calibration error':<20}{_share(calibration['error'])} of all pixels",
        f"{'':<20}{_share(calibration['error_of_doubtful'])} scored over {calibration['doubtful_from']:.0%}",
    ]
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(count: int, of: int, interval: list[float] | None) -> str:
    if interval is None:
        return "no such frame"
    return f"{count} of {of}; 95 %: {interval[0]:.4f} to {interval[1]:.4f}"


def _counted(share: dict[str, Any]) -> str:
    """A counted share with its interval, as in trainer.evaluation.intervals.counted."""
    if share["share"] is None:
        return "– (none)"
    return f"{share['share']:.4f} ({_interval(share['count'], share['of'], share['interval'])})"
