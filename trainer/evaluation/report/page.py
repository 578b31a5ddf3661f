"""Renders the figures, curves and pictures of one evaluation as one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import inspector
from inspector.files import write_whole
from inspector.numbers import thousands
from inspector.render.colours import kind_colour
from inspector.render.numbers import frames
from inspector.render.page import page_environment
from inspector.report.map_marks import mark_path
from trainer.data.frames import LoadedFrames
from trainer.evaluation.alarms import escape_alarm, miou_alarm, overkill_alarm
from trainer.evaluation.intervals import measured
from trainer.evaluation.report.charts import (
    OperatingChart,
    ReliabilityChart,
    operating_chart,
    reliability_chart,
)
from trainer.evaluation.report.pictures import WrongPicture, show_escapes, show_overkills
from trainer.evaluation.study import Study

WIDE: Final = 3.0
"""Ratio of width to height from which frames get a full row."""
BESIDE_BASELINE: Final = (
    ("escape", "escape", "of defective frames, accepted"),
    ("overkill", "overkill", "of good frames, rejected"),
    ("mIoU", "miou", "mean over the classes, normal included, pixels pooled"),
    ("defect IoU", "defect_iou", "all kinds taken as one"),
    ("binary mIoU", "binary_miou", "mean of normal and defect IoU"),
    ("Kaggle Dice", "kaggle_dice", "mean over frame and kind, 1 where both are empty"),
)
"""Name, key and meaning of the figures that are also shown for the all-normal model."""


@dataclass(frozen=True, slots=True)
class Headline:
    """One of the two main figures: escape or overkill."""

    name: str
    share: str
    """In percent, or a dash if there is no such frame."""
    interval: str
    counted: str
    alarm: str | None = None
    """Warning if the figure makes the model useless."""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class in the table."""

    kind: int
    name: str
    iou: float | None
    dice: float | None
    threshold: float | None
    min_area_px: int | None
    rejected: Mapping[str, Any] | None
    """Rejected frames among those that show it, counted; None for normal."""


@dataclass(frozen=True, slots=True)
class Page:
    """All values that the template shows."""

    title: str
    where: str
    headlines: tuple[Headline, ...]
    warnings: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    baseline: tuple[tuple[str, str, float | None, float | None], ...]
    figures: Mapping[str, Any]
    operating: OperatingChart
    classes: tuple[ClassRow, ...]
    confusion: tuple[tuple[ClassRow, tuple[tuple[int, float], ...]], ...]
    """Rows of (class, cells of (pixels, share of the row))."""
    reliability: ReliabilityChart
    escapes: tuple[WrongPicture, ...]
    overkills: tuple[WrongPicture, ...]
    narrow: bool
    version: str


def write_page(path: Path, figures: Mapping[str, Any], study: Study, data: LoadedFrames, where: str) -> None:
    """Write the page whole or not at all.

    `figures` is the object of `trainer evaluate --json`, `where` the data set as the user named it. The page is
    one self-contained file, without network access or scripts. Raises OSError.
    """
    write_whole(path, _render(_compose(figures, study, data, where)).encode("utf-8", "replace"))


def _compose(figures: Mapping[str, Any], study: Study, data: LoadedFrames, where: str) -> Page:
    names = study.operation.classes
    classes = tuple(_class_row(kind, name, figures) for kind, name in enumerate(names))
    height, width = data.size
    part = "" if figures["part"] == "all" else f", part {figures['part']}"
    return Page(
        title=f"Evaluation of {figures['what']}",
        where=f"{where}{part}",
        headlines=(
            replace(
                _headline("escape", "defective", figures["escapes"], figures["defective_frames"], figures),
                alarm=escape_alarm(figures),
            ),
            replace(
                _headline("overkill", "good", figures["overkills"], figures["good_frames"], figures),
                alarm=overkill_alarm(figures),
            ),
        ),
        warnings=(*figures["warnings"], *([said] if (said := miou_alarm(figures)) else [])),
        facts=(
            ("frames", f"{thousands(figures['frames'])} of {height} × {width} px"),
            ("seen in training", _seen(figures["seen_in_training"])),
            ("maps at", f"1/{figures['map_stride']} of the frame"),
            ("data", f"sha256 {figures['data_sha256'][:16]}…"),
        ),
        baseline=tuple(
            (name, means, measured(figures, key), measured(figures["all_normal"], key))
            for name, key, means in BESIDE_BASELINE
        ),
        figures=figures,
        operating=operating_chart(figures),
        classes=classes,
        confusion=tuple(
            (row, tuple((count, count / max(1, sum(counts))) for count in counts))
            for row, counts in zip(classes, figures["confusion"]["pixels"], strict=True)
        ),
        reliability=reliability_chart(figures["reliability_curve"]),
        escapes=show_escapes(study.escapes, data, names),
        overkills=show_overkills(study.overkills, data, names),
        narrow=width < WIDE * height,
        version=inspector.__version__,
    )


def _headline(name: str, kind: str, count: int, of: int, figures: Mapping[str, Any]) -> Headline:
    interval = figures[f"{name}_interval"]
    if interval is None:
        return Headline(name, "–", "", f"there is no {kind} frame")
    low, high = (_percent(bound) for bound in interval)
    counted = f"{thousands(count)} of {thousands(of)} {kind} frames"
    return Headline(name, _percent(figures[name]), f"{low} to {high}", counted)


def _class_row(kind: int, name: str, figures: Mapping[str, Any]) -> ClassRow:
    return ClassRow(
        kind,
        name,
        figures["iou"][name],
        figures["dice"][name],
        figures["thresholds"].get(name),
        figures["min_area_px"].get(name, 0) if kind else None,
        figures["frame_recall"].get(name),
    )


def _seen(seen: Mapping[str, Any]) -> str:
    if seen["told_by"] is None:
        return "cannot be told: it keeps no record of its frames"
    return f"{frames(seen['train'])} trained on, {seen['val']} in validation (told by {seen['told_by']})"


def _percent(share: float | None) -> str:
    """About two significant digits: 0.69 %, 2.1 %, 11.5 %."""
    if share is None:
        return "–"
    percent = 100 * share
    digits = 2 if 0 < percent < 1 else 0 if percent in (0, 100) else 1
    return f"{percent:.{digits}f}\N{NO-BREAK SPACE}%"


def _interval(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{_percent(interval[0])} to {_percent(interval[1])}"


def _size(row: Mapping[str, Any]) -> str:
    if row["below_px"] is None:
        return f"{thousands(row['from_px'])} px and more"
    return f"{thousands(row['from_px'])} to {thousands(row['below_px'] - 1)} px"


def _render(page: Page) -> str:
    environment = page_environment(Path(__file__).parent)
    environment.filters.update(
        colour=kind_colour,
        shape=mark_path,
        pct=lambda value: f"{value:.2f}%",
        percent=_percent,
        interval=_interval,
        size=_size,
        share=lambda value: "–" if value is None else f"{value:.3f}",
        thousands=thousands,
    )
    return environment.get_template("evaluation.html.j2").render(p=page)
