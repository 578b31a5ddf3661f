"""report.html: one run on one page, for the person who decides whether the coil goes to the customer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import inspector
from inspector.errors import InputError, WorkError
from inspector.sinks import number_text
from inspector.sinks.coil_map import CoilMap, draw_coil_map
from inspector.sinks.html_page import page_environment
from inspector.sinks.kind_colours import kind_colour
from inspector.sinks.latency_chart import TOTAL, LatencyChart, StageTimes, chart_latency
from inspector.sinks.map_marks import TILES, mark_path
from inspector.sinks.number_text import frames, metres
from inspector.sinks.reject_gallery import RejectPicture, show_rejects, tell_rest
from inspector.sinks.run_figures import KindRow, RunFigures, Strip, UninspectedReason, kind_rows, read_figures
from inspector.sinks.run_identity import captured_when, identity
from inspector.sinks.run_ledger import Headline, Ledger, Summary, balance, headline, read_summary
from inspector.sinks.whole_file import write_whole

MAX_PICTURES: Final = 40
MAX_UNINSPECTED: Final = 20
"""Rows of the table of reasons: some name the file, and so differ in every frame."""
MAX_MAPS: Final = 12
WIDE: Final = 3.0
"""Frames this many times wider than high get a row of their own."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that the template shows."""

    title: str
    captured: str
    """When."""
    headline: Headline
    ledger: Ledger
    identity: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    maps: tuple[CoilMap, ...]
    maps_left: int
    kinds: tuple[KindRow, ...]
    recorded_only: bool
    rejects: tuple[RejectPicture, ...]
    rejects_said: str
    narrow: bool
    many_coils: bool
    uninspected: tuple[tuple[str, UninspectedReason], ...]
    uninspected_left: str | None
    latency: LatencyChart | None
    version: str


def write_report(out: Path) -> Path:
    """Make `out/report.html` of `verdicts.jsonl`, `summary.json` and `rejects/*.jpg` there; return its path.

    One file that needs no other: no network, no script. Without a summary, or with damaged lines, the report
    says so. Raises InputError where the verdicts cannot be read, WorkError where the report cannot be
    written.
    """
    rejects = out / "rejects"
    try:
        pictures = frozenset(path.name for path in rejects.iterdir()) if rejects.is_dir() else frozenset()
        figures = read_figures(out / "verdicts.jsonl", pictures, MAX_PICTURES)
    except OSError as error:
        raise InputError(
            f"{error.filename}: {error.strerror}: a report is made of the folder a run or replay wrote"
        ) from error
    summary, note = read_summary(out / "summary.json")
    report = _compose(figures, summary, show_rejects(figures.worst, rejects), [note] if note else [])
    path = out / "report.html"
    try:
        write_whole(path, _render(report).encode("utf-8", "replace"))
    except OSError as error:
        raise WorkError(f"{path} cannot be written: {error.strerror}: free space and report again") from error
    return path


def _compose(
    figures: RunFigures, summary: Summary | None, rejects: tuple[RejectPicture, ...], notes: list[str]
) -> Report:
    if figures.torn_last_line:
        notes.append("The last line of verdicts.jsonl is torn and was left out: the run was cut off there.")
    if figures.unreadable_lines:
        notes.append(
            f"Lines of verdicts.jsonl that are no verdicts and were left out: {figures.unreadable_lines}."
        )
    if summary and summary.verdicts_lost:
        notes.append(f"Verdicts that could not be written down: {summary.verdicts_lost}. The disk was full.")
    if summary and summary.pictures_lost:
        notes.append(f"Pictures of rejects that could not be written: {summary.pictures_lost}.")
    if summary and summary.pictures_skipped:
        notes.append(f"Rejects left without a picture, by the run's limit: {summary.pictures_skipped}.")
    ledger = balance(summary, figures)
    strips = sorted(figures.strips.values(), key=lambda strip: (-_stopped(strip), strip.coil or "", strip.camera))
    kinds = kind_rows(figures)
    length_mm, width_mm = _frame_mm(figures, summary, rejects)
    largest_mm2 = max((row.largest_mm2 for row in kinds), default=0.0)
    maps = tuple(draw_coil_map(strip, largest_mm2, length_mm, width_mm) for strip in strips[:MAX_MAPS])
    reasons = sorted(figures.uninspected.items(), key=lambda entry: -entry[1].frames)
    left = reasons[MAX_UNINSPECTED:]
    coils = sorted({strip.coil for strip in strips if strip.coil is not None})
    latency = summary.latency_ms if summary else None
    times = None if latency is None else StageTimes(TOTAL, latency.p50, latency.p99, latency.max)
    return Report(
        title="Strip inspection" + (f", coil {coils[0]}" if len(coils) == 1 else ""),
        captured=captured_when(figures),
        headline=headline(ledger),
        ledger=ledger,
        identity=identity(figures, summary, coils, maps),
        notes=tuple(notes),
        maps=tuple(sorted(maps, key=lambda drawn: (drawn.coil or "", drawn.camera))),
        maps_left=len(strips) - len(maps),
        kinds=kinds,
        recorded_only=any(not d.rejected for strip in strips for d in strip.defects.values()),
        rejects=rejects,
        rejects_said=tell_rest(len(rejects), figures.rejects_pictured, ledger.rejected),
        narrow=any(r.width_px and r.width_px < WIDE * r.height_px for r in rejects),
        many_coils=len(coils) > 1,
        uninspected=tuple(reasons[:MAX_UNINSPECTED]),
        uninspected_left=f"{len(left)} other reasons: {frames(sum(seen.frames for _, seen in left))}."
        if left
        else None,
        latency=chart_latency(figures.stage_ms, times) if figures.captured else None,
        version=inspector.__version__,
    )


def _stopped(strip: Strip) -> int:
    """Frames that the gate did not pass."""
    return len(strip.decisions) - strip.decisions.count(0)


def _frame_mm(
    figures: RunFigures, summary: Summary | None, rejects: Sequence[RejectPicture]
) -> tuple[float | None, float | None]:
    """A frame's length and width: the run's own, or the width from a picture and the defects' scale."""
    if summary is not None and summary.frame_mm is not None:
        return summary.frame_mm
    width_px = next((reject.width_px for reject in rejects if reject.width_px), 0)
    across_mm = sum(strip.across_mm for strip in figures.strips.values())
    across_px = sum(strip.across_px for strip in figures.strips.values())
    return None, width_px * across_mm / across_px if width_px and across_px else None


def _render(report: Report) -> str:
    environment = page_environment(Path(__file__).parent)
    environment.filters.update(
        colour=kind_colour,
        shape=mark_path,
        pct=lambda value: f"{value:.2f}%",
        sentence=lambda text: f"{text[:1].upper()}{text[1:]}.",
        thousands=number_text.thousands,
        metres=metres,
        square_mm=number_text.square_mm,
        frames=frames,
        milliseconds=number_text.milliseconds,
    )
    return environment.get_template("report.html.j2").render(
        r=report, tile_width=100 / TILES[0], tile_height=100 / TILES[1]
    )
