"""`inspector report`: which verdicts it selects, from which files, and its message without any."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from inspector.cli import main
from inspector.report.verdict_files import Selection, VerdictFiles
from inspector.values import Verdict
from tests.unit.inspector.report.test_report import Page, defect, picture, some_run, verdict, write_run

NOW_S = time.time()
HOUR_S = 3600


def log(path: Path, verdicts: Sequence[Verdict]) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in verdicts))


def at(n: int, hours_ago: float, coil: str = "C1") -> Verdict:
    ns = int((NOW_S - hours_ago * HOUR_S) * 1e9)
    return msgspec.structs.replace(verdict(n, coil=coil), captured_ns=ns)


def service(out: Path) -> Path:
    """Two full logs and the one in use, a coil each, 20 h, 7 h and 1 h old; no run's config, no summary."""
    out.mkdir()
    for number, (name, hours) in enumerate([("verdicts-000001", 20), ("verdicts-000002", 7), ("verdicts", 1)]):
        path = out / f"{name}.jsonl"
        log(path, [at(100 * number + n, hours, f"C{number}") for n in range(5)])
        os.utime(path, (NOW_S - hours * HOUR_S, NOW_S - hours * HOUR_S))
    return out


def config(folder: Path, out: Path) -> Path:
    path = folder / "line.toml"
    path.write_text(
        'name = "mill"\nengine = "engine"\nrecipe = "recipe.toml"\n'
        f'[cameras.cam]\ntype = "simulator"\n[sinks]\nout = "{out}"\nlog_megabytes = 1\n'
    )
    return path


def test_a_services_logs_are_one_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All logs of a service are counted, moved ones too, without a summary and without a warning for that."""
    out = service(tmp_path / "out")
    assert main(["report", "--config", str(config(tmp_path, out))]) == 0
    assert capsys.readouterr().out == f"report   {out / 'report.html'}\n"
    page = Page(out / "report.html")
    assert "All 15 frames accepted" in page.text
    assert "in order" not in page.text
    assert "counted from the verdicts on record" in page.text
    assert "line mill" in page.text


@pytest.mark.parametrize(
    ("options", "captured"), [(["--last", "8h"], 10), (["--last", "90min"], 5), (["--last", "2d"], 15)]
)
def test_the_last_hours(tmp_path: Path, options: list[str], captured: int) -> None:
    """Only verdicts captured since then are counted, over the logs that hold them."""
    out = service(tmp_path / "out")
    assert main(["report", str(out), *options]) == 0
    (path,) = out.glob("*.html")
    assert path.name == f"report-last-{options[1]}.html"
    assert f"All {captured} frames accepted" in Page(path).text


def test_one_coil(tmp_path: Path) -> None:
    """Only the coil's verdicts are counted, under a name that any file system takes."""
    out = tmp_path / "out"
    out.mkdir()
    log(out / "verdicts.jsonl", [verdict(n, coil="C/1" if n % 3 else "C2") for n in range(9)])
    assert main(["report", str(out), "--coil", "C/1"]) == 0
    page = Page(out / "report-C%2F1.html")
    assert "All 6 frames accepted" in page.text
    assert page.titles[0].startswith("Coil C/1, ")
    assert "C2" not in page.text


def test_out_names_the_file(tmp_path: Path) -> None:
    """--out writes there, and nowhere else."""
    out = service(tmp_path / "out")
    before = sorted(out.iterdir())
    assert main(["report", str(out), "--out", str(tmp_path / "shift.html")]) == 0
    assert "All 15 frames accepted" in Page(tmp_path / "shift.html").text
    assert sorted(out.iterdir()) == before


def test_a_killed_run_has_a_report(tmp_path: Path) -> None:
    """A run without a summary is reported with its pictures, and the report says that it has not ended."""
    run = some_run()
    (write_run(tmp_path, run) / "summary.json").unlink()
    (tmp_path / "line.json").write_text("{}")
    picture(tmp_path, run)
    assert main(["report", str(tmp_path)]) == 0
    page = Page(tmp_path / "report.html")
    assert "2 of 20 frames rejected (10.0%)" in page.text
    assert "has not ended" in page.text
    assert len(page.of_class("reject")) == 1


def test_a_services_summary_of_its_last_start_is_no_contradiction(tmp_path: Path) -> None:
    """A service that was restarted left a summary of its last start only: the ledger is not called unbalanced."""
    write_run(tmp_path, some_run(), captured=5, accepted=5, rejected=0, uninspected=0)
    assert main(["report", str(tmp_path)]) == 0
    page = Page(tmp_path / "report.html")
    assert "2 of 20 frames rejected" in page.text
    assert "balance" not in page.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--coil", "C9"], "no verdict of coil C9; coils on record: C0, C1, C2"),
        (["--last", "30min"], "no verdict of the last 30min: the newest verdict read is of "),
        (["--coil", "C0", "--last", "8h"], "no verdict of coil C0 in the last 8h; coils on record: C1, C2"),
        (["--last", "8"], "write it as 30min, 8h or 2d"),
        (["--last", "0h"], "write it as 30min, 8h or 2d"),
        (["--last", "-1h"], "--last needs a value"),
        (["--config", "line.toml"], "one of them"),
    ],
)
def test_nothing_to_report_is_one_line(
    tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A selection without verdicts, or an invalid one, ends with the possible selections."""
    out = service(tmp_path / "out")
    assert main(["report", str(out), *options]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not list(out.glob("*.html"))


def test_a_folder_of_runs_names_the_newest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder above the runs holds no verdicts: the message names the newest run."""
    for age_s, name in enumerate(["new", "old"]):
        write_run(tmp_path / name, some_run())
        os.utime(tmp_path / name / "verdicts.jsonl", (NOW_S - age_s, NOW_S - age_s))
    assert main(["report", str(tmp_path)]) == 2
    assert f"inspector report {tmp_path / 'new'}" in capsys.readouterr().err


def test_a_log_that_moves_meanwhile_is_read_once(tmp_path: Path) -> None:
    """A line that begins a new log while its logs are read loses us no verdict, and gives none twice."""
    out = service(tmp_path / "out")
    lines = VerdictFiles(out, Selection()).lines()
    seen = [next(lines)]
    (out / "verdicts.jsonl").rename(out / "verdicts-000003.jsonl")
    log(out / "verdicts.jsonl", [at(n, 0) for n in range(900, 905)])
    seen += lines
    ids = [msgspec.json.decode(line, type=Verdict).frame_id for line in seen]
    assert ids == [*range(5), *range(100, 105), *range(200, 205)]


def test_an_unwritable_place_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be written ends with its name and what to do."""
    out = service(tmp_path / "out")
    assert main(["report", str(out), "--out", str(tmp_path / "no" / "such" / "place.html")]) == 1
    assert "place.html cannot be written: No such file or directory: give another --out" in capsys.readouterr().err


def test_rejects_of_the_selection_have_their_pictures(tmp_path: Path) -> None:
    """Pictures are those of the coil asked for."""
    run = [verdict(n, [defect(n, 3, 100 + n, n * 128.0 + 9)], coil=f"C{n % 2}") for n in range(6)]
    write_run(tmp_path, run)
    picture(tmp_path, run)
    assert main(["report", str(tmp_path), "--coil", "C1"]) == 0
    images = [attrs["alt"] for tag, attrs in Page(tmp_path / "report-C1.html").elements if tag == "img"]
    assert images == [f"frame {n} with its defects outlined" for n in (5, 3, 1)]
