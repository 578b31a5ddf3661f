"""report.html: a run, a coil or some hours on one page, for the person who decides whether the coil ships."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from markupsafe import Markup

import inspector
from inspector.config.line import LoadedConfig
from inspector.errors import InputError, WorkError
from inspector.files import write_whole
from inspector.numbers import thousands
from inspector.passwords import masked
from inspector.render import numbers as number_text
from inspector.render.colours import kind_colour, kind_dashes
from inspector.render.local_time import moment
from inspector.render.numbers import frames, metres
from inspector.render.page import page_environment
from inspector.report.coil_card import CoilCard, coil_card, find_coil, span_of
from inspector.report.coil_map import CoilMap, draw_coil_map
from inspector.report.latency_chart import TOTAL, LatencyChart, StageTimes, chart_latency
from inspector.report.map_marks import TILES, mark_path
from inspector.report.reject_gallery import Gallery, show_worst, tell_rest
from inspector.report.rule_table import KindLine, kind_lines
from inspector.report.run_figures import RunFigures, Strip, UninspectedReason, kind_rows, read_figures
from inspector.report.run_identity import captured_when, identity, strip_lengths, title
from inspector.report.run_ledger import Headline, Ledger, Summary, balance, headline, summary_or_note
from inspector.report.run_rules import RunRules, read_rules
from inspector.report.strip_length import FrameSize, covered
from inspector.report.verdict_files import Selection, VerdictFiles
from inspector.results import CONFIG_NAME, REJECTS_FOLDER
from inspector.sinks.coil_results import CoilResult
from inspector.sinks.pictures import picture_name
from inspector.values import Verdict

MAX_UNINSPECTED: Final = 20
"""Most rows in the table of reasons."""
MAX_MAPS: Final = 12
LONGEST_NAME: Final = 150
"""Most characters of a coil's name in a file's name, quoted: file systems allow 255 bytes."""
WIDE: Final = 3.0
"""Aspect ratio, width to height, from which a picture gets a row to itself."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the template shows."""

    title: str
    captured: str
    """First and last capture, as text."""
    headline: Headline
    ledger: Ledger
    lengths: tuple[tuple[str, str, str], ...]
    whole_run: bool
    """Whether the verdicts should be a complete run."""
    identity: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    maps: tuple[CoilMap, ...]
    maps_left: int
    coil: CoilCard | None
    kinds: tuple[KindLine, ...]
    rules: RunRules | None
    recorded_only: bool
    gallery: Gallery
    rejects_said: str
    narrow: bool
    many_coils: bool
    uninspected: tuple[UninspectedReason, ...]
    uninspected_left: str | None
    latency: LatencyChart | None
    version: str


def write_report(
    folder: Path,
    *,
    selection: Selection | None = None,
    config: LoadedConfig | None = None,
    to: Path | None = None,
    pdf: bool = False,
    coil: CoilResult | None = None,
) -> Path:
    """Write one HTML file, or with `pdf` a PDF of one coil.

    It is made from the verdict logs, the pictures of rejects and, for a whole run, its summary.
    `folder` is that of a run, a replay or a service. `config` is needed for a service, which leaves no config in
    its folder. `coil` is the result of the coil that is selected; None takes its newest one. `to` is the file to
    write; None is report.html in the folder, with the selection in its name. The
    file is self-contained: no network, no script. It says what is missing or damaged. Returns the file's path.
    Raises InputError if no verdict can be read or selected, WorkError if the report cannot be written.
    """
    selection = selection or Selection()
    coil = coil or find_coil(folder, config, selection.coil)
    selection.span = None if coil is None else span_of(coil)
    files = VerdictFiles(folder, selection)
    rejects = folder / REJECTS_FOLDER
    pictured = rejects.is_dir()

    def has_picture(verdict: Verdict) -> bool:
        return (
            pictured
            and (rejects / f"{picture_name(verdict.camera, verdict.frame_id, verdict.ingest_epoch)}.jpg").exists()
        )

    try:
        figures = read_figures(files.lines(), has_picture, None if selection.everything else selection.wants)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror}: no report can be made of it") from error
    if not figures.captured and not selection.everything:
        raise InputError(f"{folder}: {selection.nothing()}")
    report = _compose(figures, folder, selection, config, files, coil)
    name = quote(f"report-{selection.name()}" if selection.name() else "report", safe=" ")[:LONGEST_NAME]
    path = to or folder / f"{name}.{'pdf' if pdf else 'html'}"
    content = _pdf(report, selection) if pdf else _render(report).encode("utf-8", "replace")
    try:
        write_whole(path, content)
    except OSError as error:
        hint = "free space and report again" if to is None else "give another --out"
        raise WorkError(f"{path} cannot be written: {error.strerror}: {hint}") from error
    return path


