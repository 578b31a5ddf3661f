"""From the verdict log to a coil's result: rotation, restarts, late events, a frame that shows two coils."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inspector.config.plans import PlanSet
from inspector.config.recipe import load_recipe
from inspector.core.strip.coils import CoilData, EventRefusedError
from inspector.core.strip.periodic import RollMarks
from inspector.core.strip.surface import Surface, View
from inspector.sinks.coil_results import CoilResult
from inspector.sinks.log.log_file import LogFile, Rotation
from inspector.strip import coil_judge, results
from inspector.strip.coil_events import CoilEvents
from inspector.strip.coil_judge import CoilJudge
from inspector.strip.journal import Journal
from inspector.strip.log_tail import LogTail
from inspector.strip.results import Results
from inspector.values import Decision, Defect, Motion, StripPlace, Verdict
from inspector.wire.strip_files import TrackWriter

FRAME_MM = 100.0

RECIPE = (
    'name = "r"\nmm_per_px_across = 1\nmm_per_px_along = 1\n[classes.pits]\n[coil]\nmax_uninspected_m = 1\n'
    '[[coil.rules]]\nclass = "pits"\nverdict = "downgrade"\nmax_per_coil = 2\n'
)


def verdict(frame_id: int, position_mm: float, *places: tuple[float, float], seen: bool = True) -> Verdict:
    """A frame with pits at (row, column), 10 px wide and high."""
    defects = tuple(
        Defect(
            f"top-{frame_id}-{n}", 1, "pits", (int(x), int(y), 10, 10), 80, 80.0, x + 5, position_mm + y + 5, 0.9
        )
        for n, (y, x) in enumerate(places)
    )
    decision = (Decision.REJECT if defects else Decision.ACCEPT) if seen else Decision.UNINSPECTED
    reasons = () if decision is Decision.ACCEPT else ("why",)
    place = StripPlace(Motion.RUNNING, 1000.0)
    return Verdict(
        "top", frame_id, time.time_ns(), position_mm, None, decision, reasons, defects, "r@1", "e@1",
        ingest_epoch=1, codes=reasons, strip=place,
    )  # fmt: skip


class Mill:
    """The strip's parts without sockets, on a log that a test writes."""

    def __init__(self, folder: Path, rotation: Rotation | None = None) -> None:
        self.folder, self.now_mm = folder, 0.0
        (folder / "recipe.toml").write_text(RECIPE)
        self.log = LogFile(folder / "out" / "verdicts.jsonl", rotation)
        self.journal = Journal(folder / "strip")
        self.coil_events = CoilEvents(self.journal, TrackWriter(folder), lambda: self.now_mm, (), "r@1", 0.0)
        self.coil_judge = self.begin(None)

    def begin(self, since_ns: int | None) -> CoilJudge:
        """Create the parts as a start of the process does."""
        views = {"top": View(1.0, 1.0, FRAME_MM, 200)}
        self.results = Results(self.folder / "strip", self.journal)
        plans = PlanSet(load_recipe(self.folder / "recipe.toml"), {}, ())
        return CoilJudge(
            [LogTail(self.folder / "out", since_ns)], Surface(views, 20.0), RollMarks((), 0.01, 200.0), views,
            plans, self.results, 0.0, None, 0.0,
        )  # fmt: skip

    def write(self, *verdicts: Verdict) -> None:
        for each in verdicts:
            self.log.write(msgspec.json.encode(each) + b"\n")
            self.log.rotate()

    def judge(self) -> list[CoilResult]:
        while self.coil_judge.read():
            pass
        self.coil_judge.conclude(self.coil_events.coils, self.now_mm)
        return [result for number in self.results.numbers if (result := self.results.read(number)) is not None]

    def close(self) -> None:
        self.coil_judge.close()
        self.journal.close()


@pytest.fixture
def mill(tmp_path: Path) -> Iterator[Mill]:
    """One that is closed at the end."""
    made = Mill(tmp_path)
    yield made
    made.close()


def test_a_defect_belongs_to_the_coil_that_it_lies_on(mill: Any) -> None:
    """If a frame shows the head of B, each pit belongs to the coil that it lies on."""
    mill.coil_events.start(CoilData("A"), "command")
    mill.write(*(verdict(n, FRAME_MM * n, *([(10, 20), (80, 120)] if n == 3 else [])) for n in range(6)))
    mill.now_mm = 600.0
    mill.coil_events.start(CoilData("B"), "level2:1:a", 350.0)
    mill.coil_events.end("B", "command")
    first, second = mill.judge()
    assert [(each.from_head_mm, each.across_mm) for each in first.defects] == [(315.0, 25.0)]
    assert [(each.from_head_mm, each.across_mm) for each in second.defects] == [(35.0, 125.0)]
    assert (first.length_mm, second.length_mm) == (350.0, 250.0)
    assert first.uninspected == second.uninspected == ()
    assert (first.verdict, second.verdict) == ("release", "release")


