"""A frozen split is refused for other data, by `train` and by `evaluate`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from tests.support.labelled import write_coco
from trainer.cli import main


def _split(data: Path, out: Path, *options: str) -> dict[str, list[str]]:
    assert main(["split", str(data), "--out", str(out), *options]) == 0
    content = json.loads(out.read_text())
    return {part: content[part] for part in ("train", "val", "test")}


def _rename_class(root: Path) -> None:
    (root / "classes.json").write_text('["normal", "pit", "stripe"]')


def _touch_mask(root: Path) -> None:
    mask = cv2.imread(str(root / "masks" / "002.png"), cv2.IMREAD_UNCHANGED)
    mask[0, 0] = 1
    cv2.imwrite(str(root / "masks" / "002.png"), mask)  # type: ignore[arg-type]


def _add_frame(root: Path) -> None:
    for folder in ("images", "masks"):
        shutil.copy(root / folder / "002.png", root / folder / "zzz.png")


def _remove_frame(root: Path) -> None:
    for folder in ("images", "masks"):
        (root / folder / "002.png").unlink()


def _other_set(root: Path) -> None:
    shutil.rmtree(root)
    write_coco(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_touch_mask, "image or label of 002.png changed since it was made: restore the data, or make a new"),
        (lambda root: (root / "images" / "003.png").write_bytes(b"x"), "image or label of 003.png changed"),
        (_add_frame, "has 1 frames more than it (zzz.png)"),
        (_remove_frame, "frame '002.png' is not in"),
        (_rename_class, "was made for the classes normal, pit, streak but"),
        (_other_set, "another data set's?"),
    ],
)
def test_train_and_evaluate_refuse_a_split_of_other_data(
    data: Path,
    engine_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], object],
    message: str,
) -> None:
    """One line naming file and frame, exit 2, and no run."""
    root = Path(shutil.copytree(data, tmp_path / "d"))
    out = tmp_path / "s.json"
    _split(root, out)
    change(root)
    capsys.readouterr()
    for command in (
        ["train", "--data", str(root), "--split", str(out), "--out", str(tmp_path / "run"), "--device", "cpu"],
        ["evaluate", str(engine_folder), "--data", str(root), "--split", str(out)],
    ):
        assert main(command) == 2
        error = capsys.readouterr().err
        lines = [line for line in error.strip().splitlines() if "warning" not in line]
        assert len(lines) == 1
        assert str(out) in lines[0]
        assert message in lines[0]
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_the_engine_is_judged_on_the_test_part_of_the_frozen_split(
    data: Path, engine_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unchanged data passes the check."""
    out = tmp_path / "s.json"
    split = _split(data, out, "--test", "0.25")
    capsys.readouterr()
    assert main(["evaluate", str(engine_folder), "--data", str(data), "--split", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == len(split["test"])


def test_a_frozen_split_may_not_be_edited(
    data: Path, engine_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Moving one frame from test to train is detected."""
    out = tmp_path / "s.json"
    _split(data, out)
    content = json.loads(out.read_text())
    content["train"].append(content["test"].pop())
    out.write_text(json.dumps(content))
    capsys.readouterr()
    assert main(["evaluate", str(engine_folder), "--data", str(data), "--split", str(out)]) == 2
    assert "was edited after `trainer split` wrote it" in capsys.readouterr().err
