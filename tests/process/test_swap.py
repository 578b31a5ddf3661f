"""`inspector swap`: another engine for a line that runs, without a frame lost; a bad one changes nothing."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.backends.instant import write_engine
from inspector.engine.golden import load, save
from inspector.engine.manifest import GOLDEN_NAME, EngineFolder, file_sha256, open_folder, write_manifest
from tests.support.lines import LineUnderTest, Run, interrupt, stage, wait_for_verdicts

SIZE = (64, 128)
FRAMES_PER_SECOND = 40
"""Leaves a busy machine time: a camera's frames are shed when a worker stalls, swapped or not."""


def engine(path: Path, *, classes: tuple[str, ...] = ("normal", "bright"), **options: float) -> EngineFolder:
    return write_engine(path, height=SIZE[0], width=SIZE[1], classes=classes, max_batch=4, options=options)


class LiveLine(LineUnderTest):
    """A line that runs until it is interrupted, at a camera's pace."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SIZE, delay_ms=2)
        self.out = folder / "out"
        # A deadline far beyond any start of a worker on a busy machine: what is lost would show, not what is slow.
        self.write_config(
            f'deadline_ms = 20000\nlinks = "{folder}/l"\n',
            type="simulator",
            height=SIZE[0],
            width=SIZE[1],
            distinct=8,
            frames_per_second=FRAMES_PER_SECOND,
        )
        self.process = self.start("run", "--config", self.config, "--out", self.out)
        wait_for_verdicts(self.out, 1)

    def swap(self, path: Path, *arguments: str, command: str = "swap") -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-m", "inspector", command, str(path), "--config", str(self.config), *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=60)

    def end(self) -> Run:
        interrupt(self.process)
        return self.finish(self.process, self.out)

    def more(self, count: int = 30) -> None:
        """Until so many more verdicts have come."""
        have = (self.out / "verdicts.jsonl").read_bytes().count(b"\n")
        wait_for_verdicts(self.out, have + count)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveLine]:
    line = LiveLine(tmp_path)
    yield line
    if line.process.poll() is None:
        line.process.kill()
        line.process.communicate()


def assert_whole(run: Run) -> None:
    """Every frame was inspected in time, but for those a Ctrl-C left on their way."""
    assert run.code == 0, run.stderr
    assert set(run.summary["uninspected_reasons"]) <= {
        "stopped before a result came",
        "stopped before the frame was inspected",
    }
    assert run.summary["late"] == 0


def test_a_line_goes_on_with_another_engine_and_loses_nothing(live: LiveLine, tmp_path: Path) -> None:
    """Several swaps under load lose no frame; every verdict names its frame's engine."""
    other = engine(tmp_path / "other", delay_ms=1)
    first = open_folder(tmp_path / "engine")
    for folder in (other, first, other):
        done = live.swap(folder.path)
        assert done.returncode == 0, done.stderr
        assert folder.identity in done.stdout
        live.more()
    run = live.end()
    assert_whole(run)
    engines = [verdict["engine"] for verdict in run.verdicts if verdict["decision"] != "uninspected"]
    assert set(engines) == {first.identity, other.identity}
    assert (engines[0], engines[-1]) == (first.identity, other.identity)
    # While one takes over both answer for a moment, frame by frame in the order of the strip.
    assert engines[-20:] == [other.identity] * 20


def spoil_golden(folder: EngineFolder) -> None:
    """Change the golden maps, as if this PC computed differently."""
    path = folder.path / GOLDEN_NAME
    golden = load(path)
    path.unlink()
    save(path, type(golden)(golden.frames, golden.kind, 255 - golden.score))
    files = folder.manifest.files | {GOLDEN_NAME: file_sha256(path)}
    write_manifest(folder.path, folder.manifest.model_copy(update={"files": files}))


def test_an_engine_that_fails_its_golden_frames_leaves_the_old_one_running(live: LiveLine, tmp_path: Path) -> None:
    """The command's sender and the line's log get the reason."""
    bad = engine(tmp_path / "bad")
    spoil_golden(bad)
    worker = stage(live.process, "worker")
    done = live.swap(bad.path)
    assert done.returncode == 1
    assert f"{bad.path}: not swapped, the line keeps its engine: " in done.stderr
    assert "golden" in done.stderr
    live.more()
    assert worker.is_running()
    run = live.end()
    assert_whole(run)
    assert len({verdict["engine"] for verdict in run.verdicts}) == 1
    assert "engine not swapped" in run.stderr


