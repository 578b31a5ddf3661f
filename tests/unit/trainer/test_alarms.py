"""Models that are of no use are called so."""

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from trainer.cli import main
from trainer.evaluation.alarms import alarms

from .conftest import write_label_maps


def figures(**changes: Any) -> dict[str, Any]:
    """Of a fair model."""
    return {
        "overkill": 0.02,
        "escape": 0.05,
        "miou": 0.7,
        "defective_frames": 50,
        "all_normal": {"miou": 0.3},
        **changes,
    }


def test_a_fair_model_is_not_called_useless() -> None:
    """Nothing is said of it, nor of frames without a defect, where mIoU says nothing."""
    assert alarms(figures()) == []
    assert alarms(figures(miou=1.0, defective_frames=0, all_normal={"miou": 1.0})) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"overkill": 0.8}, "80% of the good frames are rejected"),
        ({"overkill": 1.0}, "100% of the good frames are rejected"),
        ({"escape": 0.95}, "95% of the defective frames are accepted"),
        ({"miou": 0.301}, "mIoU 0.301 is no better than calling every pixel normal (0.300)"),
        ({"miou": 0.05}, "mIoU 0.050 is no better than calling every pixel normal"),
    ],
)
def test_what_makes_a_model_useless_is_said(changes: dict[str, Any], said: str) -> None:
    """One sentence for each reason, with the figure."""
    (sentence,) = alarms(figures(**changes))
    assert sentence.startswith(said)


def test_the_page_says_an_overkill_in_red(
    engine_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An engine that rejects the good frames too has a red figure and one sentence; the command warns."""
    root = write_label_maps(tmp_path / "d")
    masks = sorted((root / "masks").iterdir())
    empty = next(mask for mask in masks if not _shows(mask))
    for mask in masks:  # nobody labelled anything: whatever is rejected is overkill
        mask.write_bytes(empty.read_bytes())
    page = tmp_path / "page.html"
    assert main(["evaluate", str(engine_folder), "--data", str(root), "--report", str(page), "--json"]) == 0
    told = capsys.readouterr()
    overkill = json.loads(told.out)["overkill"]
    assert overkill > 0.5
    sentence = f"{overkill:.0%} of the good frames are rejected"
    assert sentence in told.err
    text = page.read_text()
    assert text.count(sentence) == 1
    assert text.count('<section class="headline bad">') == 1
    assert "false rejects (overkill)" in text


def _shows(mask: Path) -> bool:
    label = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    assert label is not None
    return bool(label.any())
