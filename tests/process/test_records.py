"""Records in the whole line, with real processes: asked for, switched off, broken, and started again."""

import json
import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.support.lines import LineUnderTest, interrupt, stage, wait_for_verdicts
from tests.support.ports import free_port

FRAMES = 60


@pytest.fixture
def line(tmp_path: Path) -> LineUnderTest:
    line = LineUnderTest(tmp_path)
    write(line)
    return line


def write(line: LineUnderTest, records: str = "enabled = true", **more: Any) -> None:
    source = {"type": "simulator", "height": 64, "width": 128, "distinct": 8, "frames": FRAMES} | more
    source = {key: value for key, value in source.items() if value is not None}
    line.write_config(f'[sinks]\nout = "runs"\n[records]\n{records}', **source)


def rows(line: LineUnderTest, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(line.folder / "runs" / "records.sqlite")) as database:
        return database.execute(sql, values).fetchall()


def test_two_runs_share_the_database_beside_them(line: LineUnderTest) -> None:
    """Every verdict of the log is a row, each run under its folder."""
    for name in ("a", "b"):
        run = line.run(out=line.folder / "runs" / name)
        assert (run.code, run.summary["records_lost"]) == (0, 0)
        logged = [(each["frame_id"], each["captured_ns"], each["decision"]) for each in run.verdicts]
        recorded = rows(
            line,
            "SELECT frame_id, captured_ns, decision FROM verdicts JOIN runs ON runs.id = run_id "
            "WHERE folder = ? ORDER BY verdicts.id",
            str(run.out),
        )
        assert recorded == logged
        assert len(recorded) == FRAMES
    assert rows(line, "SELECT COUNT(*), COUNT(DISTINCT key) FROM runs") == [(2, 2)]


def test_off_unless_asked_for_and_off_in_a_replay(line: LineUnderTest, tmp_path: Path) -> None:
    """A replay writes records only with --records; otherwise the same steel would be recorded twice."""
    write(line, "enabled = false")
    assert line.run(out=line.folder / "runs" / "off").code == 0
    write(line)
    images = tmp_path / "images"
    images.mkdir()
    cv2.imwrite(str(images / "a.png"), np.full((64, 128), 90, np.uint8))
    assert line.replay(images, out=line.folder / "runs" / "replay").code == 0
    assert not (line.folder / "runs" / "records.sqlite").exists()
    assert line.replay(images, "--records", out=line.folder / "runs" / "recorded").code == 0
    assert rows(line, "SELECT file, decision FROM verdicts") == [("a.png", "accept")]


@pytest.mark.parametrize("how", ["refuses", "hangs"])
def test_a_database_that_cannot_be_reached_costs_no_verdict(line: LineUnderTest, how: str) -> None:
    """The line starts, runs and ends normally, and the summary says what is missing; a check passes."""
    with socket.create_server(("127.0.0.1", port := free_port())) as silent:
        if how == "refuses":
            silent.close()
        write(line, f'enabled = true\nurl = "postgresql://anna@127.0.0.1:{port}/steel"')
        run = line.run()
        process = line.start("check", "--config", line.config, "--json")
        found = {row["what"]: row for row in json.loads(process.communicate(timeout=60)[0])["checks"]}
    assert process.returncode == 0
    assert "does not answer, records will wait" in found["records"]["found"]
    assert run.code == 0
    assert "killed" not in run.stderr
    assert run.summary["captured"] == run.summary["records_lost"] == FRAMES
    assert f"{FRAMES} verdicts not in the database" in run.stdout
    assert run.logged("records wait")


def test_a_newer_database_is_refused_before_anything_starts(line: LineUnderTest) -> None:
    """Exit 2 and one line; `inspector check` says so as well."""
    assert line.run(out=line.folder / "runs" / "a").code == 0
    with closing(sqlite3.connect(line.folder / "runs" / "records.sqlite")) as database:
        database.execute("UPDATE schema_version SET version = 7")
        database.commit()
    run = line.run(out=line.folder / "runs" / "b")
    assert run.code == 2
    assert "the database has schema version 7, this inspector knows up to 3" in run.stderr
    assert "Traceback" not in run.stderr
    process = line.start("check", "--config", line.config, "--json")
    found = {row["what"]: row for row in json.loads(process.communicate(timeout=60)[0])["checks"]}
    assert process.returncode == 2
    assert "schema version 7" in found["records"]["found"]


def test_a_killed_decide_leaves_one_record_of_every_verdict(line: LineUnderTest) -> None:
    """The next decide settles the remaining frames and completes the records from the log."""
    write(line, frames=None)
    out = line.folder / "runs" / "a"
    process = line.start("run", "--config", line.config, "--out", out)
    wait_for_verdicts(out, 500)
    stage(process, "decide").kill()
    run = line.finish(process, out)
    assert run.code == 1
    # While decide restarts, ingest may announce more frames than one gap settles in order.
    assert rows(line, "SELECT frame_id, decision FROM verdicts ORDER BY frame_id") == sorted(
        (each["frame_id"], each["decision"]) for each in run.verdicts
    )


def test_ctrl_c_leaves_a_record_of_every_verdict(line: LineUnderTest) -> None:
    """Within the two seconds that a stop may take."""
    write(line, frames=None)
    out = line.folder / "runs" / "a"
    process = line.start("run", "--config", line.config, "--out", out)
    wait_for_verdicts(out, 500)
    interrupt(process)
    run = line.finish(process, out)
    assert run.summary["records_lost"] == 0
    assert rows(line, "SELECT COUNT(*) FROM verdicts") == [(len(run.verdicts),)]


