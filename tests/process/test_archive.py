"""The archive beside a running line: every frame by coil, without loss; bounded; marked coils stay."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from inspector.archive.coils import CoilFolders, kept_coils
from inspector.archive.marks import read_marks
from inspector.archive.retention import Marks
from inspector.config.line import load_config
from inspector.config.sources import SimulatorSettings
from inspector.errors import WorkError
from inspector.reinspect.units import find_units
from inspector.sinks.records.database import Database
from inspector.sinks.records.import_run import import_run
from inspector.sinks.records.marks import Subject, mark
from inspector.sources import open_source
from inspector.sources.recording.source import RecordingSource
from inspector.values import Capture, Pixels
from tests.support.lines import LineUnderTest, stage, wait_for_verdicts
from tests.support.written import WrittenLog, verdict

FRAMES, COIL_FRAMES = 90, 30

SIMULATOR = {
    "type": "simulator", "height": 64, "width": 128, "seed": 3, "frames": FRAMES, "coil_frames": COIL_FRAMES,
    "frames_per_second": 30, "defective_share": 0.3,
}  # fmt: skip


def frames_of(captures: list[Capture | None]) -> list[Pixels]:
    return [each.pixels for each in captures if each is not None and each.pixels is not None]


def archived(folder: Path) -> list[Capture | None]:
    captures: list[Capture | None] = []
    for unit in find_units(folder):
        for path in unit.recordings:
            with RecordingSource(path) as source:
                captures += list(source.captures())
    return captures


def test_every_frame_of_a_running_line_is_there_by_coil(tmp_path: Path) -> None:
    """Pixel for pixel what the camera gave, clean frames too; verdicts and archive name the same frames."""
    line = LineUnderTest(tmp_path)
    line.write_config('[archive]\nmax_gb = 1.0\nfolder = "archive"\nleast_free_gb = 0.001\n', **SIMULATOR)
    run = line.run()
    assert run.code == 0, run.stderr
    units = find_units(tmp_path / "archive")
    assert [unit.frames for unit in units] == [COIL_FRAMES] * (FRAMES // COIL_FRAMES)
    captures = archived(tmp_path / "archive")
    told = [(each.captured_ns, each.position_mm, each.coil) for each in captures if each is not None]
    assert told == [(each["captured_ns"], each["position_mm"], each["coil"]) for each in run.verdicts]
    with open_source(SimulatorSettings.model_validate(SIMULATOR | {"frames_per_second": None})) as source:
        shown = frames_of(list(source.captures()))
    assert len(shown) == FRAMES
    assert all(np.array_equal(one, other) for one, other in zip(frames_of(captures), shown, strict=True))


def test_the_line_goes_on_when_the_archive_is_killed(tmp_path: Path) -> None:
    """What was written is readable; every frame has its verdict."""
    line = LineUnderTest(tmp_path)
    line.write_config('[archive]\nmax_gb = 1.0\nfolder = "archive"\nleast_free_gb = 0.001\n', **SIMULATOR)
    out = tmp_path / "out"
    process = line.start("run", "--config", line.config, "--out", out)
    wait_for_verdicts(out, 20)
    archive = stage(process, "archive")
    until = time.monotonic() + 60
    while not list((tmp_path / "archive").glob("*/top/*/frames.mkv")):
        assert time.monotonic() < until
        time.sleep(0.05)
    archive.send_signal(signal.SIGKILL)
    run = line.finish(process, out)
    assert run.code == 0, run.stderr
    assert len(run.verdicts) == FRAMES
    assert run.logged("goes on without")
    assert archived(tmp_path / "archive")


def test_marks_protect_coils_and_the_coils_of_frames(tmp_path: Path) -> None:
    """Marks are read from the line's database without writing to it; without one, none is marked."""
    line = LineUnderTest(tmp_path)
    line.write_config('[records]\nenabled = true\nurl = "sqlite:///records.sqlite"\n')
    config = load_config(line.config).line
    assert read_marks(config) == Marks(missing=str(tmp_path / "records.sqlite"))
    log = WrittenLog(tmp_path / "run")
    log.write(*(verdict(250 * n) for n in range(8)))
    import_run(Database(str(config.records.url)), tmp_path / "run", "test@1")
    with Database(str(config.records.url)).changing("mark") as connection:
        mark(connection, [Subject(coil="C-0001"), Subject(camera="top", frame_id=1500)], "claim", "kim")
    file = tmp_path / "records.sqlite"
    assert read_marks(config).coils == {"C-0001", "C-0003"}
    file.write_bytes(b"no database" * 100)
    with pytest.raises(WorkError, match=r"records\.sqlite"):
        read_marks(config)
    log.file.close()


def test_a_restart_goes_on_in_the_coil_s_folder(tmp_path: Path) -> None:
    """Cameras share a coil's folder; the same coil a day later has another one."""
    day_ns = 86_400 * 10**9
    first = CoilFolders(tmp_path)
    one = first.segment("C-1/a", "top", day_ns)
    one.mkdir(parents=True)
    assert first.segment("C-1/a", "bottom", day_ns).parent.parent == one.parent.parent
    again = CoilFolders(tmp_path)
    assert again.segment("C-1/a", "top", day_ns + 10**9) == one.with_name("000002")
    other = again.segment("C-2", "top", day_ns)
    other.mkdir(parents=True)
    third = again.segment("C-3", "top", 2 * day_ns)
    third.mkdir(parents=True)
    assert again.segment("C-1/a", "top", 2 * day_ns).parent.parent != one.parent.parent
    assert [each.coil for each in kept_coils(tmp_path)][:2] == ["C-1/a", "C-2"]


def test_the_table_is_checked(tmp_path: Path) -> None:
    """An archive needs a size; its folder begins at the config's."""
    line = LineUnderTest(tmp_path)
    line.write_config("[archive]\nmax_gb = 2\n")
    settings = load_config(line.config).line.archive
    assert settings is not None
    assert settings.folder == tmp_path / "out" / "archive"
    line.write_config("[archive]\nmax_gb = 0\n")
    process = line.start("check", "--config", line.config)
    assert "max_gb" in json.dumps(process.communicate(timeout=60))
    assert process.returncode == 2
