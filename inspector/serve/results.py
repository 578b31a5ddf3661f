"""Reads the records for the page, over a read-only connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from inspector.errors import WorkError
from inspector.serve.coil_cards import Card, card_of, read_cards, result_of, roll_mark_places, turns
from inspector.serve.coil_summaries import NO_RUN, Wanted, of_coil, strip_defects, summaries, without_frames
from inspector.serve.segments import join_segments
from inspector.serve.severity import rate_defects
from inspector.serve.store import UnknownError
from inspector.sinks.records.database import CONNECT_S, parse_url, reason, shown
from inspector.sinks.records.read_only import open_read_only
from inspector.sinks.records.schema import refuse_newer, stored_version

STATEMENT_S: Final = 10
"""Time-out of a statement on PostgreSQL, seconds."""

MOST_SCANNED: Final = 2_000
"""Most coils whose frames are examined for one search; name and time are looked at before, in all coils."""

SPARE_NS: Final = 86_400 * 10**9
"""A coil's first and last recorded frame tell its time only so well: an import writes frames out of order."""

MOST_FRAMES: Final = 1_000_000
"""Frames of one coil that a map shows."""

MOST_DEFECTS: Final = 20_000
"""Parts of defects of one coil that a map shows, the largest."""

_DECISIONS: Final = {"accept": 0, "reject": 1, "uninspected": 2}

# Jumps from coil to coil along the index, so that years of frames are not read.
_COILS: Final = """
WITH RECURSIVE each (coil) AS (
  SELECT MIN(coil) FROM verdicts
  UNION ALL
  SELECT (SELECT MIN(coil) FROM verdicts WHERE coil > each.coil) FROM each WHERE each.coil IS NOT NULL
)
, spans (coil, oldest, newest) AS (
  SELECT coil, (SELECT MIN(id) FROM verdicts WHERE coil = each.coil),
    (SELECT MAX(id) FROM verdicts WHERE coil = each.coil) FROM each WHERE coil IS NOT NULL
  UNION ALL
  SELECT NULL, (SELECT MIN(id) FROM verdicts WHERE coil IS NULL), (SELECT MAX(id) FROM verdicts WHERE coil IS NULL)
)
SELECT spans.coil, newest, one.captured_ns AS one_ns, other.captured_ns AS other_ns
FROM spans JOIN verdicts AS one ON one.id = oldest JOIN verdicts AS other ON other.id = newest
ORDER BY newest DESC
"""

_FRAMES: Final = """
SELECT camera, position_mm, decision, ingest_epoch FROM verdicts
WHERE {coil} AND run_id = :run AND captured_ns BETWEEN :from_ns AND :to_ns
ORDER BY camera, captured_ns, frame_id LIMIT :most
"""

_PARTS: Final = """
SELECT defects.camera, defects.ingest_epoch, defects.frame_id, defects.captured_ns, n, defect_id, began_ns, kind,
  name, x_px, y_px, width_px, height_px, area_mm2, across_mm, along_mm, score, decision
FROM verdicts JOIN defects ON defects.run_id = verdicts.run_id AND defects.camera = verdicts.camera
  AND defects.frame_id = verdicts.frame_id AND defects.ingest_epoch = verdicts.ingest_epoch
WHERE {coil} AND verdicts.run_id = :run AND verdicts.captured_ns BETWEEN :from_ns AND :to_ns
  AND verdicts.defects > 0 ORDER BY area_mm2 DESC LIMIT :most
"""


