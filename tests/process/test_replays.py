"""Replays of folders, recordings and videos of steel: the same frames give the same verdicts, faults included."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.support.lines import LineUnderTest, Run
from tests.support.steel import steel_folder

SIZE = (256, 1600)
FRAMES = 12


@pytest.fixture
def line(tmp_path: Path) -> LineUnderTest:
    return LineUnderTest(tmp_path, SIZE, defect_grey=170)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return steel_folder(tmp_path / "images", FRAMES)


def record(line: LineUnderTest, source: Path) -> Path:
    out = line.folder / "recording"
    process = line.start("record", source, "--config", line.config, "--out", out)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    return out


def write_video(path: Path, source: Path) -> Path:
    from inspector.images import read_mono

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "gray"
        for image in sorted(source.iterdir()):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(read_mono(image), format="gray")))
        container.mux(stream.encode(None))
    return path


def essence(run: Run) -> list[dict[str, Any]]:
    """What two replays have in common: everything but times."""
    return [
        {key: value for key, value in verdict.items() if key not in ("captured_ns", "stage_ms", "file")}
        for verdict in run.verdicts
    ]


def test_folder_recording_and_video_of_the_same_frames_agree(
    line: LineUnderTest, images: Path, tmp_path: Path
) -> None:
    """Verdicts do not depend on the kind of source, except for times."""
    folder = line.replay(images, out=tmp_path / "a")
    recording = record(line, images)
    recorded = line.replay(recording, out=tmp_path / "b")
    again = line.replay(recording, "--golden", recorded.out, out=tmp_path / "c")
    video = line.replay(write_video(tmp_path / "strip.mkv", images), out=tmp_path / "d")
    assert [folder.code, recorded.code, again.code, video.code] == [0, 0, 0, 0]
    assert [verdict["file"] for verdict in folder.verdicts] == [path.name for path in sorted(images.iterdir())]
    assert essence(folder) == essence(recorded) == essence(again) == essence(video)
    assert [v["captured_ns"] for v in recorded.verdicts] == [v["captured_ns"] for v in again.verdicts]
    assert "reject" in folder.decisions, "steel with bright spots at this threshold"


def test_a_torn_sidecar_costs_only_what_came_after_the_tear(
    line: LineUnderTest, images: Path, tmp_path: Path
) -> None:
    """Frames before the tear are inspected; each later frame is uninspected."""
    recording = record(line, images)
    sidecar = recording / "frames.jsonl"
    lines = sidecar.read_bytes().splitlines(keepends=True)
    sidecar.write_bytes(b"".join(lines[:7]) + lines[7][:20])
    run = line.replay(recording)
    assert run.code == 0
    assert run.summary["captured"] == FRAMES
    assert run.decisions[7:] == ["uninspected"] * (FRAMES - 7)
    assert "uninspected" not in run.decisions[:7]
    assert "torn" in run.verdicts[8]["reasons"][0]


def test_a_frame_missing_from_a_recording_is_uninspected(line: LineUnderTest, images: Path) -> None:
    """The sidecar lists it, the video lacks it: the frame keeps its id and place."""
    recording = record(line, images)
    whole, cut = recording / "frames.mkv", recording / "cut.mkv"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None and index != 4:
                packet.stream = stream
                target.mux(packet)
    cut.replace(whole)
    run = line.replay(recording)
    assert run.code == 0
    assert [i for i, decision in enumerate(run.decisions) if decision == "uninspected"] == [4]
    assert "missing" in run.verdicts[4]["reasons"][0]


def test_a_video_that_breaks_off_is_inspected_up_to_there(
    line: LineUnderTest, images: Path, tmp_path: Path
) -> None:
    """The frames before the break have their verdicts, and the break is on record."""
    video = write_video(tmp_path / "strip.mkv", images)
    raw = video.read_bytes()
    video.write_bytes(raw[: len(raw) // 2])
    run = line.replay(video)
    assert run.code == 0
    inspected = [decision for decision in run.decisions if decision != "uninspected"]
    assert 3 <= len(inspected) < FRAMES
    assert run.decisions[-1] == "uninspected"
    assert "breaks off" in run.verdicts[-1]["reasons"][0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def bright_frames(folder: Path, count: int) -> Path:
    """Every frame is a reject whose crop does not compress."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        image = rng.integers(0, 160, SIZE, dtype=np.uint8)
        image[20:220, 100:1500] = rng.integers(180, 255, (200, 1400), dtype=np.uint8)
        assert cv2.imwrite(str(folder / f"{index:03d}.png"), image)
    return folder


def test_a_disk_that_fills_with_pictures_costs_pictures_not_verdicts(
    line: LineUnderTest, small_disk: Path, tmp_path: Path
) -> None:
    """Verdicts continue; lost pictures are counted and reported."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "rejects").symlink_to(small_disk)
    run = line.replay(bright_frames(tmp_path / "bright", 8), out=out)
    assert run.code == 0
    assert run.decisions == ["reject"] * 8
    assert run.summary["pictures_lost"] > 0
    assert "pictures lost" in run.stdout
    assert run.logged("picture"), "said in the log, too"


def test_a_full_disk_under_the_verdict_log_is_said(line: LineUnderTest, small_disk: Path, images: Path) -> None:
    """If verdicts cannot be written: exit 1, the number of lost ones, and no partial line."""
    out = small_disk / "run"
    out.mkdir()
    with (small_disk / "filler").open("wb") as filler:
        for _ in range(10_000):
            try:
                os.write(filler.fileno(), bytes(4096))
            except OSError:
                break
    run = line.replay(images, out=out)
    assert run.code == 1
    assert "No space left" in run.stderr
    for text in (out / "verdicts.jsonl").read_text().splitlines() if (out / "verdicts.jsonl").exists() else []:
        json.loads(text)
