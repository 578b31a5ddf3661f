"""Two of what there may be one of: the second is refused in one line, and the first never notices."""

import signal
from pathlib import Path

import pytest

from tests.support.lines import NO_HURRY_MS, PATIENCE_S, LineUnderTest, wait_for_verdicts

PACED = {"type": "simulator", "height": 64, "width": 128, "distinct": 8, "frames_per_second": 20}


@pytest.fixture
def line(tmp_path: Path) -> LineUnderTest:
    line = LineUnderTest(tmp_path)
    line.write_config(
        f'deadline_ms = {NO_HURRY_MS}\nlinks = "{tmp_path / "links"}"\n[sinks]\nout = "runs"\n', **PACED
    )
    return line


def test_two_runs_into_one_folder(line: LineUnderTest) -> None:
    """Each verdict log has one writer."""
    out = line.folder / "out"
    first = line.start("run", "--config", line.config, "--out", out)
    wait_for_verdicts(out, 20)
    second = line.start("run", "--config", line.config, "--out", out)
    _, said = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 2
    assert "another run uses it" in said
    first.send_signal(signal.SIGINT)
    run = line.finish(first, out)
    assert set(run.decisions) <= {"accept", "reject"}
    assert line.run(out=out).code == 2


def test_runs_that_start_in_one_second_have_a_folder_each(line: LineUnderTest) -> None:
    """For example two lines of one PC that share a results folder."""
    line.write_config('[sinks]\nout = "runs"\n', **PACED, frames=40)
    runs = [line.start("run", "--config", line.config, "--json") for _ in range(3)]
    for each in runs:
        each.communicate(timeout=PATIENCE_S)
        assert each.returncode == 0
    folders = sorted((line.folder / "runs").glob("*/verdicts.jsonl"))
    assert [len(path.read_text().splitlines()) for path in folders] == [40, 40, 40]


@pytest.mark.parametrize(("stage", "said"), [("decide", "another decide"), ("ingest", "another ingest")])
def test_a_stage_that_is_there_already(line: LineUnderTest, stage: str, said: str) -> None:
    """A second decide or ingest does not take the sockets of the running one."""
    decide = line.start("decide", "--config", line.config)
    worker = line.start("worker", "--config", line.config)
    ingest = line.start("ingest", "--config", line.config)
    out = line.folder / "runs"
    wait_for_verdicts(out, 20, decision="accept")  # the first frames are shed until the worker is there
    undisturbed = len((out / "verdicts.jsonl").read_bytes())
    second = line.start(stage, "--config", line.config)
    _, logged = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 2, logged
    assert said in logged
    before = (out / "verdicts.jsonl").read_bytes().count(b"\n")
    wait_for_verdicts(out, before + 20)
    for process in (ingest, worker, decide):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
    assert b"uninspected" not in (out / "verdicts.jsonl").read_bytes()[undisturbed:]


def test_a_run_that_cannot_start_leaves_no_folder(line: LineUnderTest) -> None:
    """A script that tries again and again does not fill the disk."""
    line.config.write_text(line.config.read_text().replace('engine = "engine"', 'engine = "nothing"'))
    process = line.start("run", "--config", line.config)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode != 0
    assert not list((line.folder / "runs").glob("*"))
