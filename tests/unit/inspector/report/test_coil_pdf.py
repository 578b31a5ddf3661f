"""The coil's PDF, and reports that are written by themselves."""

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from inspector.cli import main
from inspector.config.line import load_config
from inspector.report.judged import report_judged
from tests.benchmarks.coil_report import write_coil
from tests.unit.inspector.report.test_coil_card import line  # noqa: F401  # a fixture

pytest.importorskip("reportlab")


def text_of(pdf: Path) -> str:
    """What a reader sees; needs poppler-utils."""
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext: apt install poppler-utils")
    done = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True)
    return done.stdout.replace("\N{NO-BREAK SPACE}", " ")


def test_the_pdf_has_what_a_person_signs(line: Path) -> None:  # noqa: F811
    """Verdict, reasons, plan, engine, roll mark, severities, sides, uninspected steel, a line to sign."""
    to = line.parent / "coil.pdf"
    assert main(["report", "--config", str(line), "--coil", "C-7", "--pdf", "--out", str(to)]) == 0
    assert to.read_bytes().startswith(b"%PDF")
    text = text_of(to)
    for wanted in (
        "Coil C-7", "HOLD", "hold: 3 pits: over 2 in a coil", "strict@1 (grade DC04)", "e@1",
        "roll mark, work roll", "severity 2", "top side", "0.100 m to 0.350 m", "4 captured = 4 accepted",
        "signature", "cam, cam2", "page 1",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_only_a_judged_coil_has_a_pdf(line: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """One line that says why, and no file."""
    assert main(["report", "--config", str(line), "--coil", "C-8", "--pdf"]) == 2
    assert "coil C-8 has no verdict yet: leave out --pdf" in capsys.readouterr().err
    assert main(["report", "--config", str(line), "--pdf"]) == 2
    assert "no coil is named" in capsys.readouterr().err
    assert not list((line.parent / "out").glob("*.pdf"))


def test_every_judged_coil_gets_its_reports_once(line: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """Of two passes of one coil each has its own; a damaged result is one line, and the others are written."""
    assert main(["report", "--config", str(line), "--judged"]) == 0
    assert "at_coil_end is false" in capsys.readouterr().out
    line.write_text(line.read_text() + "[report]\nat_coil_end = true\npdf = true\n")
    coils = line.parent / "strip" / "coils"
    (coils / "000008.json").write_text("{")
    assert main(["report", "--config", str(line), "--judged"]) == 1
    assert "000008.json: cannot be read" in capsys.readouterr().err
    reports = line.parent / "out" / "reports"
    names = sorted(path.name for path in reports.iterdir())
    assert names == ["000006-C-7.html", "000006-C-7.pdf", "000007-C-7.html", "000007-C-7.pdf"]
    assert "old" in text_of(reports / "000006-C-7.pdf")
    written = [path.stat().st_mtime_ns for path in reports.iterdir()]
    (coils / "000008.json").unlink()
    assert main(["report", "--config", str(line), "--judged"]) == 0
    assert [path.stat().st_mtime_ns for path in reports.iterdir()] == written
    assert main(["report", "--config", str(line), "--judged", "--coil", "C-7"]) == 2


def test_a_coil_without_verdicts_keeps_no_other_from_its_report(line: Path) -> None:  # noqa: F811
    """Its log is gone: that is said, and the next coil is written."""
    line.write_text(line.read_text() + "[report]\nat_coil_end = true\n")
    coils = line.parent / "strip" / "coils"
    values = msgspec.json.decode((coils / "000006.json").read_bytes())
    values |= {
        "number": 5,
        "id": "gone",
        "start_mm": 9e6,
        "end_mm": 9.1e6,
        "started_ns": 10**18,
        "ended_ns": 10**18,
    }
    (coils / "000005.json").write_bytes(msgspec.json.encode(values))
    made = list(report_judged(load_config(line)))
    assert [isinstance(each, Path) for each in made] == [False, True, True]


@pytest.mark.slow
def test_a_coil_of_2_km(tmp_path: Path) -> None:
    """46,875 frames, 4,000 defects, 400 pictures: a page and a PDF with pictures of each kind."""
    config = write_coil(tmp_path)
    for name in ("coil.html", "coil.pdf"):
        arguments = ["--pdf"] if name.endswith("pdf") else []
        to = tmp_path / name
        assert main(["report", "--config", str(config), "--coil", "C-48213", "--out", str(to), *arguments]) == 0
        assert to.stat().st_size < 5e6
    text = text_of(tmp_path / "coil.pdf")
    for kind in ("pits", "cracks", "scratches", "patches"):
        assert f"{kind}: the 8 largest of" in text
