"""`inspector reinspect`: an archive through another engine, here and on Ray, with breaks and kills."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from inspector.backends.instant import write_engine
from inspector.sources.recording.source import RecordingWriter
from inspector.values import Capture
from tests.support.lines import LineUnderTest

COILS, FRAMES = 2, 12

SIZE = (64, 128)

DIM, BRIGHT = 205, 250
"""Grey levels of defects: the old engine sees the bright ones only."""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> LineUnderTest:
    """Two coils in the archive, judged by the old engine into the records, and a new engine that sees more."""
    folder = tmp_path_factory.mktemp("plant")
    line = LineUnderTest(folder, SIZE, defect_grey=230)
    line.write_config('[records]\nenabled = true\n[sinks]\nout = "runs"\n')
    height, width = SIZE
    write_engine(folder / "new", height=height, width=width, max_batch=4, options={"defect_grey": 200})
    for coil in range(COILS):
        path = folder / "archive" / f"C-{coil}" / "top" / "000001"
        with RecordingWriter(path, camera="top", mm_per_px=0.5) as writer:
            for number in range(FRAMES):
                pixels = np.full(SIZE, 100, np.uint8)
                if number % 4 == 1:
                    pixels[20:30, 40:50] = BRIGHT
                if number % 4 == 3:
                    pixels[20:30, 40:50] = DIM
                at = coil * FRAMES + number
                writer.append(
                    Capture(pixels, None, captured_ns=10**18 + at * 10**7, position_mm=32.0 * at, coil=f"C-{coil}")
                )
    sources = sorted((folder / "archive").glob("*/top/*"))
    old = folder / "old"
    done = line.finish(line.start("replay", *sources, "--config", line.config, "--out", old, "--records"), old)
    assert done.code == 0, done.stderr
    return line


def reinspect(line: LineUnderTest, out: Path, *more: object, engine: str = "new") -> "subprocess.Popen[str]":
    command = ("reinspect", line.folder / "archive", "--engine", line.folder / engine, "--config", line.config)
    return line.start(*command, "--out", out, "--json", *more)


def told(process: "subprocess.Popen[str]") -> dict[str, Any]:
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return json.loads(stdout.splitlines()[-1])


def verdicts(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "stage_ms"} for line in lines]


def of_archive(out: Path) -> dict[str, list[dict[str, Any]]]:
    units = sorted(out.with_name(f"{out.name}.units").glob("archive*"))
    return {unit.name: verdicts(unit / "verdicts.jsonl") for unit in units}


def rows(out: Path) -> int:
    connection = sqlite3.connect(out)
    try:
        return connection.execute("SELECT COUNT(*) FROM verdicts").fetchone()[0]
    finally:
        connection.close()


@pytest.fixture(scope="module")
def replayed(plant: LineUnderTest) -> dict[str, list[dict[str, Any]]]:
    """What one `inspector replay` of each coil says with the new engine."""
    found = {}
    for coil in range(COILS):
        out = plant.folder / f"new-{coil}"
        source = plant.folder / "archive" / f"C-{coil}" / "top" / "000001"
        done = subprocess.run(
            [sys.executable, "-m", "inspector", "replay", source, "--config", plant.config, "--out", out],
            env=os.environ | {"INSPECTOR_ENGINE": str(plant.folder / "new")}, capture_output=True, check=True,
        )  # fmt: skip
        assert done.returncode == 0
        found[f"archive%2FC-{coil}%2Ftop"] = verdicts(out / "verdicts.jsonl")
    return found


def test_what_changes_is_shown_and_a_failed_unit_is_done_by_the_next_call(
    plant: LineUnderTest, replayed: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """A damaged recording costs its own unit, exit 1; the verdicts are those of a replay, and written once."""
    index = plant.folder / "archive" / "C-1" / "top" / "000001" / "recording.json"
    kept, out = index.read_bytes(), tmp_path / "new.sqlite"
    index.write_bytes(b"{")
    try:
        process = reinspect(plant, out)
        stdout, _ = process.communicate(timeout=300)
    finally:
        index.write_bytes(kept)
    broken = json.loads(stdout.splitlines()[-1])
    assert process.returncode == 1
    assert list(broken["failed"]) == ["archive/C-1/top"]
    assert broken["inspected"] == 1
    second = told(reinspect(plant, out))
    assert (second["units"], second["inspected"], second["failed"]) == (COILS, 1, {})
    assert second["flips"] == {"accept → reject": COILS * FRAMES // 4}
    assert second["changes"] == [
        {"coil": f"C-{coil}", "kind": "bright", "severity": 1, "before": 3, "after": 6} for coil in range(COILS)
    ]
    assert of_archive(out) == replayed
    assert rows(out) == COILS * FRAMES
    again = told(reinspect(plant, out))
    assert again == second | {"inspected": 0}
    assert rows(out) == COILS * FRAMES


def test_another_recipe_is_another_inspection_and_damage_is_said(plant: LineUnderTest, tmp_path: Path) -> None:
    """Also a unit whose work folder is gone; damaged pixels are named, and no change of the engine."""
    out, work = tmp_path / "new.sqlite", tmp_path / "new.sqlite.units"
    first = told(reinspect(plant, out))
    shutil.rmtree(work / "archive%2FC-0%2Ftop")
    video = plant.folder / "archive" / "C-1" / "top" / "000001" / "frames.mkv"
    recipe = plant.folder / "recipe.toml"
    whole, pixels = recipe.read_bytes(), video.read_bytes()
    assert told(reinspect(plant, out)) == first | {"inspected": 1}
    assert rows(out) == COILS * FRAMES
    recipe.write_bytes(whole + b"# another one\n")
    video.write_bytes(pixels[: len(pixels) * 2 // 3])
    try:
        after = told(reinspect(plant, out))
    finally:
        recipe.write_bytes(whole)
        video.write_bytes(pixels)
    assert after["inspected"] == COILS
    assert re.fullmatch(r"\d+ of its 12 frames cannot be read", after["damaged"]["archive/C-1/top"])
    lost = int(after["damaged"]["archive/C-1/top"].split()[0])
    assert after["compared"] == COILS * FRAMES - lost
    assert set(after["flips"]) == {"accept → reject"}
    assert rows(out) == 2 * COILS * FRAMES


def test_two_ray_workers_one_killed_in_the_middle(
    plant: LineUnderTest, replayed: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """The unit of a killed worker is inspected again: the result is that of one replay, verdict for verdict."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'strip-inspector[cluster]'")
    out = tmp_path / "new.sqlite"
    process = reinspect(plant, out, "--workers", 2)
    killed = _kill_one_worker(process)
    result = told(process)
    assert killed
    assert result["failed"] == {}
    assert of_archive(out) == replayed
    assert rows(out) == COILS * FRAMES
    assert not list(out.with_name("new.sqlite.units").glob(".unit-*/kept/done.json"))


def _kill_one_worker(process: "subprocess.Popen[str]") -> bool:
    """Kill a worker whose replay runs."""
    until = time.monotonic() + 200
    while time.monotonic() < until and process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                parent = child.parent()
                if child.cmdline()[2:4] == ["inspector", "replay"] and parent and parent.pid != process.pid:
                    parent.send_signal(signal.SIGKILL)
                    return True
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        time.sleep(0.1)
    return False
