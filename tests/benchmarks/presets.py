"""Speed of each preset on this PC at 256×1600, in turns within one run: bf16, and int8 for `fast`.

python -m tests.benchmarks.presets

The weights are drawn, not trained: they make no difference to the speed. Maps are at the stem's resolution, as
`trainer export` has them by default.
"""

import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import openvino as ov
import torch

from inspector.sources.simulator import CLASS_NAMES, StripSettings, strip
from inspector.values import Pixels
from trainer.build.quantise import quantise
from trainer.export.onnx_file import write_onnx
from trainer.models import PRESETS, build_model
from trainer.models.contract import InspectionNet, fold_batch_norms

HEIGHT: Final = 256
WIDTH: Final = 1600
ENGINES: Final = (("paper", "bf16"), ("balanced", "bf16"), ("fast", "bf16"), ("fast", "int8"))
ROUNDS: Final = 4
SECONDS: Final = 2.0
"""A turn, a round: short, so that what else the machine does falls on all alike."""
FRAMES: Final = 16


def main() -> None:
    """Print frames per second of each preset (best and median round), and the ratios of docs/figures.md."""
    frames = np.stack([frame.pixels for frame in islice(strip(StripSettings(seed=1)), FRAMES)])
    with tempfile.TemporaryDirectory() as folder:
        core = ov.Core()
        engines = {engine: _compile(core, *engine, Path(folder), frames) for engine in ENGINES}
        rates: dict[tuple[str, str], list[float]] = {engine: [] for engine in ENGINES}
        for _ in range(ROUNDS):
            for engine, queue in engines.items():
                rates[engine].append(_rate(queue, frames))
    for (preset, precision), found in rates.items():
        print(f"{preset:9} {precision}: {max(found):6.1f} frames/s, median of {ROUNDS} {median(found):6.1f}")
    for faster, slower in ((("fast", "bf16"), ("paper", "bf16")), (("fast", "int8"), ("fast", "bf16"))):
        by_round = [a / b for a, b in zip(rates[faster], rates[slower], strict=True)]
        print(
            f"{' '.join(faster)} is {median(by_round):.2f} × as fast as {' '.join(slower)} (median of the rounds)"
        )


def _compile(core: ov.Core, preset: str, precision: str, folder: Path, frames: Pixels) -> Any:
    """The engine's requests, as the line's backend has them."""
    torch.manual_seed(1)
    net = build_model(PRESETS[preset], 1 + len(CLASS_NAMES))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.inference_mode():
        net(torch.from_numpy(frames[:2, :64, :64]).unsqueeze(1).float())  # or activations grow out of bounds
    net = fold_batch_norms(net.eval())
    path = folder / f"{preset}.onnx"
    write_onnx(InspectionNet(net, HEIGHT, WIDTH, net.map_stride), HEIGHT, WIDTH, path, half_weights=False)
    if precision == "int8":
        quantise(path, folder / "int8.onnx", frames)
        path = folder / "int8.onnx"
    graph = core.read_model(path)
    graph.reshape({"frames": [1, HEIGHT, WIDTH]})
    hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "bf16"}
    return ov.AsyncInferQueue(core.compile_model(graph, "CPU", hints))


def _rate(queue: Any, frames: Pixels) -> float:
    """Frames a second over at least SECONDS and as many frames as it has requests."""
    queue.start_async({"frames": frames[:1]})
    queue.wait_all()
    started, count = time.perf_counter(), 0
    while count < len(queue) or time.perf_counter() - started < SECONDS:
        queue.start_async({"frames": frames[count % FRAMES : count % FRAMES + 1]})
        count += 1
    queue.wait_all()
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