def test_reasons_of_both_kinds(mill: Any) -> None:
    """Three pits downgrade the coil, and two uninspected metres hold it."""
    mill.coil_events.start(CoilData("A"), "command")
    mill.write(*(verdict(n, FRAME_MM * n, *([(10, 20)] if n < 3 else []), seen=n < 10) for n in range(30)))
    mill.now_mm = 3000.0
    mill.coil_events.end("A", "command")
    (result,) = mill.judge()
    assert result.verdict == "hold"
    assert result.reasons == (
        "hold: 2.0 m were not inspected: over 1 m",
        "downgrade: 3 pits: over 2 in a coil",
    )
    assert result.uninspected == ((1000.0, 3000.0),)
    assert (result.frames, result.frames_rejected, result.frames_uninspected) == (30, 3, 20)


@pytest.mark.parametrize(
    ("frames", "reasons"),
    [
        (60, ("6.0 m were judged by another recipe than its plan's", "6.0 m were not inspected: over 1 m")),
        (40, ("4.0 m were not inspected: over 1 m",)),
        (9, ()),
    ],
)
def test_steel_that_another_plan_judged_is_not_inspected_by_its_own(
    mill: Any, frames: int, reasons: tuple[str, ...]
) -> None:
    """The coil's start was reported late: up to 5 m count as not inspected, more holds the coil anyway."""
    mill.coil_events.start(CoilData("A"), "command")
    head = (msgspec.structs.replace(verdict(n, FRAME_MM * n), recipe="lenient@2") for n in range(frames))
    mill.write(*head, *(verdict(n, FRAME_MM * n) for n in range(frames, 100)))
    mill.now_mm = 10_000.0
    mill.coil_events.end("A", "command")
    (result,) = mill.judge()
    assert result.verdict == ("hold" if reasons else "release")
    assert len(result.reasons) == len(reasons)
    for why, reason in zip(reasons, result.reasons, strict=True):
        assert why in reason
    assert result.uninspected_mm == 100.0 * frames


def test_frames_of_another_size_count_with_their_own(mill: Any) -> None:
    """A camera whose frames are half as long and twice as wide as the engine's: padded, or tiled."""
    mill.coil_events.start(CoilData("A"), "command")
    frames = (verdict(n, FRAME_MM / 2 * n, seen=n % 2 == 0) for n in range(40))
    mill.write(*(msgspec.structs.replace(each, size_px=(50, 400)) for each in frames))
    mill.write(verdict(40, FRAME_MM * 20, seen=False))  # a frame of a wrong size says nothing
    mill.now_mm = 2000.0
    mill.coil_events.end("A", "command")
    (result,) = mill.judge()
    assert result.uninspected_mm == 1000.0
    assert (result.left_mm, result.right_mm) == (0.0, 400.0)


def test_a_clock_that_was_a_day_ahead_hides_no_verdict(mill: Any) -> None:
    """The coil's start was noted before the clock was corrected; the strip process restarts afterwards."""
    mill.coil_events.start(CoilData("A"), "command")
    mill.write(*(verdict(n, FRAME_MM * n, *([(10, 20)] if n < 3 else [])) for n in range(10)))
    mill.coil_judge.close()
    mill.coil_judge = mill.begin(time.time_ns() + 86_400 * 10**9)
    mill.now_mm = 1000.0
    mill.coil_events.end("A", "command")
    (result,) = mill.judge()
    assert (result.count, result.frames) == (3, 10)


@pytest.mark.parametrize("lines_a_file", [1, 7, 1000])
def test_a_rotated_log_is_read_once_and_whole(tmp_path: Any, lines_a_file: Any) -> None:
    """decide rotates while the tail reads: each verdict is read once."""
    mill = Mill(tmp_path, Rotation(lines_a_file * 400, 1000))
    tail = LogTail(tmp_path / "out", None)
    found = []
    for n in range(60):
        mill.write(verdict(n, FRAME_MM * n))
        if n % 4 == 0:
            found += [each.frame_id for each in tail.read()]
    while more := [each.frame_id for each in tail.read()]:
        found += more
    tail.close()
    mill.close()
    assert found == list(range(60))


