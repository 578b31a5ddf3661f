"""A replay that was killed or stopped goes on where it was: no frame twice, none missing, the same verdicts."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from inspector.sources.recording.source import RecordingWriter
from inspector.values import Capture
from tests.support.frames import make_frame
from tests.support.lines import PATIENCE_S, LineUnderTest, Run

SIZE = (64, 128)
COUNT = 200
SLOW_MS = 20.0
"""Time of an engine batch: long enough that the kill comes in the middle."""


def frame(number: int) -> np.ndarray:
    """A frame of steel: a scratch runs through 90 of every 100 frames, others have single spots."""
    pixels = np.minimum(make_frame(number, *SIZE), 200)
    if number % 100 < 90:
        pixels[:, 30:36] = 255
    if number % 7 == 0:
        pixels[20:30, 80:90] = 255
    return pixels


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(COUNT):
        cv2.imwrite(str(folder / f"frame_{number}.png"), frame(number))
    (folder / "frame_150.png").write_bytes(b"torn")
    return folder


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> LineUnderTest:
    return LineUnderTest(tmp_path_factory.mktemp("line"), SIZE, delay_ms=SLOW_MS)


@pytest.fixture(scope="module")
def unbroken(line: LineUnderTest, images: Path) -> list[dict[str, Any]]:
    return told(line.replay(images, out=line.folder / "unbroken").verdicts)


def told(verdicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What two replays have in common: everything but times."""
    return [{key: each[key] for key in each if key not in ("captured_ns", "stage_ms")} for each in verdicts]


def break_off(line: LineUnderTest, source: Path, out: Path, how: signal.Signals, after: int) -> None:
    """End a replay once `after` verdicts are in its log: SIGKILL hits every stage of it, as a power cut does."""
    process = line.start("replay", source, "--config", line.config, "--out", out)
    log = out / "verdicts.jsonl"
    until_s = time.monotonic() + PATIENCE_S
    while not log.exists() or log.read_bytes().count(b"\n") < after:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until_s
        time.sleep(0.01)
    stages = psutil.Process(process.pid).children(recursive=True) if how is signal.SIGKILL else []
    process.send_signal(how)
    for stage in stages:
        stage.kill()
    process.communicate(timeout=PATIENCE_S)
    psutil.wait_procs(stages, timeout=PATIENCE_S)
    assert log.read_bytes().count(b"\n") < COUNT, "it was over too soon"


def resume(line: LineUnderTest, out: Path, *arguments: object) -> Run:
    return line.finish(line.start("replay", "--resume", out, *arguments), out)


@pytest.mark.parametrize(("how", "after"), [(signal.SIGKILL, 3), (signal.SIGKILL, 105), (signal.SIGINT, 20)])
def test_a_replay_that_broke_off_ends_as_one_that_did_not(
    line: LineUnderTest,
    images: Path,
    unbroken: list[dict[str, Any]],
    tmp_path: Path,
    how: signal.Signals,
    after: int,
) -> None:
    """Positions, picture limits and defects that run through the break are the same; the summary counts all."""
    out = tmp_path / "out"
    break_off(line, images, out, how, after)
    kept = (out / "verdicts.jsonl").read_bytes().splitlines(keepends=True)[: after // 2]
    run = resume(line, out, "--golden", line.folder / "unbroken")
    assert run.code == 0, run.stdout + run.stderr
    assert told(run.verdicts) == unbroken
    assert (out / "verdicts.jsonl").read_bytes().startswith(b"".join(kept)), "verdicts of before stay as they are"
    assert run.summary["captured"] == COUNT
    assert run.summary["uninspected_codes"] == {"unreadable": 1}
    assert run.summary["config"] == json.loads((line.folder / "unbroken/summary.json").read_text())["config"]
    assert (out / "report.html").exists()


def test_a_torn_line_and_a_second_break(
    line: LineUnderTest, images: Path, unbroken: list[dict[str, Any]], tmp_path: Path
) -> None:
    """A partial last line is cut off; a resumed replay can be interrupted and resumed again."""
    out = tmp_path / "out"
    break_off(line, images, out, signal.SIGKILL, 60)
    log = out / "verdicts.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:60])[:-40])
    process = line.start("replay", "--resume", out)
    while log.read_bytes().count(b"\n") < 110:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE_S) == 128 + signal.SIGINT
    process.communicate()
    assert told(resume(line, out).verdicts) == unbroken


def test_files_that_were_added_come_last(
    line: LineUnderTest, images: Path, unbroken: list[dict[str, Any]], tmp_path: Path
) -> None:
    """New files come last, whatever their names; frames with verdicts keep their ids."""
    out, folder = tmp_path / "out", tmp_path / "images"
    folder.mkdir()
    for path in images.iterdir():
        (folder / path.name).symlink_to(path)
    break_off(line, folder, out, signal.SIGKILL, 100)
    cv2.imwrite(str(folder / "frame_0.5.png"), frame(1))
    done = (out / "verdicts.jsonl").read_bytes().count(b"\n")
    run = resume(line, out)
    files = [verdict["file"] for verdict in run.verdicts]
    assert files[:done] == [each["file"] for each in unbroken[:done]]
    assert sorted(files) == sorted([*(each["file"] for each in unbroken), "frame_0.5.png"])


def test_a_recording_goes_on_with_its_own_positions(line: LineUnderTest, tmp_path: Path) -> None:
    """Positions and times are the recording's."""
    recording, out = tmp_path / "recording", tmp_path / "out"
    with RecordingWriter(recording, "top") as writer:
        for number in range(COUNT):
            writer.append(Capture(frame(number), captured_ns=10**18 + number, position_mm=5000 + 32.0 * number))
    break_off(line, recording, out, signal.SIGKILL, 50)
    run = resume(line, out)
    assert [each["position_mm"] for each in run.verdicts] == [5000 + 32.0 * number for number in range(COUNT)]
    assert [each["captured_ns"] for each in run.verdicts] == [10**18 + number for number in range(COUNT)]


def test_what_cannot_go_on_is_one_line(line: LineUnderTest, images: Path, tmp_path: Path) -> None:
    """No replay, another engine or recipe, a log with a hole, options that would change it."""
    out = tmp_path / "out"
    break_off(line, images, out, signal.SIGKILL, 30)
    log = out / "verdicts.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)

    def refused(*arguments: object) -> str:
        process = line.start("replay", *arguments)
        _, stderr = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 2, stderr
        (said,) = [each for each in stderr.splitlines() if each != "starting"]
        return said

    assert "not a replay that can be continued" in refused("--resume", tmp_path)
    assert "only --golden and --json" in refused(images, "--resume", out)
    assert "give SOURCE and --out" in refused("--config", line.config)
    assert f"`inspector replay --resume {out}` continues" in refused(images, "--config", line.config, "--out", out)
    log.write_bytes(b"".join([*lines[:10], *lines[11:]]))
    assert "line 11 is frame 11 of camera top, expected frame 10" in refused("--resume", out)
    log.write_bytes(b"".join([*lines[:10], b"{}\n", *lines[11:]]))
    assert "line 11 is not a verdict" in refused("--resume", out)
    log.write_bytes(b"".join(lines))
    (out / "recipe.toml").write_text((out / "recipe.toml").read_text().replace("= 4", "= 5"))
    assert "made with recipe" in refused("--resume", out)
    assert log.read_bytes() == b"".join(lines), "a refusal changes nothing"
