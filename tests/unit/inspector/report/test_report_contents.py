"""What a report tells beyond its counts: rules, numbers, links, times, and nothing secret."""

import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from inspector.config.recipe import load_recipe
from inspector.report.reject_gallery import OF_A_KIND, reasons_by_size
from inspector.report.report import write_report
from inspector.report.run_figures import blamed_names, read_figures
from inspector.values import Decision, Defect, Verdict
from tests.unit.inspector.report.test_report import FRAME_MM, Page, defect, picture, some_run, verdict, write_run

RECIPE = """
name = "plate"
mm_per_px_across = 0.5
mm_per_px_along = 0.5
[classes.pits]
threshold = 0.25
min_area_mm2 = 5
[classes.scratch]
action = "record"
threshold = 0.75
min_area_mm2 = 5
"""
LINE = """
{"name": "mill-2", "engine": "engine", "recipe": "recipe.toml", "deadline_ms": 350.0,
 "cameras": {"cam": {"type": "folder", "path": "frames"}}}
"""


def many_kinds(scratches: int, cracks: int) -> list[Verdict]:
    """Big scratches on most frames, small pits on a few."""
    run = []
    for n in range(scratches + cracks):
        kind, area_px = (3, 5000 + n) if n < scratches else (1, 30)
        run.append(verdict(n, [defect(n, kind, area_px, n * FRAME_MM + 30)]))
    return run


def test_every_kind_shows_its_worst(tmp_path: Path) -> None:
    """A hundred big scratches do not hide three small pits: each kind has pictures under its own heading."""
    run = many_kinds(100, 3)
    write_run(tmp_path, run)
    picture(tmp_path, run)
    page = Page(write_report(tmp_path))
    alts = [str(attrs["alt"]) for tag, attrs in page.elements if tag == "img"]
    assert alts[:3] == [f"frame {n} with its defects outlined" for n in (100, 101, 102)]
    assert len(alts) == 3 + OF_A_KIND
    assert "pits all of them" in page.text
    assert f"scratch the {OF_A_KIND} largest of 100" in page.text


def test_a_kind_whose_name_begins_with_another_is_blamed_alone() -> None:
    """A rejected edge crack does not blame the recorded edge beside it."""
    both = verdict(1, [defect(1, 1, 30, 0.0), defect(2, 3, 30, 9.0)])
    one, other = (
        msgspec.structs.replace(each, name=name)
        for each, name in zip(both.defects, ("edge", "edge crack"), strict=True)
    )
    rejected = msgspec.structs.replace(both, defects=(one, other), reasons=("edge crack 7 mm² at 0.009 m",))
    assert blamed_names(rejected) == {"edge crack"}


def test_a_frame_of_two_kinds_is_shown_with_the_rarer_one(tmp_path: Path) -> None:
    """A frame is shown once; the other kind's heading links to it."""
    run = many_kinds(2, 0)
    run[1] = verdict(1, [defect("s", 3, 9000, 140.0), defect("p", 1, 40, 150.0, 30.0)])
    write_run(tmp_path, run)
    picture(tmp_path, run)
    page = Page(write_report(tmp_path))
    assert [attrs["id"] for attrs in page.of_class("reject")] == ["reject-1", "reject-2"]
    assert "Shown with another kind: 0.128 m" in page.text
    assert [attrs["href"] for tag, attrs in page.elements if tag == "a"].count("#reject-1") == 3


def test_a_long_scratch_takes_one_picture(tmp_path: Path) -> None:
    """A defect over twenty frames is shown by the frame with most of it, so that others have room."""
    run = [verdict(n, [defect("long", 3, 500 + n % 7, n * FRAME_MM + 60)]) for n in range(20)]
    run.append(verdict(20, [defect("short", 3, 300, 20 * FRAME_MM + 60)]))
    write_run(tmp_path, run)
    picture(tmp_path, run)
    page = Page(write_report(tmp_path))
    alts = [attrs["alt"] for tag, attrs in page.elements if tag == "img"]
    assert alts == ["frame 6 with its defects outlined", "frame 20 with its defects outlined"]
    assert "over 20 frames; this one shows most of it" in page.text


