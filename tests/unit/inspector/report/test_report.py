"""report.html: its content, and that it can be written whatever a run left behind."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from inspector.errors import InputError, WorkError
from inspector.report.reject_gallery import OF_A_KIND
from inspector.report.report import write_report
from inspector.sinks.pictures import RejectPictures
from inspector.values import Decision, Defect, Verdict

pytestmark = pytest.mark.usefixtures("utc")

FRAME_MM = 128.0
MM_PER_PX = 0.5
KINDS = {1: "pits", 3: "scratch"}


class Page(HTMLParser):
    """A parsed report: its text, its tables, and the elements of each kind."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text("utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, list[list[str]]] = {}
        self._table: str | None = None
        self._open: list[str] = []
        self._words: list[str] = []
        self.titles: list[str] = []
        self.feed(self.html)
        self.text = " ".join(" ".join(self._words).replace("\u202f", "").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "table":
            self._table = dict(attrs)["id"]
            assert self._table is not None
            self.rows[self._table] = []
        if tag == "tr" and self._table:
            self.rows[self._table].append([])
        if tag == "td" and self._table:
            self.rows[self._table][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass
        if tag == "table":
            self._table = None

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["style"]:
            return
        if self._open[-1:] == ["title"]:
            self.titles.append(data.replace("\u202f", ""))
            return
        self._words.append(data)
        if self._table and "td" in self._open:
            row = self.rows[self._table][-1]
            row[-1] = f"{row[-1]} {data.strip()}".replace("\u202f", "").strip()

    def table(self, name: str) -> list[list[str]]:
        return [row for row in self.rows[name] if row]

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.elements if name in (attrs.get("class") or "").split()]


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in UTC, because reports show local time."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def defect(n: int | str, kind: int, area_px: int, along_mm: float, across_mm: float = 100.0) -> Defect:
    box = (max(0, int(across_mm / MM_PER_PX) - 5), 10, 10, 10)
    area_mm2 = area_px * MM_PER_PX**2
    return Defect(f"d{n}", kind, KINDS[kind], box, area_px, area_mm2, across_mm, along_mm, 0.8)


def verdict(
    n: int,
    defects: Sequence[Defect] = (),
    *,
    camera: str = "cam",
    coil: str | None = "C1",
    uninspected: str | None = None,
    stage_ms: dict[str, float] | None = None,
) -> Verdict:
    reasons = tuple(f"{d.name} {d.area_mm2:.0f} mm²: over 5 mm²" for d in defects)
    decision = Decision.REJECT if defects else Decision.ACCEPT
    if uninspected is not None:
        decision, reasons, defects = Decision.UNINSPECTED, (uninspected,), ()
    times = {"engine": 8.0, "total": 10.0 + n % 10} if stage_ms is None else stage_ms
    ns = 1_764_000_000 * 10**9 + n * 20_000_000
    return Verdict(
        camera, n, ns, n * FRAME_MM, coil, decision, reasons, tuple(defects), "plate@aa11", "unet@bb22", times
    )


def write_run(out: Path, verdicts: Sequence[Verdict], **changes: Any) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    (out / "verdicts.jsonl").write_bytes(b"".join(msgspec.json.encode(v) + b"\n" for v in verdicts))
    decisions = [v.decision for v in verdicts]
    summary = {
        "captured": len(verdicts),
        "accepted": decisions.count(Decision.ACCEPT),
        "rejected": decisions.count(Decision.REJECT),
        "uninspected": decisions.count(Decision.UNINSPECTED),
        "late": 0,
        "frames_per_second": 100.0,
        "latency_ms": {"p50": 14.5, "p99": 19.0, "max": 19.0},
        "defects": {},
        "config": "line.toml@cc33",
        "recipe": "plate@aa11",
        "engine": "unet@bb22",
    }
    (out / "summary.json").write_text(json.dumps(summary | changes), "utf-8")
    return out


def picture(out: Path, verdicts: Sequence[Verdict], shape: tuple[int, int] = (64, 400)) -> None:
    pixels = np.random.default_rng(2).integers(90, 120, shape, dtype=np.uint8)
    sink = RejectPictures(out / "rejects")
    for one in verdicts:
        if one.decision is Decision.REJECT:
            label = np.zeros(shape, np.uint8)
            label[20:30, 20:30] = one.defects[0].kind
            sink.write(one, pixels, label)
    assert sink.lost == 0


def some_run() -> list[Verdict]:
    """20 frames; 2 rejected (a scratch over both, a pit), 3 uninspected."""
    run = [verdict(n) for n in range(20)]
    run[4] = verdict(4, [defect("s", 3, 400, 620.0)])
    run[5] = verdict(5, [defect("s", 3, 1200, 660.0), defect("p", 1, 40, 700.0, 30.0)])
    run[10] = verdict(10, uninspected="no result before the deadline")
    run[11] = verdict(11, uninspected="no result before the deadline")
    run[15] = verdict(15, uninspected="file is truncated")
    return run


def test_tells_what_the_run_came_to(tmp_path: Path) -> None:
    """The head has the run's result, the ledger, its time and its identity."""
    page = Page(write_report(write_run(tmp_path, some_run(), late=7)))
    assert "2 of 20 frames rejected" in page.text
    assert "Another 3 frames not inspected" in page.text
    assert "captured 20 = accepted 15 + rejected 2 + uninspected 3 late results 7" in page.text
    assert "✓ captured = accepted + rejected + uninspected" in page.text
    assert "captured 2025-11-24 16:00:00 to 16:00:00, UTC+00:00" in page.text
    for name in ("C1", "plate@aa11", "unet@bb22", "line.toml@cc33"):
        assert name in page.text


def test_counts_a_defect_over_two_frames_once(tmp_path: Path) -> None:
    """The table by kind counts defects, frames and areas; parts of one defect are added up."""
    page = Page(write_report(write_run(tmp_path, some_run())))
    assert page.table("kinds") == [
        ["pits", "1", "1", "10 mm²", "10 mm²", "0.700 m, 30 mm across"],
        ["scratch", "1", "2", "400 mm²", "400 mm²", "0.650 m, 100 mm across"],
    ]


def test_tells_why_frames_were_not_inspected(tmp_path: Path) -> None:
    """Each reason has its count and its first frame, most frequent first."""
    page = Page(write_report(write_run(tmp_path, some_run())))
    assert page.table("uninspected") == [
        ["no result before the deadline", "2", "1.280 m cam, frame 10"],
        ["file is truncated", "1", "1.920 m cam, frame 15"],
    ]


def test_draws_the_strip_to_scale(tmp_path: Path) -> None:
    """Every defect is a mark in its place; rejected and uninspected stretches lie where their frames do."""
    page = Page(write_report(write_run(tmp_path, some_run(), frame_mm=[FRAME_MM, 200.0])))
    (rejects,) = [a for a in page.of_class("rejects") if a.get("x")]
    assert (rejects["x"], rejects["width"]) == ("20.00%", "10.00%")
    blind = [(a["x"], a["width"]) for a in page.of_class("blind") if a.get("x")]
    assert blind == [("50.00%", "10.00%"), ("75.00%", "5.00%")]
    marks = [(a["x"], a["y"]) for tag, a in page.elements if tag == "svg" and "x" in a]
    assert marks == [("25.39%", "50.00%"), ("27.34%", "15.00%")]
    assert "scratch, 400 mm² at 0.650 m, 100 mm across" in page.titles
    assert "not inspected: 2 frames, 1.280 m to 1.536 m" in page.titles


def test_bare_strip_stays_bare(tmp_path: Path) -> None:
    """Where no frame was captured the map shows none, instead of stretching the frame before."""
    run = [verdict(n) for n in range(10)] + [verdict(n) for n in range(15, 20)]
    page = Page(write_report(write_run(tmp_path, run)))
    assert [(a["x"], a["width"]) for a in page.of_class("seen")] == [("0.00%", "50.00%"), ("75.00%", "25.00%")]


def test_one_map_for_each_camera_and_coil(tmp_path: Path) -> None:
    """Two cameras over two coils, one of them unnamed, are four strips."""
    run = [verdict(n, camera=camera, coil=coil) for camera in "ab" for coil in ("C1", None) for n in range(3)]
    page = Page(write_report(write_run(tmp_path, run)))
    assert len(page.of_class("map")) == 4
    for title in ("Coil C1 · a", "Coil C1 · b", "Strip · a", "Strip · b"):
        assert title in page.text


def test_shows_the_worst_rejects_with_their_reasons(tmp_path: Path) -> None:
    """The largest defects come first with position and reasons; the other rejects are counted, not shown."""
    run = [verdict(n, [defect(n, 3, 10 + n, n * FRAME_MM)]) for n in range(OF_A_KIND + 5)]
    write_run(tmp_path, run)
    picture(tmp_path, run)
    page = Page(write_report(tmp_path))
    images = [attrs for tag, attrs in page.elements if tag == "img"]
    assert len(images) == OF_A_KIND
    assert images[0]["alt"] == f"frame {OF_A_KIND + 4} with its defects outlined"
    assert (images[0]["width"], images[0]["height"]) == ("400", "64")
    assert f"{OF_A_KIND} frames of {OF_A_KIND + 5} rejected: the largest defects of every kind." in page.text
    assert "Pictures of 5 more are in the folder rejects." in page.text
    assert run[-1].reasons[0] in page.text


def test_a_damaged_or_missing_picture_is_said(tmp_path: Path) -> None:
    """An unreadable picture leaves its reasons and a note; rejects without one are counted."""
    run = [verdict(n, [defect(n, 3, 10 + n, n * FRAME_MM)]) for n in range(3)]
    write_run(tmp_path, run)
    picture(tmp_path, run[:2])
    (tmp_path / "rejects" / "cam-00000001.jpg").write_bytes(b"\xff\xd8 torn")
    page = Page(write_report(tmp_path))
    assert len([tag for tag, _ in page.elements if tag == "img"]) == 1
    assert "the picture cannot be read" in page.text
    assert "Of 1 no picture was kept." in page.text


def test_histogram_holds_every_frame(tmp_path: Path) -> None:
    """The bars of the histogram add up to the frames, the table gives each stage's median."""
    page = Page(write_report(write_run(tmp_path, [verdict(n) for n in range(200)])))
    bars = [title for title in page.titles if " ms" in title and "frame" in title]
    assert sum(int(bar.split(": ")[1].split()[0]) for bar in bars) == 200
    assert page.table("latency") == [
        ["engine", "8.00 ms", "8.00 ms", "8.00 ms"],
        ["capture to verdict", "14.5 ms", "19.0 ms", "19.0 ms"],
    ]


def test_names_are_escaped(tmp_path: Path) -> None:
    """Names and reasons that look like HTML are shown as they are and do nothing."""
    run = [verdict(0, camera="<b>", coil='"><script>x()</script>', uninspected="<img src=x onerror=y()> & co")]
    page = Page(write_report(write_run(tmp_path, run)))
    assert page.table("uninspected")[0][0] == "<img src=x onerror=y()> & co"
    assert "<b>, frame 0" in page.text
    assert not [tag for tag, _ in page.elements if tag in {"b", "img", "script"}]


def test_needs_nothing_but_itself(tmp_path: Path) -> None:
    """No element of the page and no rule of its style fetches anything."""
    run = some_run()
    write_run(tmp_path, run)
    picture(tmp_path, run)
    page = Page(write_report(tmp_path))
    fetched = [a[name] for _, a in page.elements for name in ("src", "href", "data", "srcset") if a.get(name)]
    pictures = [str(address) for address in fetched if not str(address).startswith("#")]
    assert len(pictures) == 1
    assert all(address.startswith("data:image/jpeg;base64,") for address in pictures)
    assert not [tag for tag, _ in page.elements if tag in {"script", "link", "iframe"}]
    for word in ("http://", "https://", "@import", "url(h", "url('"):
        assert word not in page.html


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: [verdict(n) for n in range(3)], "All 3 frames accepted"),
        (list, "No frame was captured"),
        (lambda: [verdict(0, [defect(0, 3, 50, 40.0)])], "a single frame: the length on the strip is not known"),
        (lambda: [verdict(n, uninspected="camera lost") for n in range(2)], "2 of 2 frames not inspected"),
        (lambda: [verdict(n, stage_ms={}) for n in range(3)], "The verdicts hold no times."),
        (lambda: [verdict(n, coil=None) for n in range(3)], "Strip · cam"),
    ],
)
def test_poor_runs_are_told_too(tmp_path: Path, make: Callable[[], list[Verdict]], said: str) -> None:
    """A report exists for nothing rejected, nothing captured, one frame, nothing inspected, no times, no coil."""
    page = Page(write_report(write_run(tmp_path, make())))
    assert said.lower() in page.text.lower()


