"""Adds up what the records hold of a coil: its frames by decision, its kinds of defects, its defects."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, RowMapping, text

from inspector.serve.coil_cards import Card

NO_RUN: Final = 0
"""In place of a run, for a coil that has no frame in the records."""

_FRAMES: Final = """
SELECT run_id, {turn} AS turn, camera, decision, COUNT(*) AS frames, MIN(captured_ns) AS from_ns,
  MAX(captured_ns) AS to_ns, MIN(position_mm) AS from_mm, MAX(position_mm) AS to_mm FROM verdicts WHERE {coil}
GROUP BY run_id, turn, camera, decision
"""

_DEFECTS: Final = """
SELECT defects.run_id, {turn} AS turn, defects.kind, MIN(defects.name) AS name, COUNT(*) AS parts,
  SUM(area_mm2) AS area_mm2
FROM verdicts JOIN defects ON defects.run_id = verdicts.run_id AND defects.camera = verdicts.camera
  AND defects.frame_id = verdicts.frame_id AND defects.ingest_epoch = verdicts.ingest_epoch
WHERE {coil} AND verdicts.defects > 0 GROUP BY defects.run_id, turn, defects.kind, defects.name
"""


def of_coil(query: str, coil: str | None, turns: Sequence[int] = ()) -> str:
    """Return the query for one coil; None stands for the frames that belong to none.

    {turn} becomes the number of `turns` that lie before a frame.
    """
    later = " + ".join(f"CASE WHEN verdicts.captured_ns >= {at_ns:d} THEN 1 ELSE 0 END" for at_ns in turns)
    return query.format(
        coil="verdicts.coil IS NULL" if coil is None else "verdicts.coil = :coil", turn=f"({later or 0})"
    )


class Wanted(NamedTuple):
    """What a search asks for."""

    search: str
    """Part of a name, a grade or a customer, in small letters."""
    kind: str
    verdict: str
    from_ns: int
    to_ns: int

    def names(self, coil: str | None, cards: Iterable[Card]) -> bool:
        """Whether a coil's name, grade or customer holds the text."""
        texts = [coil or "", *(card[key] for card in cards for key in ("grade", "customer"))]
        return not self.search or any(self.search in each.casefold() for each in texts)

    def rules_out(self, cards: Iterable[Card]) -> bool:
        """Whether the coil was judged each time, and never with a defect of the kind."""
        judged = [card["verdict"] and self.kind not in card["counts"] for card in cards]
        return bool(self.kind and judged and all(judged))

    def fits(self, summary: dict[str, Any]) -> bool:
        """Whether time, kind and verdict fit."""
        card = summary["card"]
        if self.verdict and (card is None or card["verdict"] != self.verdict):
            return False
        in_time = summary["to_ns"] >= self.from_ns and summary["from_ns"] <= self.to_ns
        return in_time and (not self.kind or self.kind in (each["name"] for each in summary["kinds"]))


def without_frames(card: Card) -> dict[str, Any]:
    """Return the summary of a coil that has no frame in the records: not yet, or not any more."""
    from_ns, to_ns = card["started_ns"], card["ended_ns"] or card["started_ns"]
    return {
        "coil": card["coil"], "run": NO_RUN, "accept": 0, "reject": 0, "uninspected": 0, "cameras": [],
        "from_ns": from_ns, "to_ns": to_ns, "from_ms": from_ns // 1_000_000, "to_ms": to_ns // 1_000_000,
        "from_mm": card["start_mm"], "to_mm": card["start_mm"] + (card["length_mm"] or 0.0),
        "kinds": [
            {"kind": 0, "name": name, "parts": parts, "area_mm2": 0.0} for name, parts in card["counts"].items()
        ],
        "card": card,
    }  # fmt: skip


def summaries(connection: Connection, coil: str | None, turns: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Return one summary of a coil per run and pass; `turns` are the times between its passes."""
    runs: dict[tuple[int, int], dict[str, Any]] = {}
    for row in connection.execute(text(of_coil(_FRAMES, coil, turns)), {"coil": coil}).mappings():
        run = runs.setdefault(
            (row["run_id"], row["turn"]),
            {
                "coil": coil, "run": row["run_id"], "accept": 0, "reject": 0, "uninspected": 0, "cameras": [],
                "from_ns": row["from_ns"], "to_ns": row["to_ns"], "from_mm": row["from_mm"], "to_mm": row["to_mm"],
                "kinds": [],
            },
        )  # fmt: skip
        run[row["decision"]] += row["frames"]
        run["cameras"] = sorted({*run["cameras"], row["camera"]})
        for name, choose in (("from_ns", min), ("to_ns", max), ("from_mm", min), ("to_mm", max)):
            run[name] = choose(run[name], row[name])
    for row in connection.execute(text(of_coil(_DEFECTS, coil, turns)), {"coil": coil}).mappings():
        if (row["run_id"], row["turn"]) in runs:
            runs[row["run_id"], row["turn"]]["kinds"].append(
                {"kind": row["kind"], "name": row["name"], "parts": row["parts"], "area_mm2": row["area_mm2"]}
            )
    for run in runs.values():
        run["from_ms"], run["to_ms"] = run["from_ns"] // 1_000_000, run["to_ns"] // 1_000_000
        run["kinds"].sort(key=lambda each: -each["area_mm2"])
    return list(runs.values())


def strip_defects(parts: Iterable[RowMapping]) -> list[dict[str, Any]]:
    """Put the parts of each defect together, the largest first; its picture is that of its largest part."""
    whole: dict[tuple[Any, ...], dict[str, Any]] = {}
    for part in parts:
        key = (part["camera"], part["defect_id"], part["began_ns"])
        area = part["area_mm2"]
        defect = whole.setdefault(
            key,
            {
                "camera": part["camera"], "kind": part["kind"], "name": part["name"], "area_mm2": 0.0,
                "frames": 0, "rejected": False, "across_mm": 0.0, "along_mm": 0.0, "score": 0.0, "largest": -1.0,
            },
        )  # fmt: skip
        defect["area_mm2"] += area
        defect["frames"] += 1
        defect["rejected"] |= part["decision"] == "reject"
        for name in ("across_mm", "along_mm", "score"):
            defect[name] += part[name] * area
        if area > defect["largest"]:
            defect |= {
                "largest": area, "frame": part["frame_id"], "epoch": str(part["ingest_epoch"]), "n": part["n"],
                "captured_ms": part["captured_ns"] // 1_000_000,
                "box": [part["x_px"], part["y_px"], part["width_px"], part["height_px"]],
            }  # fmt: skip
            whole[key] = defect
    for defect in whole.values():
        for name in ("across_mm", "along_mm", "score"):
            defect[name] = round(defect[name] / max(defect["area_mm2"], 1e-9), 3)
        del defect["largest"]
        defect["area_mm2"] = round(defect["area_mm2"], 1)
    return sorted(whole.values(), key=lambda each: -each["area_mm2"])
