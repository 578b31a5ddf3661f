"""The verdicts of a replay's coils, from its log: what the strip process does beside a running line."""

import math
import shutil
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Final

import msgspec

from inspector.config.line import LoadedConfig
from inspector.config.strip import StripSettings
from inspector.core.strip.coils import CoilData, CoilEnded, CoilStarted
from inspector.core.strip.surface import Surface, View
from inspector.sinks.coil_results import CoilResult
from inspector.strip.coil_judge import CoilJudge
from inspector.strip.journal import Journal
from inspector.strip.log_tail import LogTail
from inspector.strip.results import Results
from inspector.strip.roll_events import find_marks
from inspector.strip.views import camera_views
from inspector.values import Verdict

STRIP_FOLDER: Final = "strip"
"""Folder in the replay's folder, with the same files as a line's `strip.folder`."""

SAID_BY: Final = "replay"


class _Span(msgspec.Struct):
    """Where and when the frames of one coil lie. The same coil may come twice."""

    coil: str
    start_mm: float
    end_mm: float
    first_ns: int
    last_ns: int


def judge_replay(config: LoadedConfig, out: Path) -> list[CoilResult]:
    """Judge every coil that the replay's verdicts name, by its plan; writes the results into `out`.

    `config` has the replay's cameras, and `[strip]` of the line, if there is one. Raises InputError, OSError.
    """
    settings, plans = config.line.strip or StripSettings(), config.plans()
    views = camera_views(config, plans)
    spans = list(_spans(out, views))
    folder = out / STRIP_FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    if not spans:
        return []
    journal = Journal(folder)
    try:
        spans.sort(key=lambda each: each.start_mm)
        for span, following in zip_longest(spans, spans[1:]):
            # Frames of several cameras do not adjoin at the same place: the next coil's head is this one's tail.
            end_mm = span.end_mm if following is None else min(span.end_mm, following.start_mm)
            coil = span.coil
            number = journal.book.next_number
            plan, why = plans.default.identity, "the default plan"
            journal.write(
                CoilStarted(CoilData(coil), span.start_mm, span.first_ns, "", plan, why, SAID_BY, number)
            )
            journal.write(CoilEnded(coil, end_mm, span.last_ns, SAID_BY))
        results = Results(folder, journal)
        _, marks = find_marks(settings, views)
        coil_judge = CoilJudge(
            [LogTail(out, 0)], Surface(views, settings.join_along_mm), marks, views, plans, results, 0.0,
            settings.centre_across_mm, 0.0,
        )  # fmt: skip
        while coil_judge.read():
            pass
        coil_judge.conclude(journal.book.coils, math.inf, whole=True)
        coil_judge.close()
        return [result for number in results.numbers if (result := results.read(number)) is not None]
    finally:
        journal.close()


def _length_mm(verdict: Verdict, view: View | None) -> float:
    if view is None:
        return 0.0
    size_px = verdict.size_px
    return view.frame_mm if isinstance(size_px, msgspec.UnsetType) else size_px[0] * view.mm_per_px_along


def _spans(out: Path, views: Mapping[str, View]) -> Iterator[_Span]:
    running: dict[str, _Span] = {}
    """By camera: the coil that its newest frame shows."""
    tail = LogTail(out, 0)
    while verdicts := list(tail.read()):
        for verdict in verdicts:
            if verdict.coil is None:
                running.pop(verdict.camera, None)
                continue
            first_mm = verdict.position_mm
            last_mm = first_mm + _length_mm(verdict, views.get(verdict.camera))
            at_ns = verdict.captured_ns
            span = next((each for each in running.values() if each.coil == verdict.coil), None)
            if span is None:
                span = _Span(verdict.coil, first_mm, last_mm, at_ns, at_ns)
                yield span
            running[verdict.camera] = span
            span.start_mm, span.end_mm = min(span.start_mm, first_mm), max(span.end_mm, last_mm)
            span.first_ns, span.last_ns = min(span.first_ns, at_ns), max(span.last_ns, at_ns)
    tail.close()
