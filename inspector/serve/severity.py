"""Rates the defects of a judged coil by its result: severity, and one entry for what several cameras show."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from inspector.core.strip.quality import RatedDefect
from inspector.core.strip.surface import ACROSS_MM
from inspector.sinks.coil_results import CoilResult

Found = dict[str, Any]
"""A defect as one camera sees it, from `strip_defects`."""

_BUCKET_MM: Final = 1000.0


def most_severe_first(defects: Iterable[Found]) -> list[Found]:
    """Sort: rejected ones first, then by severity, then by area; an unrated one counts as severity 1."""
    return sorted(defects, key=lambda each: (not each["rejected"], -(each["severity"] or 1), -each["area_mm2"]))


def rate_defects(defects: Sequence[Found], result: CoilResult | None) -> list[Found]:
    """Add `cameras` and `severity` to each defect; severity is None where the result does not hold it.

    Entries that the result counts as one defect become one: its place and area are those of the result, and its
    picture is that of the largest entry.
    """
    places = {} if result is None else _by_place(result)
    whole: dict[int, Found] = {}
    others: list[Found] = []
    for each in defects:  # the largest first
        rated = None if result is None else _match(each, places, result.start_mm)
        if rated is None or result is None:
            others.append(each | {"severity": None, "cameras": [each["camera"]]})
            continue
        one = whole.get(id(rated))
        if one is None:
            whole[id(rated)] = each | {
                "severity": rated.severity, "cameras": sorted({*rated.cameras, each["camera"]}),
                "area_mm2": rated.area_mm2, "across_mm": rated.across_mm,
                "along_mm": round(result.start_mm + rated.from_head_mm, 3), "score": rated.score,
            }  # fmt: skip
        else:
            one["frames"] += each["frames"]
            one["rejected"] |= each["rejected"]
    return most_severe_first([*whole.values(), *others])


def _by_place(result: CoilResult) -> dict[tuple[str, int], list[RatedDefect]]:
    """Return the defects of each class and metre of the coil."""
    places: dict[tuple[str, int], list[RatedDefect]] = {}
    for each in result.defects:
        half_mm = each.length_mm / 2 + ACROSS_MM
        first, last = (int((each.from_head_mm + way_mm) // _BUCKET_MM) for way_mm in (-half_mm, half_mm))
        for bucket in range(first, last + 1):
            places.setdefault((each.name, bucket), []).append(each)
    return places


def _match(defect: Found, places: dict[tuple[str, int], list[RatedDefect]], start_mm: float) -> RatedDefect | None:
    """Return the rated defect in whose box this one has its centre, the nearest if there are several."""
    along_mm, across_mm = defect["along_mm"] - start_mm, defect["across_mm"]
    best, least = None, 0.0
    for each in places.get((defect["name"], int(along_mm // _BUCKET_MM)), ()):
        along, across = abs(each.from_head_mm - along_mm), abs(each.across_mm - across_mm)
        if defect["camera"] not in each.cameras:
            continue
        if along > each.length_mm / 2 + ACROSS_MM or across > each.width_mm / 2 + ACROSS_MM:
            continue
        if best is None or along + across < least:
            best, least = each, along + across
    return best
