"""Engines on a GPU, as `trainer build-engine` makes them: right to the pixel, and how fast."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from engines import write_preset_engine
from gpu_figures import as_table, batch_speeds

from inspector.backends import open_backend
from inspector.commands.bench import frames_in_memory
from inspector.config import SimulatorSettings
from inspector.engine import golden
from inspector.engine.manifest import EngineFolder
from inspector.errors import DeviceError
from inspector.rules import score_thresholds
from inspector.values import Pixels
from trainer.builders.request import GpuOptions

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("default"),
    pytest.mark.parametrize("backend_here", ["torch", "tensorrt"], indirect=True, scope="module"),
]

DEMO = Path(__file__).parents[2] / "configs" / "demo" / "model"
SIZE = (256, 1600)

FRAMES = 48
"""Simulated steel of both kinds, held against ONNX Runtime on the CPU."""

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
def expected(frames: Pixels) -> golden.Golden:
    """What the model itself says of them."""
    import onnxruntime

    session = onnxruntime.InferenceSession(DEMO / "model.onnx", providers=["CPUExecutionProvider"])
    maps = [session.run(["kind", "score"], {"frames": frames[at : at + 4]}) for at in range(0, len(frames), 4)]
    kind, score = (np.concatenate(each) for each in zip(*maps, strict=True))
    return golden.Golden(frames, kind, score)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_masks_agree_with_the_cpu(
    backend_here: str, precision: str, expected: golden.Golden, demo_engine: Callable[[str, str], EngineFolder]
):
    """Of every thousand pixels 999 are the same defect, or none, as the model says on the CPU."""
    folder = demo_engine(backend_here, precision)
    with open_backend(folder) as engine:
        engine.verify_golden()
        kind, score = engine.infer(expected.frames)
        print(f"{backend_here} {precision} on {engine.device()}: {engine.versions()}")
    steps = score_thresholds(folder.manifest.classes, folder.manifest.thresholds)
    agreement = golden.compare(expected, kind, score, steps)
    print(f"{backend_here} {precision} against ONNX Runtime on the CPU: {agreement}")
    assert agreement.mask_agreement >= LEAST_AGREEMENT


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_a_batch_is_what_its_frames_are_alone(
    backend_here: str, batch: int, frames: Pixels, demo_engine: Callable[[str, str], EngineFolder]
):
    """Padding to a captured size, and neighbours in the batch, change no pixel's defect."""
    engine = demo_engine(backend_here, "fp16")
    steps = score_thresholds(engine.manifest.classes, engine.manifest.thresholds)
    with open_backend(engine) as opened:
        alone = [opened.infer(frames[at : at + 1]) for at in range(batch)]
        opened.submit(0, frames[:batch])
        (answer,) = opened.wait()
    kind, score = (np.concatenate(maps) for maps in zip(*alone, strict=True))
    agreement = golden.compare(golden.Golden(frames[:batch], kind, score), answer.kind, answer.score, steps)
    assert agreement.mask_agreement >= LEAST_AGREEMENT


@pytest.mark.parametrize("preset", ["fast", "balanced", "paper"])
def test_speed_at_every_batch_size(backend_here: str, preset: str, frames: Pixels, engines: Path):
    """The table of the README: whole frames, fp16, alone on the GPU; bigger batches are never slower a frame."""
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
            break
        except DeviceError as error:
            print(f"{preset}, batches of {batch}: {error}")
    else:
        pytest.fail(f"{preset} does not even run in batches of {BATCHES[-1]}")
    assert speeds[-1].frames_per_second > 0.9 * speeds[0].frames_per_second
