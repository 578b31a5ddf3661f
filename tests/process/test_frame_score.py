"""The frame score on the real line: from the engine to the verdict log, with and without a threshold."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.backends.instant import write_engine
from tests.support.frames import make_frame
from tests.support.lines import LineUnderTest

SIZE = (64, 128)
SCORES = (255, 128, 127, 1, 0)
"""The last pixel's grey level, which the engine gives as the score of the frame; 0 is no number."""


@pytest.mark.parametrize(
    ("threshold", "decisions"),
    [
        ("frame_score = 0.5", ["reject", "reject", "accept", "accept", "uninspected"]),
        ("", ["reject", "reject", "reject", "reject", "uninspected"]),
    ],
)
def test_defects_reject_frames_whose_score_reaches_the_recipes(
    threshold: str, decisions: list[str], tmp_path: Path
) -> None:
    """Every frame has the same defect. Below the threshold it is recorded; the log has the score of each frame."""
    line = LineUnderTest(tmp_path, SIZE)
    shutil.rmtree(line.folder / "engine")
    write_engine(line.folder / "engine", height=SIZE[0], width=SIZE[1], max_batch=4, frame_threshold=0.3)
    recipe = line.folder / "recipe.toml"
    recipe.write_text(f"{threshold}\n{recipe.read_text()}")
    frames = tmp_path / "frames"
    frames.mkdir()
    for index, score in enumerate(SCORES):
        pixels = np.minimum(make_frame(index, *SIZE), 200)
        pixels[16:32, 16:48] = 255
        pixels[-1, -1] = score
        cv2.imwrite(str(frames / f"{index}.png"), pixels)
    run = line.replay(frames, out=tmp_path / "out")
    assert run.code == 0, run.stderr
    assert run.decisions == decisions
    assert [verdict.get("frame_score") for verdict in run.verdicts] == [1.0, 0.5, 0.4961, 0.0, None]
    assert [len(verdict["defects"]) for verdict in run.verdicts] == [1, 1, 1, 1, 0]
    assert run.verdicts[-1]["codes"] == ["engine_failed"]
    assert run.summary["uninspected"] == 1
