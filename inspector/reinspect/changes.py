"""Compares with the verdicts on record: decisions of frames, and defects by coil, kind and severity."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, and_, select

from inspector.sinks.records.schema import DEFECTS, FRAME_KEY, VERDICTS
from inspector.values import Code, Verdict

NO_COIL: Final = "-"

FETCH_ROWS: Final = 10_000

Severities = Mapping[str, Sequence[float]]
"""Class → areas, mm², from which a defect has severity 2, 3, …"""


@dataclass(frozen=True, slots=True)
class JudgedFrame:
    """One frame as it was judged."""

    coil: str
    decision: str
    parts: tuple[tuple[str, str, float], ...]
    """Defect's id, class and area, mm²."""


Frames = dict[tuple[str, int], JudgedFrame]
"""(camera, capture time) → frame."""


@dataclass
class Changes:
    """Counts over all units."""

    frames: int = 0
    flips: Counter[str] = field(default_factory=Counter)
    """`accept → reject` and so on; only frames that changed."""
    before: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    after: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """(coil, class, severity) → defects on the strip."""

    def rows(self) -> list[dict[str, Any]]:
        """The table: a row for each coil, class and severity whose count changed."""
        keys = sorted(self.before.keys() | self.after.keys())
        return [
            dict(zip(("coil", "kind", "severity"), key, strict=True)) | {"before": was, "after": self.after[key]}
            for key in keys
            if (was := self.before[key]) != self.after[key]
        ]

    def add(self, before: Frames, after: Frames, severities: Severities) -> None:
        """Count one unit."""
        self.frames += len(after)
        for key, seen in after.items():
            then = before.get(key)
            was = "not on record" if then is None else then.decision
            if was != seen.decision:
                self.flips[f"{was} → {seen.decision}"] += 1
        known = {key: seen for key, seen in before.items() if key in after}
        self.before += _defects(known, severities)
        self.after += _defects(after, severities)


def compared(verdicts: Iterable[Verdict], captured_ns: AbstractSet[int]) -> Iterator[Verdict]:
    """Yield the verdicts on frames that were read; `captured_ns` are the capture times of the frames archived.

    A frame that the archive missed, or whose recording is damaged, says nothing about an engine. Without a capture
    time of its own it has that of the replay.
    """
    for each in verdicts:
        if each.captured_ns in captured_ns and Code.UNREADABLE not in each.codes:
            yield each


def of_verdicts(verdicts: Iterable[Verdict]) -> Frames:
    """Return the frames of a verdict log."""
    return {
        (each.camera, each.captured_ns): JudgedFrame(
            each.coil or NO_COIL,
            each.decision.value,
            tuple((defect.id, defect.name, defect.area_mm2) for defect in each.defects),
        )
        for each in verdicts
    }


def on_record(connection: Connection, camera: str, from_ns: int, to_ns: int) -> Frames:
    """Return a camera's frames of a time span in the database; of several runs, a frame's newest record counts."""
    frame, part = VERDICTS.c, DEFECTS.c
    within = and_(frame.camera == camera, frame.captured_ns >= from_ns, frame.captured_ns <= to_ns)
    query = (
        select(
            frame.id, frame.captured_ns, frame.coil, frame.decision,
            part.run_id, part.defect_id, part.began_ns, part.name, part.area_mm2,
        )
        .join_from(VERDICTS, DEFECTS, and_(*(part[name] == frame[name] for name in FRAME_KEY)), isouter=True)
        .where(within)
        .order_by(frame.id)
    )  # fmt: skip
    found: Frames = {}
    newest: dict[tuple[str, int], int] = {}
    with connection.begin():
        for row in connection.execution_options(yield_per=FETCH_ROWS).execute(query):
            key = (camera, int(row.captured_ns))
            if newest.get(key) != row.id:
                newest[key] = row.id
                found[key] = JudgedFrame(row.coil or NO_COIL, row.decision, ())
            if row.defect_id is not None:
                seen = found[key]
                one = (f"{row.run_id}:{row.defect_id}:{row.began_ns}", row.name, row.area_mm2)
                found[key] = JudgedFrame(seen.coil, seen.decision, (*seen.parts, one))
    return found


def _defects(frames: Frames, severities: Severities) -> Counter[tuple[str, str, int]]:
    """Defects on the strip: the parts in several frames with the same id are one."""
    areas: defaultdict[tuple[str, str, str, str], float] = defaultdict(float)
    for (camera, _), seen in frames.items():
        for defect_id, name, area_mm2 in seen.parts:
            areas[camera, defect_id, seen.coil, name] += area_mm2
    counted: Counter[tuple[str, str, int]] = Counter()
    for (_, _, coil, name), area_mm2 in areas.items():
        severity = 1 + sum(area_mm2 >= limit for limit in severities.get(name, ()))
        counted[coil, name, severity] += 1
    return counted