def test_marks_lead_to_their_pictures(tmp_path: Path) -> None:
    """Each mark of a pictured defect is a link to an element of the page."""
    run = some_run()
    write_run(tmp_path, run)
    picture(tmp_path, run)
    page = Page(write_report(tmp_path))
    ids = {attrs["id"] for _, attrs in page.elements if attrs.get("id")}
    links = [str(attrs["href"]) for tag, attrs in page.elements if tag == "a"]
    assert links.count("#reject-1") == 3  # the marks of its scratch and pit, and the heading of the scratches
    assert all(link[0] == "#" and link[1:] in ids for link in links)


def test_reasons_come_largest_first_with_the_pictures_numbers() -> None:
    """Reasons follow the size of their defects, in whatever order the verdict has them; others come last."""
    parts = [
        Defect("a", 1, "pits", (0, 0, 5, 5), 20, 1234.0, 10.4, 1500.0, 0.9),
        Defect("b", 3, "scratch", (20, 0, 5, 90), 400, 9876.5, 20.0, 1600.0, 0.9),
        Defect("c", 1, "pits", (40, 0, 5, 5), 25, 25.0, 30.0, 1700.0, 0.9),
    ]
    reasons = (
        "pits 1,234 mm² at 1.500 m, 10 mm across: over 5 mm²",
        "pits 25 mm² at 1.700 m, 30 mm across: over 5 mm²",
        "scratch 9,876 mm² (12,345,678 mm² with the frames before) at 1.600 m, 20 mm across: over 5 mm²",
        "over 200 defects",
    )
    rejected = Verdict("cam", 1, 1, 0.0, None, Decision.REJECT, reasons, tuple(parts), "r@1", "e@1", {})
    told = reasons_by_size(rejected)
    assert [(reason.number, reason.kind) for reason in told] == [(1, 3), (2, 1), (3, 1), (0, 0)]
    assert told[0].text.startswith("scratch 9\u202f876 mm² (12\u202f345\u202f678 mm² with")


def test_tells_the_rules_in_force(tmp_path: Path) -> None:
    """Action, threshold and least area of each kind come from the run's recipe, of kinds without defects too."""
    run = [msgspec.structs.replace(v, recipe="") for v in some_run()]
    write_run(tmp_path, run)
    (tmp_path / "recipe.toml").write_text(RECIPE + '[classes.crack]\naction = "reject"\n')
    (tmp_path / "line.json").write_text(LINE)
    identity = load_recipe(tmp_path / "recipe.toml").identity
    write_run(tmp_path, [msgspec.structs.replace(v, recipe=identity) for v in run])
    page = Page(write_report(tmp_path))
    rows = {row[0]: row[1:6] for row in page.table("kinds")}
    assert rows["pits"] == ["reject", "0.25", "5.0 mm²", "1", "1"]
    assert rows["scratch"] == ["record only", "0.75", "5.0 mm²", "1", "2"]
    assert rows["crack"][:4] == ["reject", "the engine's", "the engine's", "0"]
    assert "line mill-2" in page.text
    assert "350 ms from capture to verdict" in page.text
    assert "0.5 × 0.5 mm" in page.text


def test_another_recipes_rules_are_not_shown(tmp_path: Path) -> None:
    """A recipe that was edited since the run is named as another one, and its thresholds are not shown."""
    write_run(tmp_path, some_run())
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "line.json").write_text(LINE)
    page = Page(write_report(tmp_path))
    assert "another one than gave these verdicts" in page.text
    assert "0.25" not in page.text


def test_tells_metres_and_shares(tmp_path: Path) -> None:
    """Strip inspected, rejected and not inspected is stated in metres; overlapping frames count once."""
    run = some_run()
    page = Page(write_report(write_run(tmp_path / "plain", run, frame_mm=[FRAME_MM, 200.0])))
    assert "strip inspected 2.18 m strip rejected 0.26 m 11.8% strip not inspected 0.38 m 15.0%" in page.text
    page = Page(write_report(write_run(tmp_path / "overlap", run, frame_mm=[2 * FRAME_MM, 200.0])))
    assert "strip inspected 2.30 m" in page.text
    assert "2 of 20 frames rejected (10.0%)" in page.text


def test_the_axes_are_whole(tmp_path: Path) -> None:
    """The axis along begins at 0 and is labelled at the coil's end, the axis across at the strip's edge."""
    run = [verdict(n) for n in range(4, 30)]
    page = Page(write_report(write_run(tmp_path, run, frame_mm=[FRAME_MM, 1250.0])))
    (seen,) = page.of_class("seen")
    assert seen["x"] == "13.33%"
    assert "0 m 1 2 3 3.84 m" in page.text
    assert "0 mm 500 1000 1250" in page.text


