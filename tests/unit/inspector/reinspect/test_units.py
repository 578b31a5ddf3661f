"""Units of an archive: damaged recordings, names, plans, and what makes an inspection another one."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sqlalchemy import insert

from inspector.config.line import load_config
from inspector.errors import InputError
from inspector.reinspect.changes import compared, of_verdicts
from inspector.reinspect.plans import with_plans
from inspector.reinspect.units import Unit, find_units
from inspector.reinspect.work import make_job
from inspector.sinks.records.database import Database
from inspector.sinks.records.schema import COILS
from inspector.sources.recording.source import RecordingWriter
from inspector.values import Capture, Code, Decision
from tests.support.lines import LineUnderTest
from tests.support.written import verdict

FRAMES = 3
START_NS = 10**18
SECOND_NS = 10**9


def record(path: Path, coil: str | None = "C-1", start_ns: int = START_NS) -> Path:
    with RecordingWriter(path, camera="top", mm_per_px=0.5) as writer:
        for number in range(FRAMES):
            at_ns = start_ns + number * SECOND_NS
            writer.append(
                Capture(np.zeros((16, 32), np.uint8), captured_ns=at_ns, position_mm=8.0 * number, coil=coil)
            )
    return path


def empty(name: str) -> Callable[[Path], None]:
    def damage(recording: Path) -> None:
        (recording / name).write_bytes(b"")

    return damage


def without(name: str) -> Callable[[Path], None]:
    return lambda recording: (recording / name).unlink()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (empty("recording.json"), "recording.json: not the index"),
        (without("recording.json"), "recording.json: cannot be read"),
        (without("frames.jsonl"), "frames.jsonl"),
        (empty("frames.mkv"), "frames.mkv: is missing or empty"),
        (without("frames.mkv"), "frames.mkv: is missing or empty"),
    ],
)
def test_a_damaged_recording_costs_itself_and_is_named(
    tmp_path: Path, damage: Callable[[Path], None], named: str
) -> None:
    """The coil's other recordings are inspected."""
    coil = tmp_path / "archive" / "C-1" / "top"
    first, second, third = (record(coil / f"{number:06d}") for number in (1, 2, 3))
    damage(second)
    (unit,) = find_units(tmp_path / "archive")
    assert (unit.recordings, unit.frames) == ((first, third), 2 * FRAMES)
    ((name, why),) = unit.damaged
    assert name == "archive/C-1/top/000002"
    assert named in why


def test_a_recording_without_a_frame_is_none(tmp_path: Path) -> None:
    """A kill right after the start of a recording damages nothing."""
    first = record(tmp_path / "archive" / "C-1" / "top" / "000001")
    begun = first.with_name("000002")
    begun.mkdir()
    (begun / "recording.json").write_bytes((first / "recording.json").read_bytes())
    (unit,) = find_units(tmp_path / "archive")
    assert (unit.recordings, unit.damaged) == ((first,), ())
    with pytest.raises(InputError, match="holds no recording"):
        find_units(begun)


def test_a_long_name_has_a_folder_of_results() -> None:
    """It is cut, and stays apart from its like."""
    names = [f"archive/20261129T060000Z_{'%C3%96' * 39}{last}/top" for last in "ab"]
    folders = {Unit(name).folder for name in names}
    assert len(folders) == len(names)
    assert max(map(len, folders)) <= 200
    assert Unit("archive/C%41/top").folder == "archive%2FC%2541%2Ftop"


@pytest.fixture
def line(tmp_path: Path) -> LineUnderTest:
    line = LineUnderTest(tmp_path)
    recipe = (tmp_path / "recipe.toml").read_text()
    (tmp_path / "strict.toml").write_text(recipe.replace('"test"', '"strict"'))
    line.write_config('[records]\nenabled = true\n[sinks]\nout = "out"\n[plans.strict]\nrecipe = "strict.toml"\n')
    return line


def identities(line: LineUnderTest, engine: str = "engine@1") -> list[str]:
    """Of a unit by the line's recipe, one by the plan, and one with a damaged recording."""
    job = make_job(load_config(line.config), line.folder / "engine", engine, line.folder)
    units = [Unit("one"), Unit("one", plan="strict"), Unit("one", damaged=(("one/000001", "torn"),))]
    return [job.identity(unit) for unit in units]