def test_frames_at_one_position(tmp_path: Path) -> None:
    """A source whose position stands still gets a map that says so."""
    write_run(tmp_path, [msgspec.structs.replace(v, position_mm=5.0) for v in some_run()])
    assert "All frames at one position" in Page(write_report(tmp_path)).text


def test_torn_and_damaged_lines_are_left_out_and_said(tmp_path: Path) -> None:
    """A torn last line and a damaged one are reported, not counted, and unbalance the ledger."""
    path = write_run(tmp_path, some_run()) / "verdicts.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b'{"camera": 3}\n', *lines[4:-1], lines[-1][:50]]))
    page = Page(write_report(tmp_path))
    assert "last line of verdicts.jsonl is torn" in page.text
    assert "not verdicts and are left out: 1" in page.text
    assert "20 frames captured but 18 verdicts on record" in page.text
    assert "15 accepted in the summary but 13 on record" in page.text
    assert "The ledger does not balance" in page.text


def test_a_last_line_without_its_end_still_counts(tmp_path: Path) -> None:
    """A whole verdict whose newline is missing is a verdict."""
    path = write_run(tmp_path, some_run()) / "verdicts.jsonl"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    page = Page(write_report(tmp_path))
    assert "torn" not in page.text
    assert "✓ captured" in page.text