def _pdf(report: Report, selection: Selection) -> bytes:
    """Raises InputError for anything but a coil that was judged."""
    if report.coil is None:
        what = "no coil is named" if selection.coil is None else f"coil {selection.coil} has no verdict yet"
        raise InputError(
            f"--pdf is the report of a coil that was judged, but {what}: leave out --pdf for an HTML page"
        )
    from inspector.report.coil_pdf import render_pdf

    return render_pdf(report, report.coil)


def _compose(
    figures: RunFigures,
    folder: Path,
    selection: Selection,
    config: LoadedConfig | None,
    files: VerdictFiles,
    coil: CoilResult | None,
) -> Report:
    whole_run = selection.everything and not files.rotated and config is None
    summary, notes = _summary(folder, figures) if whole_run else (None, [])
    # A service's summary counts from its last start, so it is not the summary of a run.
    whole_run = whole_run and (summary is not None or bool(notes))
    rules, note = read_rules(folder, config, figures.recipes)
    notes += [note] if note else []
    notes += _losses(figures, summary)
    ledger = balance(summary, figures)
    kinds = kind_rows(figures)
    lines = kind_lines(kinds, rules)
    gallery = show_worst(figures, folder / REJECTS_FOLDER, {(row.kind, row.name): row.defects for row in kinds})
    if gallery.replaced:
        notes.append(
            f"Pictures not shown, because a later frame with the same number replaced them: {gallery.replaced}."
        )
    strips = sorted(figures.strips.values(), key=lambda strip: (-_stopped(strip), strip.coil or "", strip.camera))
    frame = _frame_size(figures, summary, rules, gallery)
    largest_mm2 = max((row.largest_mm2 for row in kinds), default=0.0)
    maps = _maps(strips[:MAX_MAPS], largest_mm2, frame, gallery)
    reasons = sorted(figures.uninspected.values(), key=lambda reason: -reason.frames)
    left = reasons[MAX_UNINSPECTED:]
    by_time = sorted(strips, key=lambda strip: strip.first_ns)
    coils = list(dict.fromkeys(strip.coil for strip in by_time if strip.coil is not None))
    latency = summary.latency_ms if summary else None
    times = None if latency is None else StageTimes(TOTAL, latency.p50, latency.p99, latency.max)
    cameras = len({strip.camera for strip in strips})
    return Report(
        title=title(figures, coils, rules),
        captured=captured_when(figures),
        headline=headline(ledger, whole_run=whole_run),
        ledger=ledger,
        lengths=strip_lengths([covered(strip, frame.length_mm) for strip in strips], cameras),
        whole_run=whole_run,
        identity=identity(figures, summary, rules, coils, selection),
        notes=tuple(notes),
        maps=maps,
        maps_left=len(strips) - len(maps),
        coil=None if coil is None else coil_card(coil, {line.name: line.kind for line in lines if line.kind}),
        kinds=lines,
        rules=rules,
        recorded_only=any(0 in strip.defects.rejected for strip in strips),
        gallery=gallery,
        rejects_said=tell_rest(len(gallery.pictures), figures.rejects_pictured, ledger.rejected),
        narrow=any(r.width_px and r.width_px < WIDE * r.height_px for r in gallery.pictures),
        many_coils=len(coils) > 1,
        uninspected=tuple(reasons[:MAX_UNINSPECTED]),
        uninspected_left=f"{len(left)} other reasons: {frames(sum(seen.frames for seen in left))}."
        if left
        else None,
        latency=chart_latency(figures.stage_ms, times) if figures.captured else None,
        version=inspector.__version__,
    )


