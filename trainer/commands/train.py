"""Train a network on labelled frames.

Writes best.ckpt, last.ckpt, the split and the metrics to --out. Crop, loss, class weighting and the share of crops
around defects follow the data unless you state them; the first lines say what was chosen and why."""

import argparse
from pathlib import Path
from typing import Any, Final

from inspector.errors import InputError
from trainer.artifacts.extras import needs_train_extra
from trainer.data.fit import POLICIES
from trainer.models import DEFAULT_PRESET, PRESET_SETTINGS, PRESETS

EXAMPLE: Final = """\
examples:
  trainer train --data severstal/ --out runs/first --preset fast --minutes 60
  trainer train --data neu_seg/ --out runs/neu --preset balanced --epochs 40 --val 0.1
  trainer train --out runs/first --resume      (after Ctrl-C, a power cut or SIGKILL)
  torchrun --nproc-per-node 4 -m trainer.cli train --data severstal/ --out runs/four      (four GPUs)"""


_MODEL_OPTIONS: Final = ("preset", "widths", "stem_stride", "norm", "residual", "sub_pixel")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; options not given stay absent, so that a resume sees only the given ones."""

    def add(name: str, **options: Any) -> None:
        parser.add_argument(name, default=argparse.SUPPRESS, **options)

    add("--data", type=Path, help="folder of labelled frames (Severstal as downloaded, or images/ + masks/)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out, exactly")
    add("--preset", choices=sorted(PRESETS), help="network (default: follows the data)")
    add(
        "--encoder-weights",
        type=Path,
        metavar="FILE",
        help="weights of the pretrained encoder (default: those of the extra `pretrained`)",
    )
    add("--widths", type=_widths, metavar="W,W,…", help="channels of each level, instead of the preset's")
    add("--stem-stride", type=int, choices=(1, 2, 4), help="how much the first layer shrinks the frame")
    add("--norm", choices=("batch", "group", "instance"), help="normalisation (default batch)")
    add("--residual", action="store_true", help="residual blocks")
    add("--sub-pixel", action="store_true", help="full-size logits behind a strided stem")
    add("--target", choices=("multiclass", "binary"), help="every kind of defect (default), or defect and normal")
    add("--loss", help="ce, dice, lovasz, focal, or a sum (default: follows the data)")
    add(
        "--class-weighting",
        type=float,
        metavar="P",
        help="class weight area^−P (default: follows the data)",
    )
    add("--epochs", type=int, help="length of the run (default: 40, more for few frames)")
    add("--minutes", type=float, help="length of the run in time; the learning rate is fitted to it")
    add("--batch", type=int, help="crops a step, over all processes (default 16)")
    add("--crop", type=int, nargs=2, metavar=("H", "W"), help="crop, px (default: follows the data)")
    add("--fit", choices=POLICIES, help="frames of another size: tile (default) cuts them, resize scales them")
    add("--frame", type=int, nargs=2, metavar=("H", "W"), help="frame size, px (default: the usual one)")
    add("--balanced", type=float, help="share of crops around defects, class by class (default: follows the data)")
    add("--lr", type=float, help="peak learning rate (default 0.002)")
    add("--optimizer", choices=("adamw", "adam"), help="default adamw")
    add("--schedule", choices=("one-cycle", "constant"), help="schedule of the learning rate (default one-cycle)")
    add("--weight-decay", type=float, help="default 0.01")
    add("--no-relight", dest="relight", action="store_false", help="do not vary brightness, contrast and noise")
    add("--patience", type=int, metavar="N", help="stop after N validations without a better one")
    add("--ema", type=float, help="decay of the averaged weights (default 0.998)")
    add("--val", type=float, help="share of frames that choose the best checkpoint (default 0.1)")
    add(
        "--init",
        type=Path,
        metavar="WHAT",
        help="run, checkpoint or model folder to start from: same network, classes of the same names",
    )
    add("--split", type=Path, help='JSON {"train": [names], "val": […], "test": […]} instead of --val')
    add("--seed", type=int, help="seed of the split and of every random draw (default 1)")
    add("--threads", type=int, help="CPU threads")
    add("--device", choices=("auto", "cpu", "gpu"), help="default auto")
    add("--precision", choices=("bf16", "fp16", "fp32"), help="arithmetic (default bf16; fp16 needs a GPU)")
    add("--save-minutes", type=float, help="save last.ckpt this often (default 3)")


def _widths(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def run(arguments: argparse.Namespace) -> None:
    """Train and print the path of the best checkpoint."""
    from trainer.training.settings import LAST_NAME, SETTINGS_NAME, resumed_settings, settings_from

    options = {name: value for name, value in vars(arguments).items() if name not in {"command", "resume"}}
    out: Path = arguments.out
    if arguments.resume:
        model_options = [name for name in _MODEL_OPTIONS if name in options]
        if model_options:
            options["model"] = _model(options)
        settings = resumed_settings(out, options)
    else:
        if (out / SETTINGS_NAME).exists() and (out / LAST_NAME).exists():
            raise InputError(f"{out} holds a run: add --resume to continue it, or name another folder")
        if "data" not in options:
            raise InputError("--data is missing: the folder of labelled frames")
        if any(name in options for name in _MODEL_OPTIONS):
            options = {**PRESET_SETTINGS.get(options.get("preset", DEFAULT_PRESET), {}), **options}
            options["model"] = _model(options)
        settings = settings_from(options)
        with needs_train_extra("train"):
            import lightning
        del lightning
        out.mkdir(parents=True, exist_ok=True)
    with needs_train_extra("train"):
        from trainer.training.processes import processes_here
        from trainer.training.run import train

        best = train(settings, resume=arguments.resume)
    if processes_here().is_first:
        print(f"best checkpoint: {best}\nnext: trainer export {best} --out MODEL")


def _model(options: dict[str, Any]) -> dict[str, Any]:
    """The network's config: the preset changed by the options, which are removed from `options`."""
    model = dict(PRESETS[options.pop("preset", DEFAULT_PRESET)])
    for name in _MODEL_OPTIONS[1:]:
        if name in options:
            model[name] = options.pop(name)
    return model
