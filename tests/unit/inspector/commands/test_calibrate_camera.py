"""A camera's calibration: measured by the real command on pictures in files, read back, and applied."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.cli import main
from inspector.config.camera_calibration import load_calibration
from inspector.core.strip.lens import find_corners
from inspector.core.strip.optics import Lens, Optics, gain_of
from inspector.errors import ConfigError
from inspector.ingest.corrected import corrected
from inspector.sources.simulator import StripSettings, strip
from inspector.values import Capture, Code, Pixels
from tests.support.lines import LineUnderTest

HEIGHT, WIDTH = 64, 256
FALL = (0.55 + 0.45 * np.cos(np.linspace(-1.2, 1.2, WIDTH))).astype(np.float32)
"""How much light the lens lets through, by column."""

BOARD = (7, 5)
BIG = (480, 640)
LENS = Lens((700.0, 700.0), (322.0, 238.0), (-0.28, 0.06, 0.0, 0.0, 0.0))


@pytest.fixture
def line(tmp_path: Path) -> LineUnderTest:
    return LineUnderTest(tmp_path, (HEIGHT, WIDTH))


def calibrate(line: LineUnderTest, *arguments: object) -> int:
    return main(["calibrate", *map(str, arguments), "--config", str(line.config)])


@pytest.fixture(scope="module")
def steel() -> list[Pixels]:
    """Simulated strip of many coils, darkened towards its sides by a lens."""
    frames = strip(StripSettings(5, height=HEIGHT, width=WIDTH, coil_frames=2, defective_share=0.0))
    found = [each.pixels for each in islice(frames, 80) if each.pixels.mean(axis=0).min() > 30]
    return [np.clip(each * FALL, 0, 255).astype(np.uint8) for each in found]


def written(folder: Path, pictures: list[Pixels]) -> Path:
    folder.mkdir()
    for index, pixels in enumerate(pictures):
        assert cv2.imwrite(str(folder / f"{index:03d}.png"), pixels)
    return folder


def test_a_flat_field_takes_the_lens_out_of_the_brightness(
    line: LineUnderTest, steel: list[Pixels], capsys: pytest.CaptureFixture[str]
) -> None:
    """Afterwards the sides are as bright as the middle, and the file records its origin."""
    folder = written(line.folder / "plain", steel)
    assert calibrate(line, folder, "--camera", "top", "--flat-field") == 0
    file = line.folder / "calibration-top.json"
    told = capsys.readouterr().out
    assert f"{file}: gain of {WIDTH} columns from {len(steel)} pictures" in told
    assert "[strip.cameras.top]" in told
    optics = load_calibration(file, "top").optics()
    before, after = (
        np.mean([each.mean(axis=0) for each in pictures], axis=0)
        for pictures in (steel, [optics.correct(each) for each in steel])
    )
    assert before[:8].mean() < 0.8 * before[124:132].mean()
    assert after[:8].mean() == pytest.approx(after[124:132].mean(), rel=0.05)
    assert after.mean() == pytest.approx(before.mean(), rel=0.02)


def board_views(count: int) -> list[Pixels]:
    """Pictures of a chessboard through LENS, each from another side."""
    square = 60
    columns, rows = BOARD[0] + 1, BOARD[1] + 1
    flat = np.kron(np.indices((rows, columns)).sum(0) % 2, np.ones((square, square))).astype(np.uint8) * 200 + 20
    flat = np.pad(flat, square, constant_values=220)
    rays = (
        np.stack(np.meshgrid(np.arange(BIG[1]), np.arange(BIG[0])), axis=-1).reshape(-1, 1, 2).astype(np.float64)
    )
    ideal = cv2.undistortPoints(rays, LENS.matrix, np.array(LENS.distortion)).reshape(-1, 2)
    random, pictures = np.random.default_rng(2), []
    for _ in range(count):
        turn = cv2.Rodrigues(random.uniform(-0.45, 0.45, 3) * (1, 1, 0.3))[0]
        centre = np.array([flat.shape[1] / 2, flat.shape[0] / 2])
        # The plane z = 0 of the board, turned, 800 px away.
        basis = np.column_stack([turn[:, 0], turn[:, 1], np.array([random.uniform(-40, 40), 0, 800.0])])
        at = (np.linalg.inv(basis) @ np.column_stack([ideal, np.ones(len(ideal))]).T).T
        at = (at[:, :2] / at[:, 2:] + centre).astype(np.float32).reshape(*BIG, 2)
        view = cv2.remap(flat, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderValue=128)
        pictures.append(np.asarray(cv2.GaussianBlur(view, (0, 0), 0.8), np.uint8))
    return pictures


def bend_px(pixels: Pixels) -> float:
    """Return the largest distance of the board's corners from straight rows and columns."""
    corners = find_corners(pixels, BOARD)
    assert corners is not None
    grid = corners.reshape(BOARD[1], BOARD[0], 2)
    worst = 0.0
    for row in (*grid, *grid.transpose(1, 0, 2)):
        ends = row[-1] - row[0]
        away = row - row[0]
        off = (away[:, 0] * ends[1] - away[:, 1] * ends[0]) / np.hypot(*ends)
        worst = max(worst, float(np.abs(off).max()))
    return worst


