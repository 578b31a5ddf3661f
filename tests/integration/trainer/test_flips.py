"""Mirrored and transposed views averaged inside the graph."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from inspector.backends import open_backend
from inspector.engine import golden
from inspector.engine.manifest import open_folder
from inspector.errors import InputError
from tests.support.labelled import HEIGHT, WIDTH, make_labelled
from trainer.artifacts.card import open_model
from trainer.build.gpu_onnx import write_gpu_onnx
from trainer.build.onnx_torch import OnnxModule
from trainer.cli import main
from trainer.export.onnx_file import write_onnx
from trainer.models import build_model
from trainer.models.contract import InspectionNet
from trainer.models.flips import VIEWS, check_flips
from trainer.models.unet import UNet


def test_every_view_is_another_and_lies_back_where_it_was() -> None:
    """Each view moves a mark in one corner to another place, and `back` restores it."""
    marked = torch.arange(12.0).reshape(1, 1, 3, 4)
    seen = [view.of(marked) for view in VIEWS]
    assert len({tuple(view.flatten().tolist()) for view in seen}) == len(VIEWS) == 8
    for view, what in zip(VIEWS, seen, strict=True):
        assert torch.equal(view.back(what), marked)


@pytest.mark.parametrize("flips", [4, 8])
@pytest.mark.parametrize("map_stride", [1, 2])
def test_the_maps_are_those_of_the_mean_probabilities(flips: int, map_stride: int) -> None:
    """The maps equal the mean over the network's answers to each view."""
    torch.manual_seed(1)
    net = UNet(4, (4, 8), 2).eval()
    frames = torch.randint(0, 256, (3, 48, 48), dtype=torch.uint8)
    with torch.inference_mode():
        kind, score = InspectionNet(net, 48, 48, map_stride, flips)(frames)
        mean = torch.zeros(3, 4, 48 // map_stride, 48 // map_stride)
        for transposed in (False, True)[: flips // 4]:
            for turn in ((), (3,), (2,), (2, 3)):
                grey = frames[:, None].float()
                seen = (grey.mT if transposed else grey).flip(turn)
                logits = net(seen)
                if map_stride == 1:
                    logits = torch.nn.functional.interpolate(logits, scale_factor=2, mode="bilinear")
                back = logits.softmax(dim=1).flip(turn)
                mean += (back.mT if transposed else back) / flips
    torch.testing.assert_close(score.float(), torch.round(255 * (1 - mean[:, 0])), atol=1.0, rtol=0)
    assert (kind == mean[:, 1:].argmax(dim=1) + 1).float().mean() > 0.999


@pytest.mark.parametrize("flips", [1, 4, 8])
def test_torch_takes_the_graph_of_every_choice_of_views(flips: int, tmp_path: Path) -> None:
    """Mirrored slices, transposed axes and the mean, as the exporter writes them, give the model's own maps."""
    torch.manual_seed(1)
    net = build_model({"architecture": "unet", "widths": [4, 8]}, 3).eval()
    path, gpu_path = tmp_path / "model.onnx", tmp_path / "gpu.onnx"
    write_onnx(InspectionNet(net, 32, 32, 1, flips).eval(), 32, 32, path, half_weights=False)
    write_gpu_onnx(path, gpu_path, "fp32")
    frames = np.random.default_rng(1).integers(0, 256, (3, 32, 32), np.uint8)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    expected_kind, expected_score = session.run(["kind", "score"], {"frames": frames})
    with torch.inference_mode():
        kind, score = OnnxModule(onnx.load(gpu_path))(torch.from_numpy(frames))
    assert (kind.numpy() == expected_kind).mean() > 0.999
    assert np.abs(score.numpy().astype(int) - expected_score).max() <= 1


def test_a_mirrored_frame_is_answered_with_mirrored_maps() -> None:
    """For any network, the mean over all mirrored views is symmetric."""
    torch.manual_seed(1)
    net = InspectionNet(build_model({"architecture": "unet", "widths": [4, 8]}, 3).eval(), 32, 48, 1, 4)
    frames = torch.randint(0, 256, (1, 32, 48), dtype=torch.uint8)
    with torch.inference_mode():
        plain, mirrored = net(frames)[1], net(frames.flip(2))[1]
    assert (plain.int() - mirrored.flip(2).int()).abs().max() <= 1


def test_eight_views_need_square_frames(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A transposed frame of another shape fits no batch: one line, exit 2, no folder."""
    check_flips(8, 200, 200)
    check_flips(4, 256, 1600)
    with pytest.raises(InputError, match=r"--flips 8 .* 256×1600 px: take 4"):
        check_flips(8, 256, 1600)
    out = tmp_path / "m"
    assert main(["export", str(run_folder / "best.ckpt"), "--out", str(out), "--flips", "8"]) == 2
    assert f"it needs square frames, not {HEIGHT}×{WIDTH} px" in capsys.readouterr().err
    assert not out.exists()


def test_a_model_with_flips_keeps_the_contract_and_becomes_an_engine(run_folder: Path, tmp_path: Path) -> None:
    """Parity with torch, any batch, the card says so, and OpenVINO and torch reproduce it."""
    out, engine = tmp_path / "model", tmp_path / "engine"
    assert main(["export", str(run_folder / "best.ckpt"), "--out", str(out), "--flips", "4"]) == 0
    card = open_model(out).card
    assert card.flips == 4
    assert card.parity["mask_agreement"] >= 0.999
    assert "the mean over 4 mirrored views" in (out / "card.md").read_text(encoding="utf-8")
    assert "ArgMax" not in {node.op_type for node in onnx.load(out / "model.onnx").graph.node}
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    frames = np.stack([make_labelled(index)[0] for index in (101, 102, 103)])
    _, score = session.run(["kind", "score"], {"frames": frames})
    _, mirrored = session.run(["kind", "score"], {"frames": frames[:1, :, ::-1].copy()})
    assert score.shape == (3, HEIGHT // 2, WIDTH // 2)
    assert np.abs(score[:1].astype(int) - mirrored[:, :, ::-1]).max() <= 1
    assert main(["build-engine", str(out), "--precision", "fp32", "--out", str(engine)]) == 0
    with open_backend(open_folder(engine), threads=1) as opened:
        assert opened.verify_golden().mask_agreement == pytest.approx(1.0, abs=1e-4)
    options = ("--backend", "torch", "--device", "cpu", "--precision", "fp32", "--max-batch", "2")
    assert main(["build-engine", str(out), *options, "--out", str(tmp_path / "torch")]) == 0
    with open_backend(open_folder(tmp_path / "torch"), threads=1) as opened:
        assert opened.verify_golden().mask_agreement == pytest.approx(1.0, abs=1e-4)
    assert golden.load(engine / "golden.npz").kind.shape[1:] == (HEIGHT // 2, WIDTH // 2)
