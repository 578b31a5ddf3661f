"""`trainer evaluate` on everything it takes."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
import torch

from inspector.backends.instant import write_engine
from tests.support.labelled import FRAMES, HEIGHT, WIDTH, write_label_maps, write_severstal
from trainer.artifacts.card import open_model
from trainer.artifacts.card_text import card_text
from trainer.cli import main
from trainer.evaluation.seen_frames import PRINTS

EVALUATION_SCHEMA = Path(__file__).resolve().parents[4] / "shared" / "contracts" / "evaluation.schema.json"
REQUIRED = {
    *("frames", "miou", "iou", "defect_iou", "dice", "kaggle_dice"),
    *("escape", "overkill", "thresholds", "all_normal"),
}
"""Of the schema, for a clone without it."""


def _evaluate(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["evaluate", *map(str, arguments), "--json"]) == 0
    figures: dict[str, Any] = json.loads(capsys.readouterr().out)
    return figures


def test_checkpoint_model_and_engine_are_measured_alike(
    run_folder: Path, model_folder: Path, engine_folder: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object each, as the schema says; model and engine agree, and all beat calling everything normal."""
    split = run_folder / "split.json"
    results = [
        _evaluate(capsys, what, "--data", data, "--split", split, "--part", "val")
        for what in (run_folder / "best.ckpt", model_folder, engine_folder)
    ]
    for figures in results:
        assert set(figures) >= REQUIRED
        if EVALUATION_SCHEMA.exists():
            jsonschema.validate(figures, json.loads(EVALUATION_SCHEMA.read_text()))
        assert figures["frames"] == 8
        assert figures["miou"] > figures["all_normal"]["miou"] + 0.2
        assert figures["all_normal"]["escape"] == 1.0
        assert figures["all_normal"]["overkill"] == 0.0
        low, high = figures["escape_interval"]
        assert low <= figures["escape"] <= high
        assert figures["frame_recall"]["pit"]["of"] == 4
        assert figures["defects"]["of"] == sum(row["of"] for row in figures["defects_by_size"]) == 6
        assert sum(map(sum, figures["confusion"]["pixels"])) == 8 * HEIGHT * WIDTH
        chosen = figures["operating_curve"]["common_shift"]["chosen"]
        assert (chosen["escape"], chosen["overkill"]) == (figures["escape"], figures["overkill"])
    assert results[1]["miou"] == pytest.approx(results[2]["miou"], abs=0.002)
    assert results[1]["thresholds"] == results[2]["thresholds"]
    assert results[0]["thresholds"] == {"pit": 0.5, "streak": 0.5}


