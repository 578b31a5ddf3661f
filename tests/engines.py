"""A small OpenVINO engine made in a second, without training: it finds bright blocks."""

from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as op

from inspector.engine import golden
from inspector.engine.manifest import EngineFolder, Manifest, file_sha256, open_folder, write_manifest

OPENVINO_SIZE = (64, 128)
STRIDE = 2


def write_openvino_engine(
    path: Path, size: tuple[int, int] = OPENVINO_SIZE, classes: tuple[str, ...] = ("normal", "bright", "dark")
) -> EngineFolder:
    """uint8 frames in, kind and score out: score rises from grey level 200 on, kind is always 1."""
    height, width = size
    frames = op.parameter([-1, height, width], np.uint8, name="frames")
    frames.output(0).get_tensor().set_names({"frames"})
    grey = op.unsqueeze(op.convert(frames, np.float32), np.int64(1))
    small = op.squeeze(op.avg_pool(grey, [STRIDE] * 2, [0, 0], [0, 0], [STRIDE] * 2, False), np.int64(1))
    raised = op.multiply(op.subtract(small, np.float32(200)), np.float32(255 / 55))
    score = op.convert(op.round(op.clamp(raised, 0.0, 255.0)), np.uint8)
    kind = op.convert(op.add(op.multiply(small, np.float32(0)), np.float32(1)), np.uint8)
    score.output(0).get_tensor().set_names({"score"})
    kind.output(0).get_tensor().set_names({"kind"})
    model = ov.Model([kind, score], [frames], "bright")
    path.mkdir(parents=True)
    ov.save_model(model, path / "model.xml", compress_to_fp16=False)
    image = np.random.default_rng(0).integers(0, 200, (2, height, width), dtype=np.uint8)
    image[:, height // 4 : height // 2, width // 4 : width // 2] = 255
    compiled = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    maps = compiled(image)
    golden.save(path / "golden.npz", golden.Golden(image, maps["kind"], maps["score"]))
    manifest = Manifest(
        name="bright-blocks",
        backend="openvino",
        classes=classes,
        height=height,
        width=width,
        precision="fp32",
        map_stride=STRIDE,
        files={name: file_sha256(path / name) for name in ("model.xml", "model.bin", "golden.npz")},
        thresholds=dict.fromkeys(classes[1:], 0.5),
    )
    write_manifest(path, manifest)
    return open_folder(path)
