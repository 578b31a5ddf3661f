"""Frames of another size than the engine's: tiled and padded where the config allows it, on the real line."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.values import Pixels
from tests.support.frames import make_frame
from tests.support.lines import LineUnderTest, Run

SIZE = (64, 128)
ANY_SIZE = "[frames]\ntile = true\npad = true\noverlap_px = 32"


def steel(seed: int, *spots: tuple[int, int, int, int]) -> Pixels:
    """A frame without defects, and bright spots x, y, width, height."""
    pixels = np.minimum(make_frame(seed, *SIZE), 200)
    for x, y, width, height in spots:
        pixels[y : y + height, x : x + width] = 255
    return pixels


PAIRS = [
    (steel(1), steel(2)),
    (steel(3, (40, 20, 12, 8)), steel(4)),
    (steel(5), steel(6, (40, 20, 12, 8), (80, 40, 8, 8))),
    (steel(7, (4, 4, 8, 8), (116, 40, 8, 12)), steel(8, (4, 4, 8, 8), (116, 40, 8, 12))),
]
"""Left and right frames; some defects lie near the edge at which the two are put together."""


def folder_of(folder: Path, frames: list[Pixels]) -> Path:
    folder.mkdir()
    for number, pixels in enumerate(frames):
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
    return folder


def defects(verdict: dict[str, Any]) -> list[tuple[Any, ...]]:
    return sorted(
        (defect["kind"], *defect["box"], defect["area_px"], round(defect["score"], 6))
        for defect in verdict["defects"]
    )


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> LineUnderTest:
    line = LineUnderTest(tmp_path_factory.mktemp("line"), SIZE)
    line.write_config(ANY_SIZE)
    return line


def replay(line: LineUnderTest, folder: Path, frames: list[Pixels], config: str = ANY_SIZE) -> Run:
    line.write_config(config)
    run = line.replay(folder_of(folder, frames), out=folder.with_name(f"{folder.name}-out"))
    assert run.code == 0, run.stderr
    return run


def test_two_frames_side_by_side_have_the_defects_of_each(line: LineUnderTest, tmp_path: Path) -> None:
    """Boxes, areas and scores are those of the single frames, in the wide frame's own pixels."""
    singly = replay(line, tmp_path / "singly", [frame for pair in PAIRS for frame in pair])
    wide = replay(line, tmp_path / "wide", [np.hstack(pair) for pair in PAIRS])
    assert [len(verdict["defects"]) for verdict in wide.verdicts] == [0, 1, 2, 4]
    for index, verdict in enumerate(wide.verdicts):
        left, right = singly.verdicts[2 * index : 2 * index + 2]
        moved = [(kind, x + SIZE[1], *rest) for kind, x, *rest in defects(right)]
        assert defects(verdict) == sorted([*defects(left), *moved])
        assert verdict["position_mm"] == index * SIZE[0] * 0.5
        for defect in verdict["defects"]:
            x, _, width, _ = defect["box"]
            assert defect["across_mm"] == pytest.approx((x + (width - 1) / 2) * 0.5, abs=0.5)


def test_a_defect_on_the_seam_of_two_tiles_is_one_defect(line: LineUnderTest, tmp_path: Path) -> None:
    """Its box and area do not change with the place of the tiles' edges."""
    spots = range(0, 300 - 24, 12)
    frames = []
    for x in spots:
        frame = np.full((SIZE[0], 300), 100, np.uint8)
        frame[20:32, x : x + 24] = 255
        frames.append(frame + np.random.default_rng(x).integers(0, 9, frame.shape, dtype=np.uint8) * (frame < 255))
    run = replay(line, tmp_path / "seams", frames, f"{ANY_SIZE}")
    for x, verdict in zip(spots, run.verdicts, strict=True):
        (defect,) = verdict["defects"]
        assert abs(defect["box"][0] - x) <= 3
        assert abs(defect["area_px"] - 24 * 12) <= 60
    inner = {tuple(d["box"][2:]) for v in run.verdicts[1:] for d in v["defects"]}
    assert len(inner) == 1, "the same defect everywhere"


def test_smaller_frames_are_padded(line: LineUnderTest, tmp_path: Path) -> None:
    """The defects are those of the same part of the whole frame; the padding shows none and hides none."""
    whole = [steel(1, (20, 12, 12, 8)), steel(2), steel(3, (60, 20, 8, 8), (8, 40, 10, 6))]
    singly = replay(line, tmp_path / "whole", whole)
    parts = replay(line, tmp_path / "parts", [frame[:50, :101] for frame in whole])
    assert [defects(each) for each in parts.verdicts] == [defects(each) for each in singly.verdicts]
    assert parts.verdicts[2]["position_mm"] == 2 * 50 * 0.5, "as long as the frames are"
    edge = replay(line, tmp_path / "edge", [steel(4, (95, 40, 20, 20))[:50, :101]])
    (defect,) = edge.verdicts[0]["defects"]
    x, y, width, height = defect["box"]
    assert (x + width, y + height) == (101, 50), "a defect at the edge ends where the frame ends"


def test_frames_of_several_sizes_come_in_order(line: LineUnderTest, tmp_path: Path) -> None:
    """Each has one verdict, and a position after the frame before."""
    sizes = [(64, 128), (64, 300), (200, 100), (40, 128), (16, 128), (64, 128)] * 5
    frames = [make_frame(seed, *size).clip(0, 200) for seed, size in enumerate(sizes)]
    run = replay(line, tmp_path / "mixed", frames)
    assert [verdict["frame_id"] for verdict in run.verdicts] == list(range(30))
    assert run.summary["uninspected_codes"] == {"wrong_size": 5}
    ends = np.cumsum([0, *(height * 0.5 for height, _ in sizes[:-1])])
    assert [verdict["position_mm"] for verdict in run.verdicts] == ends.tolist()


def test_without_leave_they_are_uninspected(line: LineUnderTest, tmp_path: Path) -> None:
    """`tile` does not allow padding, and `pad` does not allow tiles."""
    frames = [make_frame(1, 64, 300), make_frame(2, 40, 128), make_frame(3, *SIZE)]
    refused = {
        name: [v["decision"] == "uninspected" for v in replay(line, tmp_path / name, frames, config).verdicts]
        for name, config in {
            "none": "",
            "tile": "[frames]\ntile = true",
            "pad": "[frames]\npad = true",
        }.items()
    }
    assert refused == {
        "none": [True, True, False],
        "tile": [False, True, False],
        "pad": [True, False, False],
    }


def test_check_says_what_frames_of_another_size_cost(line: LineUnderTest, tmp_path: Path) -> None:
    """It also says if they would be uninspected, and which keys change that."""
    folder = folder_of(tmp_path / "frames", [make_frame(1, 64, 300), make_frame(2, *SIZE)])

    def found() -> tuple[str, str]:
        process = line.start("check", folder, "--config", line.config, "--json")
        stdout, _ = process.communicate(timeout=60)
        row = next(row for row in json.loads(stdout)["checks"] if row["what"] == "source")
        return row["state"], row["found"]

    line.write_config(ANY_SIZE)
    state, text = found()
    assert state == "ok"
    assert "1 of another size (1 of 64×300), at most 3 engine inputs a frame" in text
    line.write_config()
    state, text = found()
    assert state == "wrong"
    assert "[frames] tile and pad in the config would inspect them" in text
