"""Small engines made in a second, without training: they find bright blocks.

OpenVINO and ONNX Runtime are imported where they are used: a GPU machine of the tests has neither.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inspector.backends import open_backend
from inspector.engine import golden
from inspector.engine.manifest import (
    MANIFEST_NAME,
    EngineFolder,
    Manifest,
    file_sha256,
    open_folder,
    write_manifest,
)
from trainer.build.request import BuildRequest, Built, GpuOptions
from trainer.build.tensorrt import build_tensorrt
from trainer.build.torch import build_torch

OPENVINO_SIZE = (64, 128)
STRIDE = 2

_BUILDERS = {"tensorrt": build_tensorrt, "torch": build_torch}


def write_openvino_engine(
    path: Path, size: tuple[int, int] = OPENVINO_SIZE, classes: tuple[str, ...] = ("normal", "bright", "dark")
) -> EngineFolder:
    """uint8 frames in, kind and score out: score rises from grey level 200 on, kind is always 1."""
    import openvino as ov
    from openvino import opset13 as op

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


def write_bright_onnx(path: Path, size: tuple[int, int] = OPENVINO_SIZE) -> None:
    """The same network as ONNX: uint8 frames in, kind and score out, any batch."""
    height, width = size
    constants = {
        "channel": np.array([1], np.int64),
        "level": np.float32(200),
        "gain": np.float32(255 / 55),
        "zero": np.float32(0),
        "most": np.float32(255),
        "one": np.float32(1),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["frames", "channel"], ["image"]),
        helper.make_node("Cast", ["image"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["grey"], ["pooled"], kernel_shape=[STRIDE] * 2, strides=[STRIDE] * 2),
        helper.make_node("Squeeze", ["pooled", "channel"], ["small"]),
        helper.make_node("Sub", ["small", "level"], ["above"]),
        helper.make_node("Mul", ["above", "gain"], ["raised"]),
        helper.make_node("Clip", ["raised", "zero", "most"], ["clipped"]),
        helper.make_node("Round", ["clipped"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["score"], to=TensorProto.UINT8),
        helper.make_node("Mul", ["small", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "one"], ["ones"]),
        helper.make_node("Cast", ["ones"], ["kind"], to=TensorProto.UINT8),
    ]
    maps = ["N", height // STRIDE, width // STRIDE]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", height, width])],
        [helper.make_tensor_value_info(name, TensorProto.UINT8, maps) for name in ("kind", "score")],  # type: ignore[arg-type]
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def write_gpu_engine(
    path: Path, backend: str, size: tuple[int, int] = OPENVINO_SIZE, max_batch: int = 4, **options: bool | str
) -> EngineFolder:
    """A `tensorrt` or `torch` engine of that network, by the builder that ships; torch's runs on the CPU."""
    import onnxruntime

    path.mkdir(parents=True)
    onnx_path = path.parent / f"{path.name}.onnx"
    write_bright_onnx(onnx_path, size)
    gpu = GpuOptions(max_batch=max_batch, **({"device": "cpu"} | options))  # type: ignore[arg-type]
    request = BuildRequest(onnx_path, *size, folder=path, beside=path.parent, precision="fp32", gpu=gpu)
    built = _BUILDERS[backend](request)
    image = np.random.default_rng(0).integers(0, 200, (2, *size), dtype=np.uint8)
    image[:, size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = 255
    session = onnxruntime.InferenceSession(onnx_path, providers=["CPUExecutionProvider"])
    kind, score = session.run(["kind", "score"], {"frames": image})
    golden.save(path / "golden.npz", golden.Golden(image, kind, score))
    return _written(request, built, backend, STRIDE, "bright-blocks", ("normal", "bright", "dark"))


def write_preset_engine(
    path: Path, backend: str, preset: str, size: tuple[int, int], gpu: GpuOptions, precision: str = "fp16"
) -> EngineFolder:
    """A network of the trainer's with weights nobody trained, for figures of speed: they do not change it.

    Its golden maps are its own, from its first run: it must only repeat itself.
    """
    import torch

    from trainer.export.onnx_file import write_onnx
    from trainer.models import PRESETS, build_model
    from trainer.models.contract import InspectionNet, fold_batch_norms

    path.mkdir(parents=True)
    torch.manual_seed(0)
    classes = ("normal", "pits", "cracks", "scratches", "patches")
    net = build_model(PRESETS[preset], len(classes)).eval()
    onnx_path = path.parent / f"{path.name}.onnx"
    inspection = InspectionNet(fold_batch_norms(net), *size, net.map_stride).eval()
    write_onnx(inspection, *size, onnx_path, half_weights=False)
    request = BuildRequest(onnx_path, *size, folder=path, beside=path.parent, precision=precision, gpu=gpu)
    built = _BUILDERS[backend](request)
    frames = np.random.default_rng(0).integers(90, 140, (2, *size), dtype=np.uint8)
    with open_backend(_written(request, built, backend, net.map_stride, preset, classes)) as opened:
        kind, score = opened.infer(frames)
    golden.save(path / "golden.npz", golden.Golden(frames, kind, score))
    return _written(request, built, backend, net.map_stride, preset, classes)


def _written(
    request: BuildRequest, built: Built, backend: str, stride: int, name: str, classes: tuple[str, ...]
) -> EngineFolder:
    """The folder with a manifest of what is in it."""
    path = request.folder
    files = [each for each in sorted(path.iterdir()) if each.name != MANIFEST_NAME]
    manifest = Manifest(
        name=name,
        backend=backend,
        classes=classes,
        height=request.height,
        width=request.width,
        max_batch=built.max_batch,
        precision=request.precision,
        map_stride=stride,
        files={each.name: file_sha256(each) for each in files},
        thresholds=dict.fromkeys(classes[1:], 0.5),
        versions=built.versions,
        options=built.options,
    )
    write_manifest(path, manifest)
    return open_folder(path)