def test_a_folder_of_results_may_have_any_name(line: LineUnderTest) -> None:
    """Characters with a meaning in a URL are part of the folder's name."""
    name = "100% x%41?b#c"
    line.write_config(
        f'[sinks]\nout = "{name}"\n[records]\nenabled = true',
        type="simulator", height=64, width=128, distinct=8, frames=FRAMES,
    )  # fmt: skip
    assert line.run(out=line.folder / name / "a").code == 0
    with closing(sqlite3.connect(line.folder / name / "records.sqlite")) as database:
        assert database.execute("SELECT COUNT(*) FROM verdicts").fetchall() == [(FRAMES,)]
    assert f'"sqlite:///{line.folder / name}/records.sqlite"' in (line.folder / name / "a/line.json").read_text()
    assert [path.parent.name for path in line.folder.rglob("records.sqlite")] == [name]


def test_more_free_space_than_the_disk_has_is_refused(line: LineUnderTest) -> None:
    """By a check and by the start: such a limit would delete every record and picture."""
    assert line.run(out=line.folder / "runs" / "a").code == 0
    write(line, "enabled = true\nleast_free_gb = 1000000")
    process = line.start("check", "--config", line.config, "--json")
    found = {row["what"]: row for row in json.loads(process.communicate(timeout=60)[0])["checks"]}
    assert (process.returncode, found["records"]["state"]) == (2, "wrong")
    run = line.run(out=line.folder / "runs" / "b")
    assert run.code == 2
    for said in (found["records"]["found"], run.stderr):
        assert "records.least_free_gb: 1e+06 GB are never free: the disk of " in said
    assert rows(line, "SELECT COUNT(*) FROM verdicts") == [(FRAMES,)]


CLOCK = """
import os, time
offset_ns = int(os.environ.get("TEST_CLOCK_OFFSET_S", "0")) * 10**9
real_s, real_ns = time.time, time.time_ns
time.time_ns = lambda: real_ns() + offset_ns
time.time = lambda: real_s() + offset_ns / 1e9
"""


def test_a_clock_that_is_wrong_for_a_moment_deletes_nothing(
    line: LineUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PC with an empty battery before its time server answers, then right, then ten years ahead."""
    write(line, "enabled = true\nkeep_days = 30")
    (line.folder / "clock").mkdir()
    (line.folder / "clock" / "sitecustomize.py").write_text(CLOCK)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(line.folder / "clock"), os.environ.get("PYTHONPATH", "")])
    )
    ten_years_s = 3650 * 86_400
    for n, offset_s in enumerate((-ten_years_s, 0, ten_years_s, 0)):
        monkeypatch.setenv("TEST_CLOCK_OFFSET_S", str(offset_s))
        run = line.run(out=line.folder / "runs" / str(n))
        assert run.code == 0
        said = run.logged("records are not deleted by age for now")
        assert len(said) == (1 if n else 0)
        assert rows(line, "SELECT run_id, COUNT(*) FROM verdicts GROUP BY 1") == [
            (k + 1, FRAMES) for k in range(n + 1)
        ]


def test_what_a_dead_database_missed_is_imported_as_the_summary_says(line: LineUnderTest) -> None:
    """The command that the run prints brings every record."""
    (line.folder / "in the way").write_text("")
    write(line, 'enabled = true\nurl = "sqlite:///in the way/records.sqlite"')
    run = line.run(out=line.folder / "runs" / "a")
    assert run.summary["records_lost"] == FRAMES
    assert f"inspector records import {run.out}" in run.stdout
    (line.folder / "in the way").unlink()
    process = line.start("records", "import", run.out, "--config", line.config, "--json")
    assert json.loads(process.communicate(timeout=60)[0])["new"] == FRAMES
    with closing(sqlite3.connect(line.folder / "in the way" / "records.sqlite")) as database:
        recorded = database.execute("SELECT frame_id, decision FROM verdicts ORDER BY id").fetchall()
    assert recorded == [(each["frame_id"], each["decision"]) for each in run.verdicts]


@pytest.mark.parametrize("where", ["file", "environment"])
def test_a_password_stands_in_no_file_and_no_log(
    line: LineUnderTest, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The config may not hold one; a password from the environment reaches only the processes."""
    url = "postgresql://anna:hunter2@127.0.0.1:9/steel"
    if where == "file":
        write(line, f'enabled = true\nurl = "{url}"')
        run = line.run()
        assert run.code == 2
        assert "records.url: contains a password: give the whole URL in INSPECTOR_RECORDS__URL" in run.stderr
    else:
        monkeypatch.setenv("INSPECTOR_RECORDS__URL", url)
        run = line.run()
        assert run.code == 0
        assert run.logged("records wait")[0]["database"] == "postgresql+psycopg://anna:***@127.0.0.1:9/steel"
        assert '"postgresql://anna:***@127.0.0.1:9/steel"' in (run.out / "line.json").read_text()
    assert "hunter2" not in run.stderr + run.stdout
    written = [path for path in line.folder.rglob("*") if path.is_file() and path != line.config]
    assert not [path for path in written if b"hunter2" in path.read_bytes()]


def test_without_sqlalchemy_the_line_names_the_command(
    line: LineUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes with the extra `service`; a line that asks for no records runs without."""
    hidden = line.folder / "hidden"
    (hidden / "sqlalchemy").mkdir(parents=True)
    (hidden / "sqlalchemy" / "__init__.py").write_text("raise ModuleNotFoundError(name='sqlalchemy')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(hidden), os.environ.get("PYTHONPATH", "")]))
    run = line.run()
    assert run.code == 2
    assert "records needs sqlalchemy, which is not installed: pip install 'strip-inspector[service]'" in run.stderr
    write(line, "enabled = false")
    assert line.run(out=line.folder / "other").code == 0
