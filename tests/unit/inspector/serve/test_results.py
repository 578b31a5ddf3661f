"""What the page reads from the records: the same from SQLite and from PostgreSQL, and nothing is ever written."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from inspector.errors import ConfigError, WorkError
from inspector.serve import results as results_module
from inspector.serve.coil_summaries import NO_RUN, Wanted
from inspector.serve.results import MOST_SCANNED, Results
from inspector.serve.store import UnknownError
from inspector.sinks.coil_results import CoilResult, RollMarkResult
from inspector.sinks.records.schema import COILS, VERDICTS
from inspector.values import Decision
from tests.support.lines import slowdown
from tests.support.recorded import SECOND_NS, STARTED_NS, Postgres, RunOnRecord, defect, verdict

ALL: dict[str, Any] = {"search": "", "kind": "", "verdict": "", "from_ns": 0, "to_ns": 2**62, "count": 50}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two coils of ten frames, and three frames without a coil."""
    folder = tmp_path_factory.mktemp("results")
    if request.param == "sqlite":
        yield written(folder, None)
        return
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:  # the server's user must get there
        server = Postgres(Path(place))
        server.make()
        server.start()
        try:
            yield written(folder, server.url)
        finally:
            server.stop()


def written(folder: Path, url: str | None) -> str:
    """The records' URL."""
    run = RunOnRecord(folder / "run", url)
    for n in range(10):
        found = [defect(f"top-{n}", area_px=100 + n, along_mm=128.0 * n)] if n % 3 == 0 else []
        run.write(verdict(n, *found, coil="C-1"))
    for n in range(10, 20):
        # One defect in two frames; it is recorded only in the first.
        found = [defect("top-x", area_px=50 + n, along_mm=128.0 * n)] if n in (14, 15) else []
        more: dict[str, Any] = {"decision": Decision.ACCEPT, "reasons": ()} if n == 14 else {}
        run.write(verdict(n, *found, coil="C-2", **more))
    for n in range(20, 23):
        gone: dict[str, Any] = {"decision": Decision.UNINSPECTED, "reasons": ("no result",), "codes": ("overdue",)}
        run.write(verdict(n, coil=None, **gone))
    run.settle()
    write_cards(run)
    run.close()
    return run.url


CARD: dict[str, Any] = {
    "strip_key": "s", "line": "l@1", "grade": "DC04", "customer": "ACME", "start_mm": 1280.0, "end_mm": 2560.0,
    "length_mm": 1280.0, "plan": "soft", "plan_why": "grade DC04", "recipe": "r@1", "verdict": "hold",
    "reasons": '["hold: 2 cracks"]', "counts": '{"scratches": 2}', "defects": 2, "uninspected_mm": 0.0,
    "roll_marks": '["roll mark, work roll top"]',
}  # fmt: skip


def write_cards(run: RunOnRecord) -> None:
    """C-2 with its verdict, an earlier coil of the same name, and C-0, whose frames are deleted."""
    tenth = SECOND_NS // 10
    with run.database.writing() as connection, connection.begin():
        for number, coil, from_ns, to_ns in (
            (1, "C-0", -1000 * SECOND_NS, -900 * SECOND_NS),
            (2, "C-2", -800 * SECOND_NS, -700 * SECOND_NS),
            (3, "C-2", tenth, 2 * tenth),
        ):
            times = {"started_ns": STARTED_NS + from_ns, "ended_ns": STARTED_NS + to_ns}
            connection.execute(insert(COILS).values(**CARD | times, number=number, coil=coil))


