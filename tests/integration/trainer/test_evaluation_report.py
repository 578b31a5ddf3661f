"""The page of `trainer evaluate --report`."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.labelled import write_label_maps
from trainer.cli import main
from trainer.evaluation.report.charts import operating_chart


class _Page(HTMLParser):
    """Tables by id, pictures, what is fetched from elsewhere, and whether tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.pictures: list[np.ndarray] = []
        self.scripts = 0
        self._table: list[list[str]] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            encoded = str(values["src"]).removeprefix("data:image/jpeg;base64,")
            picture = cv2.imdecode(np.frombuffer(base64.b64decode(encoded, validate=True), np.uint8), 1)
            assert picture is not None
            self.pictures.append(picture)
        self.scripts += tag in ("script", "link")
        if tag == "table" and values.get("id"):
            self._table = self.tables.setdefault(str(values["id"]), [])
        if self._table is not None and tag == "tr":
            self._table.append([])
        if self._table is not None and tag in ("td", "th"):
            self._table[-1].append("")
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "table":
            self._table = None

    def handle_data(self, data: str) -> None:
        if self._table and self._table[-1] and self.open[-1] != "title":
            self._table[-1][-1] += data.rstrip("\n")


def _report(engine_folder: Path, data: Path, out: Path) -> str:
    assert main(["evaluate", str(engine_folder), "--data", str(data), "--report", str(out)]) == 0
    return out.read_text()


def test_the_page_stands_alone_and_shows_figures_and_pictures(
    engine_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels moved from frame to frame give escapes and overkills, each pictured twice."""
    root = write_label_maps(tmp_path / "<steel> & co")
    masks = sorted((root / "masks").iterdir())
    contents = [path.read_bytes() for path in masks]
    for path, content in zip(masks[:8], [*contents[1:8], contents[0]], strict=True):
        path.write_bytes(content)
    text = _report(engine_folder, root, tmp_path / "page.html")
    page = _Page(text)
    assert page.open == []
    assert page.scripts == 0
    assert not re.search(r"(src|href)=.https?:|url\((?!#)", text)
    assert "&lt;steel&gt; &amp; co" in text
    table = capsys.readouterr().out
    assert str(tmp_path / "page.html") in table
    assert [row[0] for row in page.tables["classes"]][1:] == ["normal", " pit", " streak"]
    assert page.tables["baseline"][1][1:] == [re.search(r"escape +(0\.\d{3})", table)[1], "1.000"]
    assert len(page.tables["confusion"]) == 4
    # Frames 0 and 4 show nothing and are labelled; 3 and 7 show a streak and are labelled clean.
    assert len(page.pictures) == 2 * (2 + 2)
    label, answer = page.pictures[:2]
    assert np.ptp(label.astype(int), axis=2).max() > 60  # outlined in colour
    assert np.ptp(answer.astype(int), axis=2).max() < 30  # nothing was found


def test_clean_steel_alone_makes_a_page_without_escapes(
    engine_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a defective frame there is no share, no interval and no picture."""
    root = write_label_maps(tmp_path / "d", frames=1)
    text = _report(engine_folder, root, tmp_path / "page.html")
    page = _Page(text)
    assert "there is no defective frame" in text
    assert page.pictures == []
    assert page.open == []


def test_a_report_for_a_folder_that_is_not_there_is_refused_before_the_work(
    engine_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error comes before any work, in one line."""
    arguments = ["--data", str(data), "--report", str(tmp_path / "no" / "page.html")]
    assert main(["evaluate", str(engine_folder), *arguments]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_the_staircase_is_cut_at_the_ends_of_the_axes() -> None:
    """The axes reach 2.5 times the chosen point's interval, and the line stays within them."""
    points = [
        {"shift": shift, "escape": escape, "overkill": overkill}
        for shift, escape, overkill in ((-0.4, 0.0, 0.9), (-0.2, 0.05, 0.5), (0.0, 0.1, 0.2), (0.3, 0.9, 0.0))
    ]
    figures = {
        "operating_curve": {
            "common_shift": {"points": points, "chosen": points[2], "defective_frames": 9, "good_frames": 9},
            "by_class": {},
        },
        "escape_interval": [0.05, 0.2],
        "overkill_interval": [0.1, 0.24],
        "iou": {},
    }
    chart = operating_chart(figures)
    assert chart.common.path == "M100.00 100.00V90.00H83.33V80.00H33.33V0.00"
    assert (chart.common.chosen.x, chart.common.chosen.y) == pytest.approx((100 / 3, 80.0))
    assert chart.box == pytest.approx((100 / 6, 60.0, 70 / 3, 30.0))


def test_the_page_says_an_overkill_in_red(
    engine_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An engine that also rejects good frames gets a red figure and a sentence on the page, and a warning."""
    root = write_label_maps(tmp_path / "d")
    masks = sorted((root / "masks").iterdir())
    empty = next(mask for mask in masks if not _shows(mask))
    for mask in masks:  # nobody labelled anything: whatever is rejected is overkill
        mask.write_bytes(empty.read_bytes())
    page = tmp_path / "page.html"
    assert main(["evaluate", str(engine_folder), "--data", str(root), "--report", str(page), "--json"]) == 0
    told = capsys.readouterr()
    overkill = json.loads(told.out)["overkill"]
    assert overkill > 0.5
    sentence = f"{overkill:.0%} of the good frames are rejected"
    assert sentence in told.err
    text = page.read_text()
    assert text.count(sentence) == 1
    assert text.count('<section class="headline bad">') == 1
    assert "false rejects (overkill)" in text


def _shows(mask: Path) -> bool:
    label = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    assert label is not None
    return bool(label.any())