def _summary(folder: Path, figures: RunFigures) -> tuple[Summary | None, list[str]]:
    """Return the summary of a run's folder, and notes for the reader about it."""
    summary, note = summary_or_note(folder / "summary.json")
    if summary is not None and summary.captured < figures.captured and not (folder / CONFIG_NAME).exists():
        # Only a run's folder holds the config.
        return None, []
    return summary, [note] if note else []


def _losses(figures: RunFigures, summary: Summary | None) -> list[str]:
    """One sentence for each kind of loss."""
    notes = []
    if figures.torn_last_line:
        notes.append("The last line of verdicts.jsonl is torn and left out: the run was cut off there.")
    if figures.unreadable_lines:
        notes.append(
            f"Lines of verdicts.jsonl that are not verdicts and are left out: {figures.unreadable_lines}."
        )
    if summary and summary.verdicts_lost:
        notes.append(f"Verdicts that could not be written: {summary.verdicts_lost}. The disk was full.")
    if summary and summary.pictures_lost:
        notes.append(f"Pictures of rejects that could not be written: {summary.pictures_lost}.")
    if summary and summary.pictures_skipped:
        notes.append(f"Rejects left without a picture, by the run's limit: {summary.pictures_skipped}.")
    return notes


def _maps(strips: Sequence[Strip], largest_mm2: float, frame: FrameSize, gallery: Gallery) -> tuple[CoilMap, ...]:
    """Draw the strips; those with the same camera and coil also show their start."""
    drawn = []
    for strip in sorted(strips, key=lambda strip: (strip.first_ns, strip.camera)):
        alike = [other for other in strips if (other.camera, other.coil) == (strip.camera, strip.coil)]
        since = moment(strip.first_ns) if len(alike) > 1 else None
        drawn.append(draw_coil_map(strip, largest_mm2, frame, gallery.of_strip(strip), since))
    return tuple(drawn)


def _stopped(strip: Strip) -> int:
    """Frames that the gate did not pass."""
    return len(strip.decisions) - strip.decisions.count(0)


def _frame_size(
    figures: RunFigures, summary: Summary | None, rules: RunRules | None, gallery: Gallery
) -> FrameSize:
    """A frame's length and width from the run, or only the width, from a picture and the scale of the defects."""
    known = (summary.frame_mm if summary else None) or (rules.frame_mm if rules else None)
    if known is not None:
        return FrameSize(*known)
    width_px = next((reject.width_px for reject in gallery.pictures if reject.width_px), 0)
    across_mm = sum(strip.across_mm for strip in figures.strips.values())
    across_px = sum(strip.across_px for strip in figures.strips.values())
    return FrameSize(None, width_px * across_mm / across_px if width_px and across_px else None)


def _masked(value: object) -> object:
    """Mask passwords: a reason may contain a camera's address, and the report leaves the site."""
    return masked(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _render(report: Report) -> str:
    environment = page_environment(Path(__file__).parent)
    environment.finalize = _masked
    environment.filters.update(
        colour=kind_colour,
        dashes=lambda kind: " ".join(str(length_px) for length_px in kind_dashes(kind)) or "none",
        shape=mark_path,
        pct=lambda value: f"{value:.2f}%",
        sentence=lambda text: f"{text[:1].upper()}{text[1:]}.",
        thousands=thousands,
        metres=metres,
        length=number_text.length,
        square_mm=number_text.square_mm,
        frames=frames,
        milliseconds=number_text.milliseconds,
    )
    return environment.get_template("report.html.j2").render(
        r=report, tile_width=100 / TILES[0], tile_height=100 / TILES[1]
    )