def test_coils_come_newest_first_with_their_counts(url: str) -> None:
    """The list includes the frames without a coil."""
    coils = Results(url).coils(**ALL)
    assert [(each["coil"], each["accept"], each["reject"], each["uninspected"]) for each in coils] == [
        (None, 0, 0, 3),
        ("C-2", 9, 1, 0),
        ("C-1", 6, 4, 0),
        ("C-2", 0, 0, 0),
        ("C-0", 0, 0, 0),
    ]
    assert coils[1]["kinds"] == [{"kind": 1, "name": "scratches", "parts": 2, "area_mm2": pytest.approx(32.25)}]


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ({"search": "c-1"}, ["C-1"]),
        ({"search": "dc04"}, ["C-2", "C-2", "C-0"]),
        ({"search": "acme", "verdict": "hold"}, ["C-2", "C-2", "C-0"]),
        ({"verdict": "release"}, []),
        ({"to_ns": STARTED_NS - 850 * SECOND_NS}, ["C-0"]),
        ({"search": "'; DROP TABLE verdicts; --"}, []),
        ({"search": "%"}, []),
        ({"kind": "scratches"}, ["C-2", "C-1", "C-2", "C-0"]),
        ({"kind": "pits"}, []),
        ({"to_ns": STARTED_NS}, ["C-1", "C-2", "C-0"]),
        ({"from_ns": STARTED_NS + SECOND_NS // 5}, [None]),
        ({"count": 1}, [None]),
    ],
)
def test_a_search_narrows_the_list(url: str, limits: dict[str, Any], found: list[str | None]) -> None:
    """A search filters by part of the name, kind, time and number."""
    assert [each["coil"] for each in Results(url).coils(**ALL | limits)] == found


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_a_name_that_comes_again_is_another_coil(backend: str, tmp_path: Path) -> None:
    """Held with rejects in the first pass, released without in the second, with another coil between them."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        server = Postgres(Path(place)) if backend == "postgresql" else None
        if server is not None:
            server.make()
            server.start()
        run = RunOnRecord(tmp_path / "run", None if server is None else server.url)
        for n in range(30):
            found = [defect(f"top-{n}", area_px=100)] if n < 4 else []
            run.write(verdict(n, *found, coil="C-8" if 10 <= n < 20 else "C-7"))
        run.settle()
        with run.database.writing() as connection, connection.begin():
            for number, coil, start, end, judged in ((1, "C-7", 0, 9, "hold"), (3, "C-7", 20, 29, "release")):
                # The line names the coil a frame before its card begins.
                times = [STARTED_NS + (n + shift) * SECOND_NS // 100 for n, shift in ((start, 1), (end, 0))]
                values = {"started_ns": times[0], "ended_ns": times[1], "verdict": judged}
                connection.execute(insert(COILS).values(**CARD | values, number=number, coil=coil))
        run.close()
        results = Results(run.url)
        listed = [
            (each["coil"], each["accept"], each["reject"], (each["card"] or {}).get("verdict"))
            for each in results.coils(**ALL)
        ]
        second, first = (results.coil("C-7", 1, None, number) for number in (3, 1))
        newest, bookmarked = results.coil("C-7", 1), results.coil("C-7", NO_RUN, None, 1)
        with pytest.raises(UnknownError, match="not in the records"):
            results.coil("C-7", NO_RUN, None, 8)
        if server is not None:
            server.stop()
    assert listed == [("C-7", 10, 0, "release"), ("C-8", 10, 0, None), ("C-7", 6, 4, "hold")]
    assert (second["card"]["verdict"], second["reject"], len(second["defects"])) == ("release", 0, 0)
    assert second["segments"] == [["top", 2560.0, 3840.0, 0]]
    assert (first["card"]["verdict"], first["reject"], len(first["defects"])) == ("hold", 4, 4)
    assert newest == second
    assert bookmarked == first, "listed before its frames were recorded"


def test_a_coil_has_its_stretches_and_its_defects_by_severity(url: str) -> None:
    """Largest first; a defect over two frames is one, with the picture of its larger part."""
    results = Results(url)
    one = results.coil("C-1", 1)
    assert [each["area_mm2"] for each in one["defects"]] == [27.2, 26.5, 25.8, 25.0]
    assert [segment[3] for segment in one["segments"]] == [1, 0, 1, 0, 1, 0, 1]
    two = results.coil("C-2", 1)
    assert len(two["defects"]) == 1
    assert two["defects"][0]["frames"] == 2
    assert two["defects"][0]["frame"] == 15
    assert two["defects"][0]["rejected"]
    assert results.coil(None, 1)["segments"] == [["top", 2560.0, 2944.0, 2]]
    with pytest.raises(UnknownError, match="not in the records"):
        results.coil("C-3", 1)


def test_a_coil_has_the_card_of_its_own_time(url: str) -> None:
    """Grade, plan, verdict and roll marks; a name that came again has another card."""
    results = Results(url)
    now = results.coil("C-2", 1)
    assert (now["card"]["number"], now["card"]["verdict"], now["card"]["grade"]) == (3, "hold", "DC04")
    assert now["card"]["reasons"] == ["hold: 2 cracks"]
    assert results.coil("C-1", 1)["card"] is None
    gone = results.coil("C-0", NO_RUN)
    assert (gone["card"]["number"], gone["segments"], gone["to_mm"]) == (1, [], 2560.0)
    with pytest.raises(UnknownError, match="not in the records"):
        results.coil("C-1", NO_RUN)


def test_a_coil_behind_thousands_of_newer_ones_opens_with_its_frames(tmp_path: Path) -> None:
    """Found by name, by time and by grade, with all its 20,000 frames, each in less than a second."""
    run = RunOnRecord(tmp_path / "run")
    run.write(verdict(0, defect("a"), coil="OLD"))
    run.settle()
    old, newer = 20_000, MOST_SCANNED + 100
    with run.database.writing() as connection, connection.begin():
        [row] = connection.execute(select(VERDICTS)).mappings()
        frame = {name: value for name, value in row.items() if name != "id"} | {"decision": "accept", "defects": 0}
        frames = [
            frame | {"frame_id": n, "captured_ns": STARTED_NS + n * SECOND_NS // 100, "position_mm": 128.0 * n}
            for n in range(1, old)
        ]
        day_ns = 86_400 * SECOND_NS
        frames += [
            frame | {"coil": f"N-{n}", "frame_id": old + n, "captured_ns": STARTED_NS + 9 * day_ns + n * SECOND_NS}
            for n in range(newer)
        ]
        connection.execute(insert(VERDICTS), frames)
        card = CARD | {"grade": "S700", "started_ns": STARTED_NS, "ended_ns": STARTED_NS + old * SECOND_NS // 100}
        connection.execute(insert(COILS).values(**card, number=1, coil="OLD"))
    run.close()
    results = Results(run.url)
    assert len(results.coils(**ALL)) == 50
    for limits in ({"search": "old"}, {"search": "s700"}, {"to_ns": STARTED_NS + SECOND_NS}):
        began_s = time.perf_counter()
        [coil] = results.coils(**ALL | limits)
        assert time.perf_counter() - began_s < 1.0 * slowdown()
        assert (coil["coil"], coil["run"], coil["accept"], coil["reject"]) == ("OLD", 1, old - 1, 1)
        assert coil["card"]["grade"] == "S700"
    for number in (1, NO_RUN):
        began_s = time.perf_counter()
        whole = results.coil("OLD", number)
        assert time.perf_counter() - began_s < 1.0 * slowdown()
        assert whole["run"] == 1
        assert [segment[3] for segment in whole["segments"]] == [1, 0]
        assert len(whole["defects"]) == 1


def test_a_coil_that_no_scan_reached_is_listed_with_its_frames(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its card alone leads to it; a coil whose frames are deleted stays without."""
    monkeypatch.setattr(results_module, "MOST_SCANNED", 1)
    listed = Results(url).coils(**ALL)
    assert [(each["coil"], each["run"], each["accept"]) for each in listed] == [
        (None, 1, 0),
        ("C-2", 1, 9),
        ("C-2", NO_RUN, 0),
        ("C-0", NO_RUN, 0),
    ]
    earlier = Results(url).coil("C-2", NO_RUN)
    assert (earlier["card"]["number"], earlier["segments"]) == (2, [])