def test_a_coil_far_from_zero_fills_the_map(tmp_path: Path) -> None:
    """Positions that a service has counted for days do not squeeze the last hours into a corner."""
    run = [msgspec.structs.replace(verdict(n), position_mm=5e8 + n * FRAME_MM) for n in range(30)]
    page = Page(write_report(write_run(tmp_path, run, frame_mm=[FRAME_MM, 1250.0])))
    (seen,) = page.of_class("seen")
    assert (seen["x"], seen["width"]) == ("0.00%", "100.00%")


def test_file_names_are_told(tmp_path: Path) -> None:
    """Frames read from files are named by them, in pictures and in the table of reasons; a reason counts once."""
    run = [msgspec.structs.replace(v, file=f"plate {v.frame_id}.png") for v in some_run()]
    run[10] = msgspec.structs.replace(run[10], reasons=("plate 10.png: is truncated",))
    run[11] = msgspec.structs.replace(run[11], reasons=("plate 11.png: is truncated",))
    write_run(tmp_path, run)
    picture(tmp_path, run)
    page = Page(write_report(tmp_path))
    assert "plate 5.png" in page.text
    assert page.table("uninspected")[0] == ["is truncated", "2", "1.280 m cam, frame 10, plate 10.png"]


def test_reasons_with_a_code_are_one(tmp_path: Path) -> None:
    """Reasons that differ only in a number have one code and one row."""
    run = [
        msgspec.structs.replace(verdict(n, uninspected=f"silent for {n}.1 s"), codes=("camera-silent",))
        for n in range(5)
    ]
    page = Page(write_report(write_run(tmp_path, run)))
    assert page.table("uninspected") == [["silent for 0.1 s", "5", "0.000 m cam, frame 0"]]


def test_times_are_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Capture times are those of the PC's zone, with the offset; the title names coil and time."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        page = Page(write_report(write_run(tmp_path, some_run())))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "captured 2025-11-24 21:30:00 to 21:30:00, UTC+05:30" in page.text
    assert page.titles[0] == "Coil C1, 2025-11-24 21:30 – strip inspection"


@pytest.mark.parametrize(
    "address",
    ["rtsp://operator:hunter2@10.0.0.9/stream", "https://cam/live?x=1&password=hunter2"],
)
def test_no_password_goes_out(tmp_path: Path, address: str) -> None:
    """A camera's address in a reason, file name or coil name is shown without its password."""
    run = [verdict(n, uninspected=f"{address}: no route to host") for n in range(2)]
    run.append(msgspec.structs.replace(verdict(2, coil=address), file=address))
    page = Page(write_report(write_run(tmp_path, run, config=address)))
    assert "hunter2" not in page.html
    assert "no route to host" in page.text or "password" in address


def test_a_picture_of_a_later_frame_is_not_shown(tmp_path: Path) -> None:
    """Frame numbers restart with each ingest: a picture of a later frame is not shown for the earlier one."""
    old = verdict(7, [defect("old", 3, 9000, 900.0)])
    new = msgspec.structs.replace(
        verdict(7, [defect("new", 3, 50, 900.0)]), captured_ns=old.captured_ns + 10**12, ingest_epoch=1
    )
    write_run(tmp_path, [old, new])
    picture(tmp_path, [old, new])
    page = Page(write_report(tmp_path))
    (shown,) = page.of_class("reject")
    assert shown["id"] == "reject-1"
    assert "scratch 12 mm²" in page.text
    assert "a later frame with the same number replaced them: 1" in page.text
    assert len(page.of_class("map")) == 2


def test_memory_is_bounded_by_the_verdicts() -> None:
    """A verdict keeps 50 bytes at most, a defect 50 more: a million of both fit in 100 MB."""

    def lines(count: int) -> Iterator[bytes]:
        for n in range(count):
            yield msgspec.json.encode(verdict(n, [defect(n, 3, 10 + n % 90, n * FRAME_MM)], coil="C1")) + b"\n"

    def kept(count: int) -> int:
        figures = read_figures(lines(count), lambda _: True)
        now, _ = tracemalloc.get_traced_memory()
        assert figures.captured == count
        return now

    tracemalloc.start()
    try:
        kept(100)  # what is made once
        before = tracemalloc.get_traced_memory()[0]
        few, many = kept(1000) - before, kept(6000) - before
    finally:
        tracemalloc.stop()
    assert (many - few) / 5000 < 100