def test_a_new_log_with_the_inode_of_a_deleted_one_is_read(tmp_path: Path) -> None:
    """ext4 gives the inode of a deleted full log to the next file."""
    path = tmp_path / "verdicts.jsonl"
    tail = LogTail(tmp_path, 0)

    def write(frame_id: int, to: Path) -> None:
        to.write_bytes(msgspec.json.encode(verdict(frame_id, 0.0)) + b"\n")

    write(0, path)
    read = [each.frame_id for each in tail.read()]
    for number in range(1, 5):
        full = tmp_path / f"verdicts-{number:06d}.jsonl"
        path.rename(full)
        if number > 1:
            (tmp_path / f"verdicts-{number - 1:06d}.jsonl").rename(tmp_path / "new")
            write(number, tmp_path / "new")
            (tmp_path / "new").rename(path)
        else:
            write(number, path)
        read += [each.frame_id for each in tail.read()]
    tail.close()
    assert read == [0, 1, 2, 3, 4]


def test_a_result_that_cannot_be_read_is_put_aside_and_its_coil_judged_again(mill: Any) -> None:
    """An empty file, and one with another name, stop nothing."""
    mill.coil_events.start(CoilData("A"), "command")
    mill.write(verdict(0, 0.0))
    mill.now_mm = 100.0
    mill.coil_events.end("A", "command")
    (first,) = mill.judge()
    folder = mill.results.folder
    (folder / "000001.json").write_bytes(b"")
    (folder / "000012-old.json").write_bytes(b"{}")
    assert mill.results.oldest() is None
    again = Results(folder.parent, mill.journal)
    assert again.numbers == []
    assert mill.judge() == [first]
    assert (folder / "000001.damaged").exists()


