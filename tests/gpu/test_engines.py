"""Engines on a GPU, as `trainer build-engine` makes them: right to the pixel, and how fast."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from inspector.backends import open_backend
from inspector.commands.bench import frames_in_memory
from inspector.config.sources import SimulatorSettings
from inspector.core.rules import score_thresholds
from inspector.engine import golden
from inspector.engine.manifest import EngineFolder
from inspector.errors import DeviceError
from inspector.values import Pixels
from tests.support.engines import write_preset_engine
from tests.support.gpu_figures import as_table, batch_speeds, record
from trainer.build.request import GpuOptions

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("default"),
    pytest.mark.parametrize("backend_here", ["torch", "tensorrt"], indirect=True, scope="module"),
]

DEMO = Path(__file__).parents[2] / "configs" / "demo" / "model"
SIZE = (256, 1600)

FRAMES = 48
"""Frames of simulated steel, clean and defective, that are compared with the model on the CPU."""

LEAST_AGREEMENT = 0.999

BATCHES = (32, 16, 8)
"""The largest that fits the GPU's memory is measured."""

SECONDS = 0.4
"""A batch size and figure: eighteen rows, and the whole command stays under eight minutes."""


@pytest.fixture(scope="module")
def frames() -> Pixels:
    return frames_in_memory(
        SimulatorSettings(type="simulator", distinct=FRAMES, frames=FRAMES, defective_share=0.3, seed=11)
    )


@pytest.fixture(scope="module")
def expected(frames: Pixels, tmp_path_factory: pytest.TempPathFactory) -> golden.Golden:
    """What the model itself says of them: by torch on the CPU, which agrees with ONNX Runtime in every pixel."""
    import onnx
    import torch

    from trainer.build.gpu_onnx import write_gpu_onnx
    from trainer.build.onnx_torch import OnnxModule

    path = tmp_path_factory.mktemp("cpu") / "model.onnx"
    write_gpu_onnx(DEMO / "model.onnx", path, "fp32")
    model = OnnxModule(onnx.load(path))
    with torch.inference_mode():
        maps = [model(torch.from_numpy(frames[at : at + 4])) for at in range(0, len(frames), 4)]
    kind, score = (torch.cat(each).numpy() for each in zip(*maps, strict=True))
    return golden.Golden(frames, kind, score)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_masks_agree_with_the_cpu(
    backend_here: str, precision: str, expected: golden.Golden, demo_engine: Callable[[str, str], EngineFolder]
) -> None:
    """Of every thousand pixels 999 are the same defect, or none, as the model says on the CPU."""
    folder = demo_engine(backend_here, precision)
    with open_backend(folder) as engine:
        engine.verify_golden()
        kind, score = engine.infer(expected.frames)
        device = engine.device()
    steps = score_thresholds(folder.manifest.classes, folder.manifest.thresholds)
    agreement = golden.compare(expected, kind, score, steps)
    record(f"parity with fp32 on the CPU, {backend_here} {precision}", device=device, **asdict(agreement))
    assert agreement.mask_agreement >= LEAST_AGREEMENT


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_a_batch_is_what_its_frames_are_alone(
    backend_here: str, batch: int, frames: Pixels, demo_engine: Callable[[str, str], EngineFolder]
) -> None:
    """Padding to a captured size, and neighbours in the batch, change no pixel's defect."""
    engine = demo_engine(backend_here, "fp16")
    steps = score_thresholds(engine.manifest.classes, engine.manifest.thresholds)
    with open_backend(engine) as opened:
        alone = [opened.infer(frames[at : at + 1]) for at in range(batch)]
        opened.submit(0, frames[:batch])
        (answer,) = opened.wait()
    kind, score = (np.concatenate(maps) for maps in zip(*alone, strict=True))
    agreement = golden.compare(golden.Golden(frames[:batch], kind, score), answer.kind, answer.score, steps)  # type: ignore[arg-type]
    assert agreement.mask_agreement >= LEAST_AGREEMENT


@pytest.mark.parametrize("preset", ["fast", "balanced", "paper"])
def test_speed_at_every_batch_size(backend_here: str, preset: str, frames: Pixels, engines: Path) -> None:
    """The table of docs/gpu.md: whole frames, fp16, alone on the GPU; bigger batches are never slower a frame."""
    for batch in BATCHES:
        try:
            folder = write_preset_engine(
                engines / f"{preset}-{backend_here}-{batch}",
                backend_here,
                preset,
                SIZE,
                GpuOptions(max_batch=batch),
            )
            with open_backend(folder) as opened:
                speeds = batch_speeds(opened, frames, SECONDS)
                print("\n" + as_table(f"{preset} {opened.device()}", speeds))
                batches = [asdict(speed) for speed in speeds]
                record(f"speed by batch, {preset} {backend_here} fp16", device=opened.device(), batches=batches)
            break
        except DeviceError as error:
            print(f"{preset}, batches of {batch}: {error}")
    else:
        pytest.fail(f"{preset} does not even run in batches of {BATCHES[-1]}")
    assert speeds[-1].frames_per_second > 0.9 * speeds[0].frames_per_second
