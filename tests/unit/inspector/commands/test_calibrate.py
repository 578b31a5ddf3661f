"""`inspector calibrate` prints limits that a recipe takes."""

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.cli import main
from inspector.config.recipe import load_recipe
from inspector.sources.simulator import StripSettings, strip
from inspector.values import Code
from tests.support.lines import LineUnderTest


@pytest.fixture
def line(tmp_path: Path) -> LineUnderTest:
    return LineUnderTest(tmp_path)


def steel_in(folder: Path, count: int) -> Path:
    folder.mkdir()
    frames = strip(StripSettings(seed=5, height=64, width=128, coil_frames=200))
    for index, frame in enumerate(islice(frames, count)):
        assert cv2.imwrite(str(folder / f"{index:03d}.png"), frame.pixels)
    return folder


def test_what_it_prints_goes_into_the_recipe(line: LineUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    """The table holds from the first frame of the next run, and black pictures do not widen it."""
    folder = steel_in(line.folder / "sound", 20)
    assert cv2.imwrite(str(folder / "010-black.png"), np.zeros(line.size, np.uint8))
    assert main(["calibrate", str(folder), "--config", str(line.config)]) == 0
    table = capsys.readouterr().out
    assert "Learned from 20 pictures of sound; 1 unfit, 0 unreadable" in table
    path = line.folder / "recipe.toml"
    path.write_text(path.read_text() + table)
    check = load_recipe(path).recipe.picture.start()
    assert check is not None
    picture = cv2.imread(str(folder / "005.png"), cv2.IMREAD_GRAYSCALE)
    assert check.check(picture) is None  # type: ignore[arg-type]
    fault = check.check(cv2.GaussianBlur(picture, (0, 0), 5))  # type: ignore[arg-type]
    assert fault is not None
    assert fault.code is Code.PICTURE_BLURRED


def test_too_few_pictures_teach_nothing(line: LineUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says how many were sound, and how many are needed."""
    folder = steel_in(line.folder / "few", 3)
    assert main(["calibrate", str(folder), "--config", str(line.config)]) == 2
    assert "few: 3 sound pictures, 0 unfit ones, 0 unreadable: limits need at least 16" in capsys.readouterr().err