def test_a_moment_without_file_handles_forgets_no_result(mill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only content that is no result is put aside."""
    mill.coil_events.start(CoilData("A"), "command")
    mill.write(verdict(0, 0.0))
    mill.now_mm = 100.0
    mill.coil_events.end("A", "command")
    (first,) = mill.judge()
    with monkeypatch.context() as full:
        full.setattr(results, "read_result", lambda _: (_ for _ in ()).throw(OSError(24, "Too many open files")))
        assert mill.results.oldest() is None
        assert mill.results.read(1) is None
    assert mill.results.read(1) == first
    assert mill.results.unsent == 1


def test_a_coil_that_nobody_inspected_is_held(mill: Any) -> None:
    """Whatever its plan says of uninspected steel; no log is waited for."""
    mill.coil_events.start(CoilData("A"), "command")
    mill.now_mm = 1000.0
    mill.coil_events.end("A", "command")
    (result,) = mill.judge()
    assert (result.verdict, result.frames) == ("hold", 0)
    assert "hold: no part of it was inspected over its whole width" in result.reasons


def test_half_a_line_is_read_when_it_is_whole(mill: Any, tmp_path: Any) -> None:
    """A partial line is read once it is complete."""
    tail = LogTail(tmp_path / "out", None)
    line = msgspec.json.encode(verdict(0, 0.0)) + b"\n"
    mill.log.write(line[:50])
    assert list(tail.read()) == []
    mill.log.write(line[50:] + b"no verdict\n" + line)
    assert [each.frame_id for each in tail.read()] == [0, 0]
    tail.close()


@pytest.mark.parametrize("restart_at", [0, 5, 20, 29])
def test_a_restart_in_the_middle_of_a_coil_changes_nothing(mill: Any, restart_at: Any) -> None:
    """The process is killed after some frames: the next one reads the log from the coil's head on."""
    since_ns = time.time_ns()
    mill.coil_events.start(CoilData("A"), "command")
    for n in range(30):
        mill.write(verdict(n, FRAME_MM * n, *([(10, 20)] if n % 7 == 0 else [])))
        if n == restart_at:
            mill.judge()
            mill.coil_judge.close()
            mill.coil_judge = mill.begin(since_ns)
    mill.now_mm = 3000.0
    mill.coil_events.end("A", "command")
    (result,) = mill.judge()
    assert (result.frames, result.count, result.uninspected_mm) == (30, 5, 0.0)
    assert mill.judge() == [result]


def test_a_coil_is_not_judged_before_its_tail_has_passed_the_last_camera(mill: Any) -> None:
    """Its end may be reported for a position ahead."""
    mill.coil_events.start(CoilData("A"), "command")
    mill.write(*(verdict(n, FRAME_MM * n) for n in range(9)))
    mill.now_mm = 500.0
    mill.coil_events.end("A", "level2:1:a", 900.0)
    assert mill.judge() == []
    mill.now_mm = 899.5
    assert len(mill.judge()) == 1


def test_a_scratch_over_three_coils_is_a_defect_of_each(mill: Any) -> None:
    """One id from frame to frame; each coil has its own part, with its own area."""
    long = [
        msgspec.structs.replace(
            verdict(n, FRAME_MM * n),
            coil="ABC"[n // 10],
            decision=Decision.REJECT,
            reasons=("why",),
            defects=(Defect("top-1-1", 1, "pits", (50, 0, 10, 100), 900, 900.0, 55.0, 50.0, 0.9),),
        )
        for n in range(30)
    ]
    for name in "ABC":
        mill.now_mm = "ABC".index(name) * 1000.0
        mill.coil_events.start(CoilData(name), "command")
    mill.write(*long)
    mill.now_mm = 3000.0
    mill.coil_events.end("C", "command")
    results = mill.judge()
    assert [result.count for result in results] == [1, 1, 1]
    assert [result.defects[0].area_mm2 for result in results] == [9000.0] * 3
    assert [result.defects[0].from_head_mm for result in results] == [500.0] * 3


def test_a_coil_waits_for_a_log_that_is_behind(mill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """decide's disk stalls; a verdict on half the coil would never be corrected."""
    mill.coil_events.start(CoilData("A"), "command")
    mill.write(*(verdict(n, FRAME_MM * n) for n in range(10)))
    mill.now_mm = 2000.0
    mill.coil_events.end("A", "command")
    assert mill.judge() == []
    mill.write(*(verdict(n, FRAME_MM * n, (10, 20), (50, 20), (80, 120)) for n in range(10, 20)))
    (result,) = mill.judge()
    assert (result.frames_rejected, result.verdict) == (10, "downgrade")
    mill.coil_events.start(CoilData("B"), "command")
    mill.write(*(verdict(n, FRAME_MM * n) for n in range(20, 25)))
    mill.now_mm = 3000.0
    mill.coil_events.end("B", "command")
    assert len(mill.judge()) == 1
    monkeypatch.setattr(coil_judge, "LOG_WAIT_NS", 0)
    assert "hold: top: no verdict in the log for the last 0.6 m" in mill.judge()[1].reasons


def test_a_clock_that_was_set_back_makes_no_verdict_an_old_one(mill: Any) -> None:
    """The strip process restarts afterwards; the verdicts since then lie before the coil's start by the clock."""
    since_ns = time.time_ns()
    mill.coil_events.start(CoilData("A"), "command")
    mill.write(*(verdict(n, FRAME_MM * n) for n in range(3)))
    hour_ns = 3600 * 10**9
    mill.write(
        *(
            msgspec.structs.replace(verdict(n, FRAME_MM * n, (10, 20)), captured_ns=since_ns - hour_ns + n)
            for n in range(3, 10)
        )
    )
    mill.coil_judge.close()
    mill.coil_judge = mill.begin(since_ns)
    mill.now_mm = 1000.0
    mill.coil_events.end("A", "command")
    (result,) = mill.judge()
    assert (result.frames, result.count) == (10, 7)


def test_a_coil_that_is_cut_before_its_announced_end_ends_where_the_next_one_starts(mill: Any) -> None:
    """The next coil's steel must not be judged by its plan."""
    mill.coil_events.start(CoilData("A"), "command")
    mill.now_mm = 100.0
    mill.coil_events.end("A", "level2:1:a", 900_000.0)
    mill.now_mm = 200_000.0
    made = mill.coil_events.start(CoilData("B"), "command")
    first, second = mill.coil_events.coils
    assert (first.end_mm, first.end_why) == (200_000.0, "coil B started before the announced end")
    assert made.start_mm == second.start_mm == 200_000.0
    assert [coil.end_mm for coil in Journal(mill.folder / "strip").book.coils] == [200_000.0, None]
    mill.coil_events.end("B", "level2:2:b", 300_000.0)
    mill.now_mm = 400_000.0
    with pytest.raises(EventRefusedError, match="before the end of coil B"):
        mill.coil_events.start(CoilData("C"), "level2:3:c", 250_000.0)


def test_a_coil_that_ended_at_0_is_a_border_like_any_other(mill: Any) -> None:
    """A start before its tail is refused; 0 is a position."""
    mill.now_mm = -500.0
    mill.coil_events.start(CoilData("A"), "command")
    mill.now_mm = 100.0
    mill.coil_events.end("A", "level2:1:a", 0.0)
    with pytest.raises(EventRefusedError, match="before the end of coil A"):
        mill.coil_events.start(CoilData("B"), "level2:2:b", -100.0)
