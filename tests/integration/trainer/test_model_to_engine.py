"""From checkpoint to model folder to engine folder, and what happens when they do not agree."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from inspector.backends import open_backend
from inspector.engine import golden
from inspector.engine.manifest import file_sha256, open_folder
from tests.support.labelled import CLASSES, HEIGHT, WIDTH, make_labelled, write_label_maps
from trainer.artifacts.card import open_model
from trainer.cli import main


def test_the_model_keeps_the_engine_contract_for_any_batch(model_folder: Path) -> None:
    """uint8 frames in, uint8 kind and score out at the map stride, for one frame or three."""
    card = open_model(model_folder).card
    assert (card.classes, card.height, card.width, card.map_stride) == (CLASSES, HEIGHT, WIDTH, 2)
    session = onnxruntime.InferenceSession(model_folder / "model.onnx", providers=["CPUExecutionProvider"])
    frames = np.stack([make_labelled(index)[0] for index in (101, 102, 103)])
    kind, score = session.run(["kind", "score"], {"frames": frames})
    assert kind.shape == score.shape == (3, HEIGHT // 2, WIDTH // 2)
    assert kind.dtype == score.dtype == np.uint8
    for index in range(3):
        one_kind, one_score = session.run(["kind", "score"], {"frames": frames[index : index + 1]})
        assert (one_kind[0] == kind[index]).mean() > 0.999
        assert np.abs(one_score[0].astype(int) - score[index]).max() <= 1


def test_the_card_tells_where_the_model_is_from(model_folder: Path, run_folder: Path) -> None:
    """Data, recipe, figures beside the all-normal baseline, thresholds, weaknesses, versions, command."""
    card = open_model(model_folder).card
    assert card.data["train_frames"] == 24
    assert len(card.data["train_sha256"]) == 64
    assert card.training["settings"]["lr"] == 0.01
    assert card.figures["miou"] > card.figures["all_normal"]["miou"] + 0.2
    assert set(card.thresholds) == set(card.min_area_px) == {"pit", "streak"}
    assert card.parity["mask_agreement"] >= 0.999
    assert any("only 2 validation frames" in line for line in card.known_weaknesses)
    assert "torch" in card.versions


def test_the_onnx_file_tells_nothing_of_this_machine(model_folder: Path) -> None:
    """The exporter's stack traces, with their paths, are gone; norms are folded in, the arg-max is comparisons."""
    model = onnx.load(model_folder / "model.onnx")
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert b"site-packages" not in (model_folder / "model.onnx").read_bytes()
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"BatchNormalization", "ArgMax"}


def test_half_weights_halve_the_file_and_keep_the_answer(
    run_folder: Path, model_folder: Path, tmp_path: Path
) -> None:
    """fp16 weights with a Cast; parity is held to the same bar."""
    out = tmp_path / "half"
    assert main(["export", str(run_folder / "best.ckpt"), "--out", str(out), "--half-weights"]) == 0
    half, full = ((path / "model.onnx").stat().st_size for path in (out, model_folder))
    assert half < 0.75 * full  # this small net's file is a good part graph
    assert open_model(out).card.parity["mask_agreement"] >= 0.999


def test_an_export_for_a_smaller_frame_takes_that_frame(run_folder: Path, tmp_path: Path) -> None:
    """A line with a narrower camera window; maps at full size on request."""
    out = tmp_path / "small"
    options = ["--height", "50", "--width", "61", "--map-stride", "1"]
    assert main(["export", str(run_folder / "best.ckpt"), "--out", str(out), *options]) == 0
    expected = golden.load(out / "golden.npz")
    assert expected.frames.shape[1:] == expected.kind.shape[1:] == (50, 61)


def test_an_onnx_model_that_differs_from_torch_is_not_written(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights beyond fp16 cause it: exit 1, one line, no folder."""
    content = torch.load(run_folder / "best.ckpt", weights_only=True)
    content["state_dict"]["net.head.weight"] *= 1e7
    checkpoint = tmp_path / "large.ckpt"
    torch.save(content, checkpoint)
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "m"), "--half-weights"]) == 1
    error = capsys.readouterr().err
    assert "agrees with torch on only" in error
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_data_that_changed_since_the_training_is_refused(
    run_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Thresholds would be chosen on frames other than those that the card states."""
    changed = tmp_path / "changed"
    shutil.copytree(data, changed)
    for path in sorted((changed / "images").iterdir()):
        path.write_bytes((data / "images" / "000.png").read_bytes())
    arguments = ["export", str(run_folder / "best.ckpt"), "--out", str(tmp_path / "m"), "--data", str(changed)]
    assert main(arguments) == 2
    assert "changed since the training" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_file_that_is_no_checkpoint_is_said_to_be_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    """A file that is not a checkpoint, or is missing, is refused by name."""
    path = tmp_path / "x.ckpt"
    if content is not None:
        path.write_bytes(content)
    assert main(["export", str(path), "--out", str(tmp_path / "m")]) == 2
    assert "x.ckpt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": [8, 16, 16]}, "its weights do not fit its architecture"),
        ({"architecture": "transformer"}, "no architecture 'transformer': there is unet, lite-fpn, cnn"),
        ({"dropout": 0.5}, "architecture unet does not take these parameters"),
    ],
)
@pytest.mark.parametrize("command", ["export", "evaluate"])
def test_a_checkpoint_of_another_architecture_is_refused(
    run_folder: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    change: dict[str, Any],
    message: str,
) -> None:
    """One line naming the file, exit 2, nothing written."""
    content = torch.load(run_folder / "best.ckpt", weights_only=True)
    content["hyper_parameters"]["model"] |= change
    path = tmp_path / "x.ckpt"
    torch.save(content, path)
    options = ["--out", str(tmp_path / "m")] if command == "export" else ["--data", str(data)]
    assert main([command, str(path), *options]) == 2
    error = capsys.readouterr().err
    assert f"{path}: {message}" in error
    assert len(error.strip().splitlines()) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.ckpt"]


