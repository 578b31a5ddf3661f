"""The strip as its process reports it, and the faults found in that, as text."""

from typing import Final

import msgspec

from inspector.numbers import thousands

STRIP_S: Final = 5.0
"""Age from which a report means that the strip process is gone or hangs, seconds; it reports twice a second."""

UNKNOWN: Final = "positions are counted, a gate gets no accept, and the coil stays the one known last"


class StripState(msgspec.Struct, frozen=True):
    """The strip as the strip process sees it."""

    taken_ns: int
    """Monotonic clock."""
    position_mm: float
    speed_mm_s: float | None
    """None without an encoder."""
    motion: str
    """running, threading, standing, reverse; unknown without a newer reading than a second."""
    source: str
    """Where the position comes from."""
    source_answers: bool | None
    """None for a position that is counted from the frames."""
    source_age_s: float | None
    """Age of the newest reading; None before the first."""
    coil: str | None
    """The coil on the line."""
    coil_mm: float | None
    """Position from the coil's head."""
    plan: str
    """Plan of that coil; empty without one."""
    plan_why: str
    level2: str | None
    """Level 2's address; None for a line without it."""
    level2_connected: bool
    results_waiting: int
    """Results that Level 2 does not have."""
    roll_marks: tuple[str, ...]
    """Alarms of roll marks that stand."""


def strip_findings(strip: StripState | None, now_ns: int) -> list[str]:
    """What is wrong with the strip process and its partners. `now_ns` is the monotonic clock."""
    if strip is None:
        return ["strip: its process has reported nothing yet: start it, or see its log"]
    age_s = (now_ns - strip.taken_ns) / 1e9
    if age_s > STRIP_S:
        return [f"strip: its process has been silent for {age_s:.0f} s: {UNKNOWN}; see its log and restart it"]
    found = []
    if strip.source_answers is False:
        since = (
            "has not answered yet"
            if strip.source_age_s is None
            else f"has not answered for {strip.source_age_s:.1f} s"
        )
        found.append(
            f"strip: the position source {strip.source} {since}: positions are counted, and a gate gets no "
            "accept; check it and its network"
        )
    if strip.level2 is not None and not strip.level2_connected and strip.results_waiting:
        found.append(
            f"strip: Level 2 {strip.level2} is not connected, {thousands(strip.results_waiting)} results of coils "
            "wait on the disk: check it and its network"
        )
    return found
