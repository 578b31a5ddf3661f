"""A judged coil's defects: their severity, and one entry for what several cameras show."""

from typing import Any

from inspector.core.strip.quality import RatedDefect
from inspector.serve.severity import rate_defects
from inspector.sinks.coil_results import CoilResult

START_MM = 10_000.0


def result(*defects: RatedDefect) -> CoilResult:
    """A coil from 10 m."""
    fields: dict[str, Any] = dict.fromkeys(CoilResult.__struct_fields__, 0)
    return CoilResult(**fields | {"start_mm": START_MM, "defects": defects})


def rated(name: str, from_head_mm: float, severity: int, *cameras: str, length_mm: float = 20.0) -> RatedDefect:
    """One at 500 mm across."""
    return RatedDefect(name, "top", from_head_mm, 500.0, length_mm, 20.0, 40.0, severity, 0.9, cameras)


def found(camera: str, name: str, along_mm: float, area_mm2: float, *, rejected: bool = True) -> dict[str, Any]:
    """One as a camera sees it."""
    return {
        "camera": camera, "name": name, "along_mm": START_MM + along_mm, "across_mm": 502.0, "area_mm2": area_mm2,
        "frames": 1, "rejected": rejected, "score": 0.5, "frame": int(area_mm2),
    }  # fmt: skip


def test_the_most_severe_come_first_whatever_their_area() -> None:
    """A small crack of severity 3 is before a large stain of severity 1, and what is only recorded comes last."""
    defects = [found("a", "stain", 900.0, 900.0), found("a", "stain", 100.0, 500.0, rejected=False),
               found("a", "crack", 3000.0, 5.0)]  # fmt: skip
    told = rate_defects(defects, result(rated("crack", 3001.0, 3, "a"), rated("stain", 900.0, 1, "a")))
    assert [(each["name"], each["severity"], each["rejected"]) for each in told] == [
        ("crack", 3, True),
        ("stain", 1, True),
        ("stain", None, False),
    ]


def test_what_two_cameras_show_is_one_entry() -> None:
    """It has the result's area and place, both cameras, and the picture of the larger view."""
    defects = [found("b", "pits", 100.0, 30.0), found("a", "pits", 108.0, 25.0, rejected=False)]
    [one] = rate_defects(defects, result(rated("pits", 104.0, 2, "a", "b")))
    assert (one["cameras"], one["area_mm2"], one["along_mm"]) == (["a", "b"], 40.0, START_MM + 104.0)
    assert (one["frame"], one["frames"], one["rejected"]) == (30, 2, True)


def test_only_the_same_kind_place_and_camera_match() -> None:
    """Others stay as they were found; of two that fit, the nearer one counts."""
    where = result(rated("pits", 100.0, 2, "a"), rated("pits", 112.0, 5, "a"), rated("crack", 5000.0, 4, "b"))
    told = rate_defects(
        [found("a", "pits", 111.0, 9.0), found("a", "crack", 5000.0, 8.0), found("a", "pits", 160.0, 7.0)], where
    )
    assert sorted((each["along_mm"] - START_MM, each["severity"] or 0) for each in told) == [
        (112.0, 5), (160.0, 0), (5000.0, 0)
    ]  # fmt: skip


def test_a_long_scratch_is_found_along_its_whole_length() -> None:
    """Its centre may be metres from the centre of one camera's part."""
    where = result(rated("scratch", 10_000.0, 4, "a", "b", length_mm=18_000.0))
    told = rate_defects([found("a", "scratch", 2500.0, 90.0), found("b", "scratch", 17_000.0, 80.0)], where)
    assert [(each["severity"], each["frames"]) for each in told] == [(4, 2)]


def test_a_coil_without_a_result_is_sorted_by_area() -> None:
    """It still runs, or its result is on another PC."""
    told = rate_defects([found("a", "pits", 1.0, 9.0, rejected=False), found("a", "pits", 90.0, 4.0)], None)
    assert [(each["area_mm2"], each["severity"], each["cameras"]) for each in told] == [
        (4.0, None, ["a"]), (9.0, None, ["a"])
    ]  # fmt: skip