def test_a_board_takes_the_distortion_out_of_the_picture(
    line: LineUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows that bend by pixels are straight to half a pixel; the gain that the file had stays."""
    views = board_views(12)
    folder = written(line.folder / "board", views)
    assert calibrate(line, folder, "--camera", "top", "--board", "7x5") == 0
    assert "lens from 12 of 12 pictures" in capsys.readouterr().out
    made = load_calibration(line.folder / "calibration-top.json", "top")
    assert made.lens is not None
    assert made.lens.distortion[0] == pytest.approx(LENS.distortion[0], abs=0.05)
    optics = made.optics()
    assert min(bend_px(each) for each in views) > 1.0
    assert max(bend_px(optics.correct(each)) for each in views) < 0.5
    plain = written(line.folder / "plain", [np.full(BIG, 100, np.uint8)] * 16)
    assert calibrate(line, plain, "--camera", "top", "--flat-field") == 0
    both = load_calibration(line.folder / "calibration-top.json", "top")
    assert both.lens == made.lens
    assert both.gain is not None
    assert len(both.made_from) == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--camera", "left", "--flat-field"], "no camera left; there is top"),
        (["--camera", "top"], "give --flat-field or --board"),
        (["--camera", "top", "--flat-field", "--board", "9x6"], "one at a time"),
        (["--flat-field"], "which camera?"),
        (["--camera", "top", "--flat-field", "--frames", "5"], "5 pictures of plain strip: at least 16"),
        (["--camera", "top", "--board", "9x6"], "0 pictures show the whole board: a lens needs at least 6"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    line: LineUnderTest, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    """One line, and no file is written."""
    folder = written(line.folder / "plain", [np.full((HEIGHT, WIDTH), 100, np.uint8)] * 20)
    assert calibrate(line, folder, *arguments) == 2
    told = capsys.readouterr().err
    assert why in told
    assert len(told.splitlines()) == 1
    assert not (line.folder / "calibration-top.json").exists()


def test_pictures_of_several_sizes_and_black_ones_teach_nothing(
    line: LineUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pictures of several sizes, and black pictures, are refused."""
    mixed = [np.full((HEIGHT, WIDTH), 100, np.uint8)] * 20 + [np.full((HEIGHT, 99), 100, np.uint8)]
    assert calibrate(line, written(line.folder / "mixed", mixed), "--camera", "top", "--flat-field") == 2
    assert "pictures of several sizes" in capsys.readouterr().err
    black = written(line.folder / "black", [np.zeros((HEIGHT, WIDTH), np.uint8)] * 20)
    assert calibrate(line, black, "--camera", "top", "--flat-field") == 2
    assert "the pictures are black" in capsys.readouterr().err


GOOD: dict[str, Any] = {
    "format": "strip-inspector camera calibration 1", "camera": "top", "height": 4, "width": 3,
    "gain": [1, 1.5, 1],
}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no such calibration"),
        (b"", "not a calibration of a camera"),
        (b"\x89PNG\r\n\xff", "not a calibration of a camera"),
        (json.dumps(GOOD).encode()[:-4], "not a calibration of a camera"),
        ({"format": "something else"}, "not a calibration of a camera"),
        ({"gain": [1, 2]}, "gain: has 2 columns, the pictures have 3"),
        ({"gain": [1, -1, 1]}, "not a calibration of a camera"),
        ({"gain": [1, 1e9, 1]}, "not a calibration of a camera"),
        ({"camera": "bottom"}, "is the calibration of camera bottom, not of top"),
        ({"lens": [[0, 0], [1, 1], [0, 0, 0, 0, 0]]}, "lens: cannot be one"),
        ({"lens": [[1, 1], [1, 1], [0, 0]]}, "not a calibration of a camera"),
        ({"width": 0}, "not a calibration of a camera"),
        ({"more": 1}, "not a calibration of a camera"),
    ],
)
def test_a_corrupt_or_foreign_file_is_one_line(tmp_path: Path, content: Any, why: str) -> None:
    """At the start, before the first frame."""
    file = tmp_path / "calibration.json"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(GOOD | content).encode())
    with pytest.raises(ConfigError) as refused:
        load_calibration(file, "top")
    assert why in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_frame_of_another_size_is_a_fault_and_the_others_go_on() -> None:
    """For example after the camera was set to another region."""
    optics = Optics(4, 3, np.array([1.0, 1.5, 2.0], np.float32), None)
    right, wrong = np.full((4, 3), 100, np.uint8), np.full((4, 5), 100, np.uint8)
    first, second, third = corrected(iter([Capture(right), None, Capture(wrong, coil="C")]), optics)
    assert first is not None
    assert first.pixels is not None
    assert first.pixels[0].tolist() == [100, 150, 200]
    assert right[0, 2] == 100, "the source's own picture is not changed"
    assert second is None
    assert third is not None
    assert third.fault is not None
    assert third.fault.code is Code.WRONG_SIZE
    assert third.coil == "C"


@pytest.mark.parametrize("share", [0.1, 0.3, 0.45, 0.55, 0.8, 1.0])
def test_a_flat_field_of_a_narrow_strip_leaves_its_brightness(share: float) -> None:
    """However little of the view is steel, the background does not count."""
    grey = np.full((5, 200), 4.0)
    grey[:, : round(200 * share)] = 108.0
    assert gain_of(grey) == pytest.approx(np.ones(200))


def test_dead_columns_and_columns_beside_the_strip_get_their_neighbours_gain() -> None:
    """Their own gain would be noise."""
    grey = np.full((5, 20), 100.0)
    grey[:, :4] = 2.0
    grey[:, 10] = 0.0
    grey[2] = 250.0
    assert gain_of(grey) == pytest.approx(np.ones(20))