class Results:
    """The records of one database."""

    def __init__(self, url: str) -> None:
        parsed = parse_url(url)
        self.shown = shown(parsed)
        self._summaries: dict[tuple[str | None, int, tuple[int, ...]], list[dict[str, Any]]] = {}
        self._file = Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None
        if self._file is not None:
            self._engine = create_engine(
                "sqlite://", creator=partial(open_read_only, self._file), poolclass=NullPool
            )
            # For a read, the driver itself would begin no transaction and so take no snapshot.
            event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        else:
            self._engine = create_engine(parsed, connect_args=_SERVER_OPTIONS, poolclass=NullPool)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a connection within one snapshot. Raises WorkError if there are none or the database fails."""
        if self._file is not None and not self._file.exists():
            raise WorkError("nothing was recorded yet: [records] enabled = true in the line's config records it")
        try:
            with self._engine.connect() as connection, connection.begin():
                version = stored_version(connection)
                refuse_newer(version)
                if not version:
                    raise WorkError("nothing was recorded yet")
                yield connection
        except DBAPIError as error:
            raise WorkError(f"{self.shown}: {reason(error)}") from None

    def coils(
        self, *, search: str, kind: str, verdict: str, from_ns: int, to_ns: int, count: int
    ) -> list[dict[str, Any]]:
        """Return the newest coils that match, newest first: also those whose frames are not recorded any more."""
        wanted = Wanted(search.casefold(), kind, verdict, from_ns, to_ns)
        with self.reading() as connection:
            found: list[dict[str, Any]] = []
            cards = read_cards(connection)
            recorded: set[int] = set()
            newest_of: dict[str | None, int] = {}
            scanned = 0
            for coil, newest, *times in connection.execute(text(_COILS)):
                own = cards.get(coil, [])
                newest_of[coil] = newest
                if len(found) >= count or scanned >= MOST_SCANNED or not wanted.names(coil, own):
                    continue
                if wanted.rules_out(own):
                    continue
                if max(times) < from_ns - SPARE_NS or min(times) > to_ns + SPARE_NS:
                    continue
                scanned += 1
                for summary in self._with_cards(connection, coil, newest, own):
                    if summary["card"] is not None:
                        recorded.add(id(summary["card"]))
                    if wanted.fits(summary):
                        found.append(summary)
            oldest_ns = min((each["to_ns"] for each in found), default=0) if len(found) >= count else 0
            found += [
                each
                for each in (
                    without_frames(card) for own in cards.values() for card in own if id(card) not in recorded
                )
                if each["to_ns"] >= oldest_ns and wanted.names(each["coil"], [each["card"]]) and wanted.fits(each)
            ]
            listed: list[dict[str, Any]] = []
            for each in sorted(found, key=lambda each: -each["to_ns"])[:count]:
                # Its frames may be in the records, behind more coils than were examined.
                newest = newest_of.get(each["coil"], 0) if each["run"] == NO_RUN else 0
                own = cards.get(each["coil"], [])
                behind = self._with_cards(connection, each["coil"], newest, own) if newest else []
                listed += [summary for summary in behind if summary["card"] is each["card"]] or [each]
        return listed[:count]

    def _with_cards(
        self, connection: Connection, coil: str | None, newest: int, cards: list[Card]
    ) -> list[dict[str, Any]]:
        """Return a coil's summaries, each with the card of its time."""
        return [
            summary | {"card": card_of(cards, summary["from_ns"], summary["to_ns"])}
            for summary in self._summary(connection, coil, newest, turns(cards))
        ]

    def _summary(
        self, connection: Connection, coil: str | None, newest: int, between: tuple[int, ...]
    ) -> list[dict[str, Any]]:
        """Return one summary per run and pass; remembered as long as the coil gets no further frame."""
        key = (coil, newest, between)
        if key not in self._summaries:
            if len(self._summaries) > 2 * MOST_SCANNED:
                self._summaries.clear()
            self._summaries[key] = summaries(connection, coil, between)
        return self._summaries[key]

    def coil(
        self, coil: str | None, run: int, strip: Path | None = None, number: int | None = None
    ) -> dict[str, Any]:
        """Return a coil's summary, the stretches of its map, and its defects, the most severe first.

        `strip` is the folder in which the coils' results lie. `number` is that of the card, if the name came more
        than once; without it, the newest pass counts.
        """
        with self.reading() as connection:
            cards = [] if coil is None else read_cards(connection, coil).get(coil, [])
            found = sorted(summaries(connection, coil, turns(cards)), key=lambda each: -each["to_ns"])
            card_by = {id(each): card_of(cards, each["from_ns"], each["to_ns"]) for each in found}
            if run == NO_RUN and cards:
                recorded = [id(card) for card in card_by.values()]
                asked = [card for card in cards if number is None or card["number"] == number]
                bare = next((card for card in asked if id(card) not in recorded), None)
                if bare is not None:
                    return without_frames(bare) | {
                        "segments": [], "defects": [], "roll_marks": roll_mark_places(result_of(strip, bare))
                    }  # fmt: skip
            # Without a run, a coil with a card: its frames have been recorded since it was listed.
            passes = [each for each in found if run == each["run"] or (run == NO_RUN and cards)]
            numbered = [each for each in passes if _number(card_by[id(each)]) == number]
            summary = next(iter(passes if number is None or (run and not numbered) else numbered), None)
            if summary is None:
                raise UnknownError(f"coil {coil}: not in the records")
            values = {
                "coil": coil,
                "run": summary["run"],
                "from_ns": summary["from_ns"],
                "to_ns": summary["to_ns"],
            }
            frames = connection.execute(text(of_coil(_FRAMES, coil)), values | {"most": MOST_FRAMES})
            segments = join_segments(frames, _DECISIONS)
            parts = connection.execute(text(of_coil(_PARTS, coil)), values | {"most": MOST_DEFECTS})
            defects = strip_defects(parts.mappings())
        card = card_by[id(summary)]
        result = result_of(strip, card)
        return summary | {
            "card": card,
            "segments": segments,
            "defects": rate_defects(defects, result),
            "roll_marks": roll_mark_places(result),
        }

    def folder(self, run: int) -> Path:
        """Return the folder of a run's results on this PC. Raises UnknownError."""
        with self.reading() as connection:
            found = connection.execute(text("SELECT folder FROM runs WHERE id = :run"), {"run": run}).scalar()
        if found is None:
            raise UnknownError(f"run {run}: not in the records")
        return Path(found)

    def scores(self, since_ns: int, most: int) -> list[dict[str, Any]]:
        """Return kind, score, area and frame decision of the defects captured since then, newest first."""
        query = """
        SELECT kind, MIN(name) AS name, defect_id, SUM(score * area_px) / SUM(area_px) AS score,
          SUM(defects.area_mm2) AS area_mm2 FROM verdicts JOIN defects ON defects.run_id = verdicts.run_id
          AND defects.camera = verdicts.camera AND defects.frame_id = verdicts.frame_id
          AND defects.ingest_epoch = verdicts.ingest_epoch
        WHERE verdicts.captured_ns >= :since AND verdicts.defects > 0
        GROUP BY defects.run_id, defects.camera, defect_id, began_ns, kind
        ORDER BY MAX(verdicts.captured_ns) DESC LIMIT :most
        """
        with self.reading() as connection:
            found = connection.execute(text(query), {"since": since_ns, "most": most}).mappings()
            return [
                {"kind": row["kind"], "name": row["name"], "score": row["score"], "area_mm2": row["area_mm2"]}
                for row in found
            ]


def _number(card: Card | None) -> int | None:
    return None if card is None else int(card["number"])


_SERVER_OPTIONS: Final = {
    "connect_timeout": CONNECT_S,
    "options": f"-c statement_timeout={1000 * STATEMENT_S} -c default_transaction_read_only=on",
    "application_name": "strip-inspector page",
}