@pytest.mark.parametrize(("summary", "said"), [(None, "is not there"), (b'{"captured": 20', "is damaged")])
def test_a_run_without_a_whole_summary_is_reported(tmp_path: Path, summary: bytes | None, said: str) -> None:
    """A killed run is counted from its verdicts, and the report says so."""
    path = write_run(tmp_path, some_run()) / "summary.json"
    path.unlink() if summary is None else path.write_bytes(summary)
    page = Page(write_report(tmp_path))
    assert f"summary.json {said}" in page.text
    assert "2 of 20 frames rejected" in page.text
    assert "✓" not in page.text


def test_a_run_that_was_cut_off_is_never_shown_as_good(tmp_path: Path) -> None:
    """All frames on record accepted, but no summary: the headline warns."""
    (write_run(tmp_path, [verdict(n) for n in range(3)]) / "summary.json").unlink()
    page = Page(write_report(tmp_path))
    assert [a["class"] for tag, a in page.elements if tag == "section"] == ["headline warn"]
    assert "The run did not end in order" in page.text


def test_what_a_full_disk_took_is_said(tmp_path: Path) -> None:
    """Losses that the run counted are in the report."""
    page = Page(
        write_report(write_run(tmp_path, some_run(), pictures_lost=12, verdicts_lost=3, pictures_skipped=4))
    )
    for said in ("could not be written: 12", "could not be written: 3", "by the run's limit: 4"):
        assert said in page.text