def test_roll_marks_have_their_place_where_the_result_lies(url: str, tmp_path: Path) -> None:
    """From the result in the strip's folder; of another coil, damaged or missing none."""
    results = Results(url)
    assert results.coil("C-2", 1, tmp_path)["roll_marks"] == []
    mark = RollMarkResult("roll mark", "work roll", "top", "pits", 700.0, 800.0, 100.0, 900.0, 2, 2)
    fields: dict[str, Any] = dict.fromkeys(CoilResult.__struct_fields__, 0) | {
        "id": "C-2", "start_mm": 1280.0, "roll_marks": (mark,)
    }  # fmt: skip
    for name in ("grade", "customer", "end_why", "plan", "plan_why", "recipe", "verdict"):
        fields[name] = ""
    for name in ("reasons", "uninspected", "engines", "recipes", "defects"):
        fields[name] = ()
    fields["counts"] = fields["severities"] = {}
    (tmp_path / "coils").mkdir()
    file = tmp_path / "coils" / "000003.json"
    file.write_bytes(msgspec.json.encode(CoilResult(**fields)))
    [place] = results.coil("C-2", 1, tmp_path)["roll_marks"]
    assert (place["from_mm"], place["to_mm"], place["across_mm"]) == (1380.0, 2180.0, 800.0)
    file.write_bytes(msgspec.json.encode(CoilResult(**fields | {"id": "C-9"})))
    assert results.coil("C-2", 1, tmp_path)["roll_marks"] == []
    file.write_text("{")
    assert results.coil("C-2", 1, tmp_path)["roll_marks"] == []