def test_the_same_settings_are_the_same_inspection(line: LineUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that changes no verdict changes nothing."""
    before = identities(line)
    assert len(set(before)) == len(before)
    monkeypatch.setenv("INSPECTOR_LOG_LEVEL", "debug")
    monkeypatch.setenv("INSPECTOR_LINKS", str(line.folder / "links"))
    assert identities(line) == before
    assert not set(identities(line, "engine@2")) & set(before)


def test_another_recipe_plan_or_variable_is_another_inspection(
    line: LineUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed plan concerns its coils only."""
    before = identities(line)
    for name, changed in (("strict.toml", [1]), ("recipe.toml", [0, 2])):
        with (line.folder / name).open("a") as recipe:
            recipe.write("# changed\n")
        after = identities(line)
        assert [n for n, (one, other) in enumerate(zip(before, after, strict=True)) if one != other] == changed
        before = after
    monkeypatch.setenv("INSPECTOR_FRAMES__TILE", "true")
    assert not set(identities(line)) & set(before)


def on_record(line: LineUnderTest, *coils: tuple[str, int, str]) -> None:
    config = load_config(line.config).line
    with Database(str(config.records.url)).writing() as connection, connection.begin():
        for number, (coil, started_ns, plan) in enumerate(coils):
            row = {"strip_key": "s", "number": number, "line": f"{config.name}@1", "coil": coil, "plan": plan}
            texts = dict.fromkeys(("grade", "customer", "plan_why", "recipe"), "")
            connection.execute(insert(COILS).values(row | texts | {"started_ns": started_ns, "start_mm": 0.0}))


def test_each_coil_has_the_plan_that_the_records_name(line: LineUnderTest) -> None:
    """The one of its time, if it came back; without one, the line's recipe, and a reason."""
    archive, hour_ns = line.folder / "archive", 3600 * SECOND_NS
    for name, coil, start_ns in (
        ("a", "C-1", START_NS),
        ("b", "C-1", START_NS + hour_ns),
        ("c", "C-2", START_NS),
        ("d", "C-3", START_NS),
        ("e", None, START_NS),
    ):
        record(archive / name / "top" / "000001", coil, start_ns)
    record(archive / "f" / "top" / "000001", "C-1", START_NS)
    record(archive / "f" / "top" / "000002", "C-1", START_NS + hour_ns)
    record(archive / "f" / "top" / "000003", "C-4", START_NS + hour_ns)
    config = load_config(line.config).line
    assert set(with_plans(config, find_units(archive))[1]) == {f"archive/{name}/top" for name in "abcdf"}
    on_record(
        line,
        ("C-1", START_NS, ""), ("C-1", START_NS + hour_ns + SECOND_NS, "strict"), ("C-2", START_NS, "gone"),
        ("C-4", START_NS, "strict"),
    )  # fmt: skip
    units, unknown = with_plans(config, find_units(archive))
    assert {unit.name[8]: unit.plan for unit in units} == dict.fromkeys("acdef", "") | {"b": "strict"}
    assert {name[8]: why for name, why in unknown.items()} == {
        "c": "its plan gone is no longer in the config",
        "d": "the records do not name the plan of its coil",
        "f": "its coils have several plans, or the records do not name them",
    }


def test_a_line_without_plans_needs_no_records(tmp_path: Path) -> None:
    """Its recipe judges all."""
    line = LineUnderTest(tmp_path)
    record(tmp_path / "archive" / "a" / "top" / "000001")
    units = find_units(tmp_path / "archive")
    assert with_plans(load_config(line.config).line, units) == (units, {})


def test_frames_that_were_not_archived_or_not_read_are_not_compared() -> None:
    """A frame without a capture time of its own has that of the replay."""
    verdicts = [verdict(n) for n in range(4)]
    times = {each.captured_ns for each in verdicts[:3]}
    lost = {"decision": Decision.UNINSPECTED, "reasons": ("torn",), "codes": (Code.UNREADABLE,)}
    verdicts[2] = msgspec.structs.replace(verdicts[2], **lost)
    assert list(of_verdicts(compared(verdicts, times))) == [("top", each.captured_ns) for each in verdicts[:2]]