def test_without_a_split_every_frame_counts(
    engine_folder: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The printed table has the same figures."""
    figures = _evaluate(capsys, engine_folder, "--data", data)
    assert figures["frames"] == 32
    assert main(["evaluate", str(engine_folder), "--data", str(data)]) == 0
    table = capsys.readouterr().out
    assert f"{figures['miou']:.4f}" in table
    assert "all normal" in table


def test_what_does_not_fit_is_one_line(
    engine_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other classes, an empty part, a path that is not a model."""
    five_classes = write_severstal(tmp_path / "s", old_spelling=False)
    split = tmp_path / "split.json"
    split.write_text('{"train": ["000"]}')
    for arguments, message in (
        ((engine_folder, "--data", five_classes), "knows 3 classes (normal, pit, streak) but"),
        ((engine_folder, "--data", data, "--split", split), "the part test is empty"),
        ((tmp_path, "--data", data), "neither a checkpoint nor a model folder"),
        ((engine_folder, "--data", data, "--part", "test"), "give the file with --split"),
        ((engine_folder, "--data", data, "--threads", "0"), "--threads must be at least 1"),
    ):
        assert main(["evaluate", *map(str, arguments)]) == 2
        *before, error = capsys.readouterr().err.strip().splitlines()
        assert message in error
        assert [line for line in before if "lists names only" not in line] == []
        assert len(before) == ("--split" in arguments)


def test_frames_of_another_size_are_refused(
    engine_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the engine's size and the options."""
    root = write_label_maps(tmp_path / "d", frames=1)
    for folder in ("images", "masks"):
        cv2.imwrite(str(root / folder / "000.png"), np.zeros((40, 40), np.uint8))
    assert main(["evaluate", str(engine_folder), "--data", str(root)]) == 2
    assert "frame is 40×40 px but" in capsys.readouterr().err


def test_frames_of_another_size_are_tiled_and_padded_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a line with [frames]; the figures are those of whole frames of any size."""
    engine = tmp_path / "engine"
    write_engine(engine, height=64, width=64, classes=("normal", "bright"), map_stride=2)
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for number, x in enumerate((0, 60, 100, 133)):
        frame, mask = np.full((41, 155), 90, np.uint8), np.zeros((41, 155), np.uint8)
        frame[8:24, x : x + 22], mask[8:24, x : x + 22] = 255, 1
        cv2.imwrite(str(root / "images" / f"{number}.png"), frame)
        cv2.imwrite(str(root / "masks" / f"{number}.png"), mask)
    figures = _evaluate(capsys, engine, "--data", root, "--fit", "tile")
    assert (figures["frames"], figures["escapes"]) == (4, 0)
    assert figures["iou"]["bright"] > 0.85, "only the maps' stride blurs the border"
    assert main(["evaluate", str(engine), "--data", str(root)]) == 2
    assert "frame is 41×155 px but" in capsys.readouterr().err


def test_frames_that_were_trained_on_are_told(
    run_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are counted by frame, or by the hash of the whole part if a checkpoint has no record of its frames."""
    split = run_folder / "split.json"
    content = torch.load(run_folder / "best.ckpt", weights_only=True)
    del content["hyper_parameters"]["facts"][PRINTS]
    bare = tmp_path / "bare.ckpt"
    torch.save(content, bare)
    for checkpoint, told_by in ((run_folder / "best.ckpt", "pixels"), (bare, "the part's hash")):
        _is_told(capsys, checkpoint, data, split, told_by)


def _is_told(capsys: pytest.CaptureFixture[str], checkpoint: Path, data: Path, split: Path, told_by: str) -> None:
    for part, others, count in (("train", "val", 24), ("val", "train", 8)):
        figures = _evaluate(capsys, checkpoint, "--data", data, "--split", split, "--part", part)
        assert (figures["seen_in_training"][part], figures["seen_in_training"][others]) == (count, 0)
        assert f"{count} of the {count} frames" in figures["warnings"][0]
    figures = _evaluate(capsys, checkpoint, "--data", data)
    assert figures["seen_in_training"] == {"train": 24, "val": 8, "told_by": told_by}
    assert main(["evaluate", str(checkpoint), "--data", str(data)]) == 0
    assert f"warning: 24 of the {FRAMES} frames were trained on" in capsys.readouterr().err


def test_frames_never_seen_raise_no_warning(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frames with the names of training frames but other pixels raise no warning."""
    root = write_label_maps(tmp_path / "d")
    for path in (root / "images").iterdir():
        frame = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), 255 - frame)  # type: ignore[operator,arg-type]
    figures = _evaluate(capsys, run_folder / "best.ckpt", "--data", root)
    assert not figures["seen_in_training"]["train"]
    assert figures["warnings"] == []


def test_a_record_of_pixels_finds_single_frames_under_any_name(
    run_folder: Path, model_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Renamed, relabelled, and among others; the model folder carries the record in its card."""
    model = Path(shutil.copytree(model_folder, tmp_path / "model"))
    split = json.loads((run_folder / "split.json").read_text())
    names = {"x": split["train"][0], "y": split["val"][0]}
    frames = {name: cv2.imread(str(data / "images" / of), cv2.IMREAD_GRAYSCALE) for name, of in names.items()}
    frames["z"] = 255 - frames["x"]  # type: ignore[operator,assignment]
    root = tmp_path / "d"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    (root / "classes.json").write_bytes((data / "classes.json").read_bytes())
    for name, frame in frames.items():
        cv2.imwrite(str(root / "images" / f"{name}.png"), frame)  # type: ignore[arg-type]
        cv2.imwrite(str(root / "masks" / f"{name}.png"), np.zeros_like(frame))
    figures = _evaluate(capsys, model, "--data", root)
    assert figures["seen_in_training"] == {"train": 1, "val": 1, "told_by": "pixels"}
    assert "1 of the 3 frames were trained on" in figures["warnings"][0]
    assert figures["escape_interval"] is None
    card = json.loads((model / "card.json").read_text())
    card["data"][PRINTS] = {"train": "not base64"}
    (model / "card.json").write_text(json.dumps(card))
    assert main(["evaluate", str(model), "--data", str(root)]) == 2
    assert "its record of frames seen in training is damaged" in capsys.readouterr().err


def test_a_card_claims_no_share_of_frames_that_are_not_there(model_folder: Path) -> None:
    """If every frame is defective, the card says that overkill was not measured, not 0 %."""
    content = open_model(model_folder).card.model_dump(mode="json")
    assert "| overkill | 0.00% (" in card_text(content)
    content["figures"] |= {"good_frames": 0, "overkill": 0.0, "overkill_interval": None}
    assert "| overkill | no such frame | no such frame |" in card_text(content)


def test_where_no_frame_is_good_overkill_is_not_claimed(
    engine_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the table nor the page states an overkill."""
    root = write_label_maps(tmp_path / "d")
    for path in sorted((root / "masks").iterdir()):
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert label is not None
        if not label.any():
            path.unlink()
            (root / "images" / path.name).unlink()
    page = tmp_path / "page.html"
    assert main(["evaluate", str(engine_folder), "--data", str(root), "--report", str(page)]) == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("overkill"))
    assert row.split()[1:3] == ["–", "–"]
    assert "no such frame" in row
    baseline = page.read_text().split('<table id="baseline">')[1].split("</table>")[0]
    assert baseline.count('<td class="n">–</td>') == 2