def labelled(folder: Path, greys: tuple[int, ...]) -> Path:
    """Sound frames, and frames with a block of each of these grey levels, with their masks."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number, grey in enumerate((*greys, 0, 0, 0)):
        pixels = np.random.default_rng(number).integers(130, 170, SIZE, dtype=np.uint8)
        mask = np.zeros(SIZE, np.uint8)
        if grey:
            pixels[10:30, 20:60] = grey
            mask[10:30, 20:60] = 1
        cv2.imwrite(str(folder / "images" / f"{number}.png"), pixels)
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), mask)
    (folder / "classes.json").write_text('["normal", "bright"]')
    return folder


def check(tmp_path: Path, candidate: Path, out: Path) -> "subprocess.CompletedProcess[str]":
    """`trainer promote-check` of an engine against the line's."""
    command = ["promote-check", candidate, tmp_path / "engine", "--frozen", tmp_path / "frozen", "--golden"]
    more = [tmp_path / "golden", "--recipe", tmp_path / "recipe.toml", "--out", out]
    return subprocess.run(
        [sys.executable, "-m", "trainer.cli", *map(str, [*command, *more])],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_only_an_engine_that_proved_better_is_promoted(live: LiveLine, tmp_path: Path) -> None:
    """One that finds more on the frozen set and rejects no sound coil; others, and old checks, change nothing."""
    labelled(tmp_path / "frozen", (255, 240, 235, 240))
    labelled(tmp_path / "golden", (255,))
    better, greedy = engine(tmp_path / "better", defect_grey=230), engine(tmp_path / "greedy", defect_grey=140)
    same = engine(tmp_path / "same", delay_ms=1)
    before = open_folder(tmp_path / "engine")
    for candidate, code, said in (
        (greedy, 3, "golden coil golden: 3 overkills with the candidate, 0 before"),
        (same, 3, "it must cost less"),
        (better, 0, f"{better.identity} may replace {before.identity}"),
    ):
        found = check(tmp_path, candidate.path, tmp_path / f"{candidate.path.name}.json")
        assert (found.returncode, said in found.stdout) == (code, True), found.stdout + found.stderr
    for candidate, of, said in (
        (greedy, "greedy", "may not replace"),
        (same, "better", f"is about {better.identity}"),
        (better, "nothing", "No such file"),
    ):
        refused = live.swap(candidate.path, "--check", str(tmp_path / f"{of}.json"), command="promote")
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    live.more()
    done = live.swap(better.path, "--check", str(tmp_path / "better.json"), command="promote")
    assert done.returncode == 0, done.stderr
    assert f"the line uses {better.identity} instead of {before.identity}" in done.stdout
    live.more()
    run = live.end()
    assert_whole(run)
    assert {verdict["engine"] for verdict in run.verdicts} == {before.identity, better.identity}
    assert run.verdicts[-1]["engine"] == better.identity


def test_an_engine_that_cannot_serve_the_line_is_refused_at_once(live: LiveLine, tmp_path: Path) -> None:
    """No folder, another size of frames, other classes: one line, and nothing is started."""
    write_engine(tmp_path / "small", height=32, width=64)
    engine(tmp_path / "others", classes=("normal", "rust"))
    for wrong, said in (
        ("nothing", "not an engine folder"),
        ("small", "takes frames of 32×64"),
        ("others", "tells apart normal, rust; the line normal, bright"),
    ):
        done = live.swap(tmp_path / wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert_whole(live.end())


def test_without_a_line_it_says_what_to_do(tmp_path: Path) -> None:
    """A service is swapped by its units."""
    line = LineUnderTest(tmp_path, SIZE)
    done = line.finish(line.start("swap", tmp_path / "engine", "--config", line.config), tmp_path / "out")
    assert done.code == 2
    assert "no `inspector run` of this config" in done.stderr
    assert "systemctl start inspector-worker@NEW" in done.stderr


def test_a_run_whose_links_cannot_be_made_runs_without_orders(tmp_path: Path) -> None:
    """Its own links are elsewhere; the log says that it cannot be swapped, and why."""
    line = LineUnderTest(tmp_path, SIZE)
    (tmp_path / "file").write_text("")
    line.write_config(f'links = "{tmp_path}/file/l"\n')
    run = line.run()
    assert (run.code, run.summary["captured"]) == (0, 40)
    (said,) = run.logged("`inspector swap` will not reach this run")
    assert f"{tmp_path}/file" in said["error"]


def test_two_runs_of_one_config_leave_orders_to_the_first(live: LiveLine, tmp_path: Path) -> None:
    """The second says so; the first is still reached."""
    second = live.start("run", "--config", live.config, "--out", tmp_path / "second")
    wait_for_verdicts(tmp_path / "second", 1)
    interrupt(second)
    run = live.finish(second, tmp_path / "second")
    (said,) = run.logged("`inspector swap` will not reach this run")
    assert "another run of this config listens there" in said["error"]
    assert live.swap(tmp_path / "engine").returncode == 0
    assert_whole(live.end())


def test_a_worker_killed_on_trial_costs_nothing(live: LiveLine, tmp_path: Path) -> None:
    """A worker on trial is not part of the line yet."""
    slow = engine(tmp_path / "slow", delay_ms=2000)
    asked = live.start("swap", slow.path, "--config", live.config)
    old = stage(live.process, "worker")
    trial = stage(live.process, "worker", other_than=old)
    trial.kill()
    _, stderr = asked.communicate(timeout=60)
    assert asked.returncode == 1
    assert "worker was killed by SIGKILL" in stderr
    live.more()
    assert_whole(live.end())