def test_the_engine_opens_on_the_line_and_reproduces_its_golden_frames(
    engine_folder: Path, model_folder: Path
) -> None:
    """Manifest, hashes, thresholds and figures are there; its maps are those of the model."""
    folder = open_folder(engine_folder)
    manifest, card = folder.manifest, open_model(model_folder).card
    assert manifest.thresholds == card.thresholds
    assert manifest.min_area_px == card.min_area_px
    assert manifest.onnx_sha256 == file_sha256(model_folder / "model.onnx")
    assert manifest.speed["frames_per_second"] > 0
    assert manifest.quality["engine_against_model"]["mask_agreement"] >= 0.999
    assert set(manifest.files) == {"model.xml", "model.bin", "golden.npz", "card.json", "card.md"}
    with open_backend(folder, threads=1) as engine:
        assert engine.verify_golden().mask_agreement == pytest.approx(1.0, abs=1e-4)


def test_an_engine_that_strays_from_the_model_leaves_no_folder(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model folder with another model's golden maps and matching hashes is refused."""
    model = tmp_path / "model"
    shutil.copytree(model_folder, model)
    good = golden.load(model / "golden.npz")
    golden.save(model / "golden.npz", golden.Golden(good.frames, good.kind, 255 - good.score))
    card = json.loads((model / "card.json").read_text())
    card["files"]["golden.npz"] = file_sha256(model / "golden.npz")
    (model / "card.json").write_text(json.dumps(card))
    assert main(["build-engine", str(model), "--out", str(tmp_path / "engine")]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_folder_with_a_changed_byte_is_not_built(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The card's hashes detect it."""
    model = tmp_path / "model"
    shutil.copytree(model_folder, model)
    content = bytearray((model / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (model / "model.onnx").write_bytes(content)
    assert main(["build-engine", str(model), "--out", str(tmp_path / "engine")]) == 2
    assert "content does not match card.json" in capsys.readouterr().err
    assert not (tmp_path / "engine").exists()


def test_an_onnx_file_that_openvino_cannot_read_is_one_line(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A truncated model with a card that agrees."""
    model = tmp_path / "model"
    shutil.copytree(model_folder, model)
    (model / "model.onnx").write_bytes((model / "model.onnx").read_bytes()[:500])
    card = json.loads((model / "card.json").read_text())
    card["files"]["model.onnx"] = file_sha256(model / "model.onnx")
    (model / "card.json").write_text(json.dumps(card))
    assert main(["build-engine", str(model), "--out", str(tmp_path / "engine")]) == 1
    error = capsys.readouterr().err
    assert "cannot read" in error
    assert len(error.strip().splitlines()) == 1


def test_nothing_is_overwritten(engine_folder: Path, model_folder: Path, run_folder: Path) -> None:
    """Export and build refuse a folder that is in use."""
    assert main(["build-engine", str(model_folder), "--out", str(engine_folder)]) == 2
    assert main(["export", str(run_folder / "best.ckpt"), "--out", str(engine_folder)]) == 2


def test_golden_frames_may_come_from_elsewhere(run_folder: Path, tmp_path: Path) -> None:
    """With `--golden` no frame of the data set is in the model folder."""
    dataset = write_label_maps(tmp_path / "shown", frames=60)
    for index in range(40):  # the first 32 are those of the run
        for name in ("images", "masks"):
            (dataset / name / f"{index:03}.png").unlink()
    out = tmp_path / "model"
    assert main(["export", str(run_folder / "best.ckpt"), "--out", str(out), "--golden", str(dataset)]) == 0
    shown = [make_labelled(index)[0].tobytes() for index in range(40, 60)]
    frames = golden.load(out / "golden.npz").frames
    assert len(frames) >= 3
    assert all(frame.tobytes() in shown for frame in frames)
    assert main(["build-engine", str(out), "--precision", "fp32", "--out", str(tmp_path / "engine")]) == 0


def test_golden_frames_of_another_size_are_refused(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit 2, no folder."""
    out = tmp_path / "model"
    small = write_label_maps(tmp_path / "small", frames=4)
    for path in (*(small / "images").iterdir(), *(small / "masks").iterdir()):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:64])
    assert main(["export", str(run_folder / "best.ckpt"), "--out", str(out), "--golden", str(small)]) == 2
    error = capsys.readouterr().err
    assert f"--golden {small}: its frames are 64×100 px but the model takes 72×100" in error
    assert len(error.strip().splitlines()) == 1
    assert not out.exists()


def test_golden_frames_may_be_labelled_with_other_kinds(run_folder: Path, tmp_path: Path) -> None:
    """Simulated strip for a model of two kinds: the labels only choose which frames are shown."""
    shown, out = tmp_path / "shown", tmp_path / "model"
    size = ("--height", str(HEIGHT), "--width", str(WIDTH))
    assert main(["simulate", "--out", str(shown), "--frames", "20", *size]) == 0
    assert main(["export", str(run_folder / "best.ckpt"), "--out", str(out), "--golden", str(shown)]) == 0
    assert len(golden.load(out / "golden.npz").frames) >= 3
