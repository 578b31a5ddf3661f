"""What the page reads from the records: the same from SQLite and from PostgreSQL, and nothing is ever written."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from inspector.errors import ConfigError, WorkError
from inspector.serve.results import Results
from inspector.serve.store import UnknownError
from inspector.values import Decision
from tests.support.recorded import SECOND_NS, STARTED_NS, Postgres, RunOnRecord, defect, verdict

ALL: dict[str, Any] = {"search": "", "kind": "", "from_ns": 0, "to_ns": 2**62, "count": 50}


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
    run.close()
    return run.url


def test_coils_come_newest_first_with_their_counts(url: str) -> None:
    """Also the frames that belong to no coil."""
    coils = Results(url).coils(**ALL)
    assert [(each["coil"], each["accept"], each["reject"], each["uninspected"]) for each in coils] == [
        (None, 0, 0, 3),
        ("C-2", 9, 1, 0),
        ("C-1", 6, 4, 0),
    ]
    assert coils[1]["kinds"] == [{"kind": 1, "name": "scratches", "parts": 2, "area_mm2": pytest.approx(32.25)}]


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ({"search": "c-1"}, ["C-1"]),
        ({"search": "'; DROP TABLE verdicts; --"}, []),
        ({"search": "%"}, []),
        ({"kind": "scratches"}, ["C-2", "C-1"]),
        ({"kind": "pits"}, []),
        ({"to_ns": STARTED_NS}, ["C-1"]),
        ({"from_ns": STARTED_NS + SECOND_NS // 5}, [None]),
        ({"count": 1}, [None]),
    ],
)
def test_a_search_narrows_the_list(url: str, limits: dict[str, Any], found: list[str | None]) -> None:
    """By part of the name as text, by kind, by time, by number."""
    assert [each["coil"] for each in Results(url).coils(**ALL | limits)] == found


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


def test_scores_are_of_defects_not_of_frames(url: str) -> None:
    """One row for each defect on the strip."""
    assert len(Results(url).scores(0, 100)) == 5
    assert Results(url).scores(STARTED_NS + SECOND_NS, 100) == []


@pytest.mark.parametrize(
    "statement", ["DELETE FROM verdicts", "CREATE TABLE x (y INTEGER)", "UPDATE runs SET host = 'x'"]
)
def test_nothing_can_be_written(url: str, statement: str) -> None:
    """The connection itself refuses."""
    with pytest.raises((WorkError, DBAPIError)), Results(url).reading() as connection:
        connection.execute(text(statement))
    assert len(Results(url).coils(**ALL)) == 3


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
