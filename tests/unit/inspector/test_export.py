"""`inspector export` and `inspector mark`: what was recorded comes out again, whole."""

import csv
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from pyarrow import parquet

from inspector.cli import main
from tests.support.recorded import SECOND_NS, STARTED_NS, RunOnRecord, defect, verdict

FRAMES = 30


@pytest.fixture
def line(tmp_path: Path) -> Path:
    """A config with 30 frames of two coils on record; a defect goes over frames 3 to 5."""
    (tmp_path / "line.toml").write_text(
        'name = "x"\nengine = "engine"\nrecipe = "recipe.toml"\n[cameras.top]\ntype = "simulator"\n'
        '[records]\nenabled = true\nurl = "sqlite:///records.sqlite"\n'
    )
    run = RunOnRecord(tmp_path / "run")
    for n in range(FRAMES):
        bad = [defect("top-3-1", 100 * (n - 2), along_mm=100.0 * n)] if n in (3, 4, 5) else []
        run.write(verdict(n, *bad, coil="C-1" if n < 10 else 'C, the "2nd"'))
    run.settle()
    run.close()
    return tmp_path / "line.toml"


def exported(line: Path, *arguments: object, name: str = "out.csv") -> list[dict[str, str]]:
    out = line.parent / name
    assert main(["export", "--config", str(line), "--out", str(out), *map(str, arguments)]) == 0
    with out.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_verdicts_as_csv(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One row per frame in the order of the strip, with every field of the verdict."""
    rows = exported(line)
    assert [int(row["frame_id"]) for row in rows] == list(range(FRAMES))
    row = rows[3]
    assert row["captured"] == "2026-02-02T02:40:00.030000000Z"
    assert datetime.fromisoformat(row["captured"]).timestamp() == pytest.approx(STARTED_NS / SECOND_NS + 0.03)
    assert (row["decision"], row["defects"], row["position_mm"], row["total_ms"]) == (
        "reject",
        "1",
        "384.0",
        "10.25",
    )
    assert json.loads(row["reasons"]) == ["scratches 25 mm² ≥ 20"]
    assert (row["recipe"], row["engine"], row["coil"]) == ("r@1", "e@1", "C-1")
    assert rows[10]["coil"] == 'C, the "2nd"'
    assert capsys.readouterr().out == f"{FRAMES} verdicts in {line.parent / 'out.csv'}\n"


def test_a_defect_over_three_frames_is_one_row(line: Path) -> None:
    """With its extent over them, its area in all, and its centre."""
    (row,) = exported(line, "--rows", "defects")
    assert (row["defect_id"], row["first_frame"], row["last_frame"], row["frames"]) == ("top-3-1", "3", "5", "3")
    assert (row["area_px"], row["area_mm2"], row["rejected_frames"], row["coil"]) == ("600", "150.0", "3", "C-1")
    assert float(row["along_mm"]) == pytest.approx((100 * 300 + 200 * 400 + 300 * 500) / 600)
    assert row["ended"] == "2026-02-02T02:40:00.050000000Z"


def test_by_coil_camera_and_time(line: Path) -> None:
    """From is included, to is not; local time where none is named."""
    assert len(exported(line, "--coil", "C-1")) == 10
    assert len(exported(line, "--coil", "C-1", "--camera", "top")) == 10
    within = exported(line, "--from", "2026-02-02T02:40:00.05Z", "--to", "2026-02-02T03:40:00.08+01:00")
    assert [row["frame_id"] for row in within] == ["5", "6", "7"]


def test_parquet_holds_the_same(line: Path) -> None:
    """Times are times, numbers are numbers, and missing values are null."""
    text = exported(line)
    assert main(["export", "--config", str(line), "--out", str(line.parent / "out.parquet")]) == 0
    table = parquet.read_table(line.parent / "out.parquet")
    assert table.column_names == list(text[0])
    assert table["captured"].cast("int64").to_pylist() == [
        STARTED_NS + n * SECOND_NS // 100 for n in range(FRAMES)
    ]
    assert table["total_ms"].to_pylist() == [float(row["total_ms"]) for row in text]
    assert table["reasons"].to_pylist()[:4] == [None, None, None, '["scratches 25 mm² ≥ 20"]']


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--coil", "C-l"],
            'no verdicts recorded with coil C-l: nothing written; newest coils: C, the "2nd", C-1',
        ),
        (["--out", "x.xlsx"], "x.xlsx: must end in .csv or .parquet"),
    ],
)
def test_what_cannot_be_exported_is_one_clear_line(
    line: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """Exit 2, and no file."""
    out = line.parent / "none.csv"
    assert main(["export", "--config", str(line), "--out", str(out), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not list(line.parent.glob("*none*"))


def test_a_folder_that_cannot_be_written_to_is_one_clear_line(
    line: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1: the work failed."""
    assert main(["export", "--config", str(line), "--out", str(line.parent / "no" / "x.csv")]) == 1
    assert "x.csv: cannot be written: No such file or directory" in capsys.readouterr().err


def test_no_database_yet_is_said(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing database is reported and not created."""
    (line.parent / "records.sqlite").unlink()
    assert main(["export", "--config", str(line), "--out", str(line.parent / "x.csv")]) == 2
    assert "records.sqlite: no such file: nothing was recorded yet" in capsys.readouterr().err
    assert not (line.parent / "records.sqlite").exists()


def test_an_export_goes_on_while_a_line_writes(line: Path) -> None:
    """A reader and a writer do not wait for each other."""
    with closing(sqlite3.connect(line.parent / "records.sqlite", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM verdicts")
        assert len(exported(line)) == FRAMES
        writer.execute("ROLLBACK")


PEAK = """
import resource, sys
from inspector.cli import main
assert main(["export", "--config", sys.argv[1], "--out", sys.argv[2], "--coil", sys.argv[3]]) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_is_bounded_however_much_is_exported(tmp_path: Path, line: Path) -> None:
    """Five times the rows, within 15 MB the same memory."""
    (tmp_path / "records.sqlite").unlink()
    run = RunOnRecord(tmp_path / "large")
    for start in range(0, 60_000, 10_000):
        coil = "small" if start == 0 else "large"
        run.write(*(verdict(n, coil=coil) for n in range(start, start + 10_000)))
        run.settle(60)
    run.close()
    assert run.records.lost == 0
    peaks_kb = []
    for coil in ("small", "large"):
        command = [sys.executable, "-c", PEAK, str(line), str(tmp_path / f"{coil}.csv"), coil]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        peaks_kb.append(int(done.stdout.split()[-1]))
    assert (tmp_path / "large.csv").read_bytes().count(b"\n") == 50_001
    assert peaks_kb[1] - peaks_kb[0] < 15_000


def test_parquet_without_its_library_names_the_command(line: Path) -> None:
    """pyarrow comes with a separate extra."""
    code = (
        "import sys; sys.modules['pyarrow'] = None\nfrom inspector.cli import main\n"
        "sys.exit(main(['export', '--config', sys.argv[1], '--out', 'x.parquet']))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(line)], capture_output=True, text=True, cwd=line.parent)
    assert done.returncode == 2
    assert "Parquet needs pyarrow, which is not installed: pip install 'strip-inspector[parquet]'" in done.stderr


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+49 171", "-5", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1", '=HYPERLINK("http://x","y")', "＝1+1"],
)
def test_no_text_is_a_formula_in_a_spreadsheet(line: Path, text: str) -> None:
    """A coil, a file or a defect class may have any name; numbers stay numbers, also negative ones."""
    run = RunOnRecord(line.parent / "run")
    odd = msgspec.structs.replace(defect("top-40-1", along_mm=-7.5), name=text)
    run.write(verdict(40, odd, coil=text, file=text, reasons=(text,), position_mm=-128.0))
    run.settle()
    run.close()
    (row,) = exported(line, "--coil", text)
    assert (row["coil"], row["file"], row["position_mm"]) == (f"'{text}", f"'{text}", "-128.0")
    assert json.loads(row["reasons"]) == [text]
    (part,) = exported(line, "--rows", "defects", "--coil", text)
    assert (part["coil"], part["name"], part["along_mm"]) == (f"'{text}", f"'{text}", "-7.5")
    assert main(["export", "--config", str(line), "--out", str(line.parent / "x.parquet"), "--coil", text]) == 0
    assert parquet.read_table(line.parent / "x.parquet")["coil"].to_pylist() == [text]


def test_an_ordinary_text_is_exported_as_it_is(line: Path) -> None:
    """Signs within a text do not make it a formula."""
    run = RunOnRecord(line.parent / "run")
    run.write(verdict(40, coil="C-1=2 'x'", codes=()))
    run.settle()
    run.close()
    assert exported(line, "--coil", "C-1=2 'x'")[0]["coil"] == "C-1=2 'x'"


def test_codes_are_exported_beside_their_reasons(line: Path) -> None:
    """One for each, for a program that does not read sentences."""
    run = RunOnRecord(line.parent / "run")
    run.write(verdict(40, defect("top-40-1"), coil="coded", codes=("defect_area",)))
    run.settle()
    run.close()
    (row,) = exported(line, "--coil", "coded")
    assert json.loads(row["codes"]) == ["defect_area"]


def test_a_run_that_the_database_misses_is_imported_from_its_log(
    line: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each verdict is imported once, with its defects; an invalid line is counted and costs no other."""
    (line.parent / "records.sqlite").unlink()
    log = line.parent / "run" / "verdicts.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(
        b"".join([*lines[:10], b'{"camera": "top", \xff\n', b"[" * 5000 + b"\n", *lines[10:], lines[0][:40]])
    )
    command = ["records", "import", str(line.parent / "run"), "--config", str(line)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"wrote {FRAMES} of {FRAMES} verdicts to sqlite:///{line.parent / 'records.sqlite'}, which" in said
    assert "2 lines of the log hold no verdict" in said
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["read"], found["new"], found["refused"]) == (FRAMES, 0, 0)
    assert len(exported(line)) == FRAMES
    (row,) = exported(line, "--rows", "defects")
    assert (row["first_frame"], row["last_frame"], row["frames"]) == ("3", "5", "3")
    assert main(["records", "import", str(line.parent), "--config", str(line)]) == 2
    assert "holds no verdicts.jsonl: give the folder of a run" in capsys.readouterr().err


def test_a_service_is_imported_with_all_its_full_logs(line: Path) -> None:
    """In the order in which they were written, also beyond a million of them."""
    folder = line.parent / "service"
    folder.mkdir()
    for number, name in enumerate(("verdicts-000002", "verdicts-999999", "verdicts-1000000", "verdicts")):
        with (folder / f"{name}.jsonl").open("wb") as log:
            log.write(msgspec.json.encode(verdict(number, coil="service")) + b"\n")
    assert main(["records", "import", str(folder), "--config", str(line)]) == 0
    assert [row["frame_id"] for row in exported(line, "--coil", "service")] == ["0", "1", "2", "3"]


def test_marks_are_made_listed_and_taken_away(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By a coil's name or CAMERA:FRAME, with who, when and why."""
    config = ["--config", str(line)]
    assert main(["mark", "C-1", "top:12", *config, "--note", "claim 771"]) == 0
    assert main(["mark", "C-1", *config, "--note", "claim 772"]) == 0
    capsys.readouterr()
    assert main(["mark", "--list", "--json", *config]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(each["coil"], each["camera"], each["frame_id"], each["note"]) for each in found] == [
        (None, "top", 12, "claim 771"),
        ("C-1", None, None, "claim 772"),
    ]
    assert main(["mark", "--list", *config]) == 0
    assert "top:12 --run run" in capsys.readouterr().out
    assert main(["unmark", "C-1", "top:12", *config]) == 0
    assert main(["unmark", "C-1", *config]) == 2
    assert "coil C-1: is not marked" in capsys.readouterr().err
    assert main(["mark", "C-77", *config]) == 2
    assert main(["mark", *config]) == 2
    assert "nothing to mark: give a coil, or CAMERA:FRAME" in capsys.readouterr().err
