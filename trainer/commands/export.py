"""Export a checkpoint as a model folder: model.onnx with the engine contract inside, golden frames, card.json."""

import argparse
import sys
from pathlib import Path
from typing import Final

from trainer.artifacts.extras import needs_train_extra
from trainer.evaluation.alarms import alarms
from trainer.evaluation.frame_score import STATED_ESCAPE, with_frame_score
from trainer.evaluation.intervals import share_text
from trainer.models.flips import FLIPS

EXAMPLE: Final = "example: trainer export runs/first/best.ckpt --out models/first"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("checkpoint", type=Path, help="RUN/best.ckpt")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--name", help="name of the model (default: the name of --out)")
    parser.add_argument("--data", type=Path, help="new place of the training data, if it has moved")
    parser.add_argument("--height", type=int, help="frame height of the line, px (default: as trained)")
    parser.add_argument("--width", type=int, help="frame width of the line, px (default: as trained)")
    parser.add_argument(
        "--map-stride",
        type=int,
        choices=(1, 2, 4),
        help="stride of the maps (default: the network's, finer for small defects; 1 is full size)",
    )
    parser.add_argument(
        "--flips",
        type=int,
        choices=FLIPS,
        default=1,
        help="average the answers to 4 mirrored views, or 8 with transposed ones: better, and 4 or 8 times slower",
    )
    parser.add_argument("--half-weights", action="store_true", help="store weights as fp16: half the file")
    parser.add_argument("--escape-cost", type=float, default=10.0, help="cost of a missed defect (default 10)")
    parser.add_argument("--overkill-cost", type=float, default=1.0, help="cost of a false reject (default 1)")
    parser.add_argument(
        "--false-rejects",
        type=float,
        metavar="SHARE",
        help="move the thresholds until this share of the sound validation frames is rejected (default: costs)",
    )
    parser.add_argument(
        "--frame-escape",
        type=float,
        default=STATED_ESCAPE,
        metavar="SHARE",
        help="defective validation frames that the frame score may let pass (default 0.05; presets with one)",
    )
    parser.add_argument(
        "--golden",
        type=Path,
        metavar="DIR",
        help="take the golden frames, which become part of the model folder, from these labelled frames",
    )
    parser.add_argument("--note", action="append", default=[], help="a known weakness for the card; repeatable")


def run(arguments: argparse.Namespace) -> None:
    """Export the model and print a summary."""
    with needs_train_extra("export"):
        from trainer.export.export import ExportSettings, export

        card = export(
            ExportSettings(
                checkpoint=arguments.checkpoint,
                out=arguments.out,
                name=arguments.name or arguments.out.resolve().name,
                data=arguments.data,
                height=arguments.height,
                width=arguments.width,
                map_stride=arguments.map_stride,
                flips=arguments.flips,
                half_weights=arguments.half_weights,
                escape_cost=arguments.escape_cost,
                overkill_cost=arguments.overkill_cost,
                false_rejects=arguments.false_rejects,
                frame_escape=arguments.frame_escape,
                golden=arguments.golden,
                notes=tuple(arguments.note),
            ),
            show_progress=True,
        )
    figures = card.figures
    scored = figures.get("with_frame_score")
    for said in alarms(figures):
        print(f"trainer: warning: {said}", file=sys.stderr)
    told = "" if scored is None else f"with frame_score = {scored['threshold']:g} in the recipe: "
    print(
        f"{arguments.out}: {card.height}×{card.width} px, maps at 1/{card.map_stride}; "
        f"ONNX agrees with torch on {card.parity['mask_agreement']:.4%} of the golden pixels\n"
        f"on {figures['frames']} validation frames: mIoU {figures['miou']:.4f}, "
        f"missed defects (escape) {share_text(figures, 'escape')}, "
        f"false rejects (overkill) {share_text(figures, 'overkill')}\n"
        f"{told}{'' if scored is None else with_frame_score(scored) + chr(10)}"
        f"next: trainer build-engine {arguments.out} --backend openvino --out ENGINE"
    )
