"""Compares a run's own count (summary.json) with the verdicts on record."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from inspector.numbers import thousands
from inspector.render.numbers import frames, share
from inspector.report.run_figures import RunFigures


class LatencySummary(msgspec.Struct, frozen=True):
    """Time from capture to verdict, milliseconds."""

    p50: float
    p99: float
    max: float


class Summary(msgspec.Struct, frozen=True):
    """The keys of summary.json that the report reads; others are ignored."""

    captured: int
    accepted: int
    rejected: int
    uninspected: int
    late: int
    frames_per_second: float
    latency_ms: LatencySummary
    config: str
    recipe: str
    engine: str
    pictures_lost: int = 0
    pictures_skipped: int = 0
    verdicts_lost: int = 0
    frame_mm: tuple[float, float] | None = None
    """Size of a frame on the strip, along and across, which verdicts do not contain; None: it is estimated."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """captured = accepted + rejected + uninspected, and what contradicts it."""

    captured: int
    accepted: int
    rejected: int
    uninspected: int
    late: int | None
    """None without a summary."""
    frames_per_second: float | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Headline:
    """The run's result; `tone` is good, warn, bad or none."""

    tone: str
    text: str
    lines: tuple[str, ...]


def summary_or_note(path: Path) -> tuple[Summary | None, str | None]:
    """Return the summary, or None and a note for the reader of the report."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Summary), None
    except FileNotFoundError:
        return None, (
            f"{path.name} is not there: the run has not ended, or was cut off. "
            "All figures are counted from the verdicts on record."
        )
    except OSError as error:
        return None, (
            f"{path.name} cannot be read ({error.strerror}): all figures are counted from the verdicts on record."
        )
    except msgspec.DecodeError as error:
        return None, f"{path.name} is damaged ({error}): all figures are counted from the verdicts on record."


def balance(summary: Summary | None, figures: RunFigures) -> Ledger:
    """Compare both counts; a difference is reported as a fault, never corrected."""
    accepted, rejected, uninspected = figures.frames
    if summary is None:
        return Ledger(figures.captured, accepted, rejected, uninspected, None, None, ())
    counted = summary.accepted + summary.rejected + summary.uninspected
    faults = []
    if summary.captured != counted:
        faults.append(
            f"captured {thousands(summary.captured)} ≠ accepted + rejected + uninspected {thousands(counted)}"
        )
    if figures.captured != summary.captured:
        faults.append(f"{frames(summary.captured)} captured but {thousands(figures.captured)} verdicts on record")
    faults.extend(
        f"{thousands(said)} {name} in the summary but {thousands(seen)} on record"
        for name, said, seen in (
            ("accepted", summary.accepted, accepted),
            ("rejected", summary.rejected, rejected),
            ("uninspected", summary.uninspected, uninspected),
        )
        if said != seen
    )
    return Ledger(
        summary.captured,
        summary.accepted,
        summary.rejected,
        summary.uninspected,
        summary.late,
        summary.frames_per_second,
        tuple(faults),
    )


def headline(ledger: Ledger, *, whole_run: bool = True) -> Headline:
    """Return the run in one sentence; anything but a clean, balanced run comes first.

    `whole_run`: the verdicts should be a complete run, so a missing summary is reported.
    """
    if not ledger.captured and not ledger.faults:
        return Headline("none", "No frame was captured", ())
    lines = []
    in_doubt = whole_run and ledger.late is None
    if ledger.faults:
        lines.append("The ledger does not balance: find out why before you rely on this run.")
    if in_doubt:
        lines.append("The run did not end in order: this report lacks the frames after the last recorded verdict.")
    captured = frames(ledger.captured)
    if ledger.rejected:
        rejected = share(ledger.rejected, ledger.captured)
        tone, text = "bad", f"{thousands(ledger.rejected)} of {captured} rejected ({rejected})"
        if ledger.uninspected:
            lines.append(
                f"Another {frames(ledger.uninspected)} not inspected: the gate treats uninspected as rejected."
            )
    elif ledger.uninspected:
        tone = "warn"
        text = f"{thousands(ledger.uninspected)} of {captured} not inspected"
        lines.append("All that was inspected is accepted. The gate treats uninspected as rejected.")
    else:
        tone, text = "warn" if in_doubt else "good", f"All {captured} accepted"
    return Headline("bad" if ledger.faults else tone, text, tuple(lines))
