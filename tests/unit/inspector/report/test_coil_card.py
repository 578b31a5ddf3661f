"""`inspector report --coil` of a coil that the strip process has judged."""

from pathlib import Path

import msgspec
import pytest

from inspector.cli import main
from inspector.core.strip.quality import RatedDefect
from inspector.sinks.coil_results import CoilResult, RollMarkResult, find_result
from inspector.values import Decision
from tests.unit.inspector.report.test_report import Page, verdict

RESULT = CoilResult(
    number=7, id="C-7", grade="DC04", customer="ACME", width_mm=1500.0, thickness_mm=2.5, stated_length_mm=2000.0,
    start_mm=1000.0, end_mm=3000.0, length_mm=2000.0, started_ns=10**9, ended_ns=10**12, end_why="", plan="strict",
    plan_why="grade DC04", recipe="strict@1", verdict="hold", reasons=("hold: 3 pits: over 2 in a coil",),
    frames=2, frames_rejected=1, frames_uninspected=0, uninspected_mm=250.0, uninspected=((100.0, 350.0),),
    count=1, counts={"pits": 1}, severities={"2": 1}, engines=("e@1",), recipes=("strict@1",),
    roll_marks=(RollMarkResult("roll mark, work roll", "work roll", "top", "pits", 2073.0, 800.0, 0, 1, 3, 3),),
    defects=(RatedDefect("pits", "top", 412.0, 800.0, 20.0, 10.0, 150.0, 2, 0.9, ("cam", "cam2")),),
)  # fmt: skip


@pytest.fixture
def line(tmp_path: Path) -> Path:
    """A line whose strip has judged two passes of one coil, and a log whose frames have late labels."""
    out = tmp_path / "out"
    out.mkdir()
    folder = tmp_path / "strip" / "coils"
    folder.mkdir(parents=True)
    for number in (6, 7):
        result = msgspec.structs.replace(RESULT, number=number, grade="old" if number == 6 else "DC04")
        (folder / f"{number:06d}.json").write_bytes(msgspec.json.encode(result))
    frames = [
        msgspec.structs.replace(
            verdict(n, coil=label), position_mm=500.0 * n, captured_ns=2 * 10**9 + n, decision=Decision.ACCEPT,
            reasons=(), codes=(), defects=(),
        )
        for n, label in enumerate([None, None, None, "C-7", "C-7", "C-7", "C-7", "C-8"])
    ]  # fmt: skip
    (out / "verdicts.jsonl").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in frames))
    config = tmp_path / "line.toml"
    config.write_text(
        'name = "mill"\nengine = "engine"\nrecipe = "recipe.toml"\n[cameras.cam]\ntype = "simulator"\n'
        f'[strip]\n[sinks]\nout = "{out}"\nlog_megabytes = 1\n'
    )
    return config


def test_the_report_says_what_became_of_the_coil(line: Path) -> None:
    """Verdict, reasons, plan, roll mark, worst defect, blind stretch, a line to sign; of the newest pass."""
    to = line.parent / "coil.html"
    assert main(["report", "--config", str(line), "--coil", "C-7", "--out", str(to)]) == 0
    page = Page(to)
    for text in (
        "Coil C-7: hold", "hold: 3 pits: over 2 in a coil", "strict, strict@1 (grade DC04)", "DC04", "ACME",
        "1500 × 2.5 mm", "roll mark, work roll", "cam, cam2", "0.100 m to 0.350 m", "signature",
    ):  # fmt: skip
        assert text in page.text, text


def test_its_frames_are_found_by_their_place(line: Path) -> None:
    """After a late telegram, one frame on the coil has no label and one behind its tail has it."""
    to = line.parent / "coil.html"
    assert main(["report", "--config", str(line), "--coil", "C-7", "--out", str(to)]) == 0
    assert "All 4 frames accepted" in Page(to).text


def test_a_damaged_result_is_left_out(line: Path) -> None:
    """The previous pass is shown instead."""
    (line.parent / "strip" / "coils" / "000007.json").write_text("{")
    found = find_result(line.parent / "strip", "C-7")
    assert found is not None
    assert found.number == 6