def test_a_folder_without_verdicts_is_refused(tmp_path: Path) -> None:
    """The error names the file, says what is wrong and what a report needs; nothing is written."""
    with pytest.raises(InputError, match=r"holds no verdicts\.jsonl: give the folder of a run"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """A folder in the report's place gives one line, and no partial file is left."""
    (write_run(tmp_path, some_run()) / "report.html").mkdir()
    with pytest.raises(WorkError, match=r"report\.html cannot be written: Is a directory"):
        write_report(tmp_path)
    assert not list(tmp_path.glob(".*"))


def test_long_run_stays_small_and_quick(tmp_path: Path) -> None:
    """20 000 frames with 6 000 defects make a report under 3 MB in seconds, and all are counted."""
    rng = np.random.default_rng(3)
    run = []
    for n in range(20_000):
        found = [
            defect(
                f"{n}-{i}",
                int(rng.choice([1, 3])),
                int(rng.integers(20, 9000)),
                n * FRAME_MM + 20,
                200.0 * rng.random(),
            )
            for i in range(3 * (n % 10 == 0))
        ]
        run.append(verdict(n, found, uninspected="no result before the deadline" if n % 999 == 1 else None))
    write_run(tmp_path, run)
    picture(tmp_path, run[:1000], (256, 1600))
    start = time.perf_counter()
    path = write_report(tmp_path)
    assert time.perf_counter() - start < 20
    assert path.stat().st_size < 3_000_000
    assert len(path.read_bytes()) - sum(len(str(a["src"])) for t, a in Page(path).elements if t == "img") < 500_000
    page = Page(path)
    assert sum(int(row[1]) for row in page.table("kinds")) == sum(len(v.defects) for v in run)
    assert page.table("uninspected")[0][1] == str(sum(v.decision is Decision.UNINSPECTED for v in run))
    tiles = [title for title in page.titles if "in all, from" in title]
    assert sum(int(title.split(" × ")[0]) for title in tiles) == sum(len(v.defects) for v in run)
