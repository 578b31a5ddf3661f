"""Build an engine folder from a model folder, compare it with the model and measure its speed on this PC.

--calibration also measures the quality of the engine, on frames of that folder that calibration did not use. An
engine that loses more than --max-loss points against the model is not written."""

import argparse
from pathlib import Path
from typing import Final

EXAMPLE: Final = """\
examples:
  trainer build-engine models/first --backend openvino --out engines/first
  trainer build-engine models/first --backend tensorrt --max-batch 32 --out engines/first_gpu
  trainer build-engine models/first --precision int8 --calibration severstal/ --out engines/first_int8"""

BACKENDS: Final = ("openvino", "tensorrt", "torch")
PRECISIONS: Final = ("bf16", "fp16", "fp32", "int8")
USUAL: Final = {"openvino": "bf16", "tensorrt": "fp16", "torch": "fp16"}
MAX_BATCH: Final = 16
COMPATIBLE: Final = ("same_compute_capability", "ampere_plus")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", type=Path, help="model folder, from `trainer export`")
    parser.add_argument("--backend", choices=BACKENDS, default="openvino", help="default openvino")
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="default bf16 on openvino (fp32 where the CPU lacks it), else fp16"
    )
    parser.add_argument("--out", type=Path, required=True, help="engine folder to write")
    parser.add_argument("--name", help="engine name in the verdicts (default: the name of the model)")
    parser.add_argument(
        "--calibration", type=Path, metavar="DIR", help="folder of labelled frames; int8 needs one"
    )
    parser.add_argument(
        "--max-loss",
        type=float,
        default=0.5,
        metavar="POINTS",
        help="largest loss of mIoU and defect IoU against the fp32 model (default 0.5)",
    )

    gpu = parser.add_argument_group("on a GPU")
    gpu.add_argument(
        "--max-batch", type=int, default=MAX_BATCH, metavar="N", help=f"largest batch (default {MAX_BATCH})"
    )
    gpu.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="torch: what it will run on (default cuda)"
    )
    gpu.add_argument(
        "--version-compatible", action="store_true", help="tensorrt: later versions may run the engine; slower"
    )
    gpu.add_argument(
        "--hardware-compatible",
        choices=COMPATIBLE,
        help="tensorrt: other GPUs may run the engine; slower (default: this GPU model only)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Build and say how it went."""
    from trainer.artifacts.card import open_model
    from trainer.build.build import build_engine
    from trainer.build.request import GpuOptions
    from trainer.build.settings import BuildSettings

    manifest = build_engine(
        BuildSettings(
            model=arguments.model,
            out=arguments.out,
            backend=arguments.backend,
            precision=arguments.precision or USUAL[arguments.backend],
            name=arguments.name or open_model(arguments.model).card.name,
            calibration=arguments.calibration,
            max_loss=arguments.max_loss,
            gpu=GpuOptions(
                max_batch=arguments.max_batch,
                version_compatible=arguments.version_compatible,
                device=arguments.device,
                hardware_compatible=arguments.hardware_compatible,
            ),
        ),
        show_progress=True,
    )
    agreement = manifest.quality["engine_against_model"]
    print(
        f"{arguments.out}: {manifest.backend} {manifest.precision}, "
        f"{manifest.speed['frames_per_second']} frames/s alone on {manifest.speed['device']}; agrees with "
        f"the model on {agreement['mask_agreement']:.4%} of the pixels of {agreement['frames']} frames"
    )
    print("  ".join(f"{name} {version};" for name, version in manifest.versions.items()).rstrip(";"))
    cost = manifest.quality.get("engine_on_labelled_frames")
    if cost is not None:
        model, engine = cost["model"], cost["engine"]
        print(
            f"on {cost['frames']} labelled frames: mIoU {model['miou']:.4f} → {engine['miou']:.4f}, "
            f"defect IoU {model['defect_iou']:.4f} → {engine['defect_iou']:.4f}, "
            f"escape {model['escape']:.2%} → {engine['escape']:.2%}, "
            f"overkill {model['overkill']:.2%} → {engine['overkill']:.2%}"
        )