def test_scores_are_of_defects_not_of_frames(url: str) -> None:
    """One row for each defect on the strip."""
    assert len(Results(url).scores(0, 100)) == 5
    assert Results(url).scores(STARTED_NS + SECOND_NS, 100) == []


@pytest.mark.parametrize(
    "statement", ["DELETE FROM verdicts", "CREATE TABLE x (y INTEGER)", "UPDATE runs SET host = 'x'"]
)
def test_nothing_can_be_written(url: str, statement: str) -> None:
    """The connection refuses writes."""
    with pytest.raises((WorkError, DBAPIError)), Results(url).reading() as connection:
        connection.execute(text(statement))
    assert len(Results(url).coils(**ALL)) == 5


def test_no_records_and_other_records_are_one_clear_line(tmp_path: Path) -> None:
    """No file, an empty one, one that is not a database, one of a newer inspector."""
    import sqlite3

    def said(name: str) -> str:
        with pytest.raises((WorkError, ConfigError)) as raised:
            Results(f"sqlite:///{tmp_path / name}").coils(**ALL)
        return str(raised.value)

    assert "nothing was recorded yet" in said("none.sqlite")
    (tmp_path / "empty.sqlite").touch()
    assert "nothing was recorded yet" in said("empty.sqlite")
    (tmp_path / "bad.sqlite").write_bytes(b"text" * 2000)
    assert "not a database" in said("bad.sqlite")
    connection = sqlite3.connect(tmp_path / "newer.sqlite")
    connection.execute("CREATE TABLE schema_version (version INTEGER)")
    connection.execute("INSERT INTO schema_version VALUES (99)")
    connection.commit()
    connection.close()
    assert "newer inspector" in said("newer.sqlite")


@pytest.mark.parametrize(
    ("cards", "out"),
    [
        ([("hold", {"pits": 2})], True),
        ([("hold", {"pits": 2}), ("release", {})], True),
        ([("hold", {"pits": 2}), ("release", {"scratches": 1})], False),
        ([("hold", {"pits": 2}), (None, {})], False),
        ([], False),
    ],
)
def test_a_search_for_a_kind_passes_over_coils_that_were_judged_without_it(cards: list[Any], out: bool) -> None:
    """So a kind is found in more coils than are examined; a coil that is not judged is examined."""
    wanted = Wanted("", "scratches", "", 0, 2**62)
    assert wanted.rules_out([{"verdict": verdict, "counts": counts} for verdict, counts in cards]) is out
    assert not Wanted("", "", "", 0, 2**62).rules_out([{"verdict": "hold", "counts": {}}])
