"""Renders the findings as one self-contained HTML page, without network access or scripts."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

import inspector
from inspector.errors import WorkError
from inspector.files import write_whole
from inspector.numbers import thousands
from inspector.render.colours import kind_colour
from inspector.render.page import page_environment
from inspector.report.map_marks import mark_path
from trainer.data.faults import Fault
from trainer.data.look_alikes import Pair
from trainer.data.report.pictures import pair_picture, picture
from trainer.data.report.survey import Survey

MAX_FINDINGS: Final = 60
"""Most rows of the table; --json has all findings."""
PICTURES: Final = 9
"""Most pictures per section: enough to judge by, and the page stays at a few MB."""
CLASS_PICTURES: Final = 3
CLASS_PICTURES_AT: Final = (0.1, 0.5, 0.9)
"""Quantiles of the area: a small, a usual and a large example of each class."""
LEAST_PAGE_PX: Final = 1.0
"""Left end of the area scale, px."""


@dataclass(frozen=True, slots=True)
class Box:
    """Quantiles of one class's areas on the common logarithmic scale, in percent of its width."""

    low: float
    left: float
    middle: float
    right: float
    high: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture and its caption."""

    jpeg: str
    title: str
    text: str


def write_page(found: Survey, path: Path) -> None:
    """Write the page; raises WorkError where it cannot be written."""
    environment = page_environment(Path(__file__).parent)
    environment.filters.update(
        colour=kind_colour,
        shape=mark_path,
        thousands=thousands,
        pct=lambda value: f"{value:.2f}%",
        share=lambda value: f"{100 * value:.1f} %" if value >= 0.01 else f"{100 * value:.2f} %",
        iou=lambda value: "–" if value is None else f"{value:.3f}",
    )
    page = environment.get_template("page.html.j2").render(
        s=found,
        version=inspector.__version__,
        groups=int(found.groups.max()) + 1,
        turned=sum(pair.turn != 0 for pair in found.near),
        exact_copies=sum(len(group) - 1 for group in found.exact),
        kinds_of_findings=_kinds_of_findings([*found.faults, *found.remarks]),
        findings=[*found.faults, *found.remarks][:MAX_FINDINGS],
        findings_left=max(0, len(found.faults) + len(found.remarks) - MAX_FINDINGS),
        boxes=_boxes(found),
        samples=_samples(found),
        worst=_worst(found),
        shared=_shared(found),
        margin=_margin(found),
        largest_groups=_largest_groups(found),
        wide=found.sizes[0][1] > 2 * found.sizes[0][0],
    )
    try:
        write_whole(path, page.encode("utf-8", "replace"))
    except OSError as error:
        raise WorkError(f"{path} cannot be written: {error.strerror}: name another file") from error


def _kinds_of_findings(findings: Sequence[Fault]) -> list[tuple[str, int]]:
    return Counter(fault.kind for fault in findings).most_common()


def _boxes(found: Survey) -> list[Box | None]:
    """Area quantiles by class, from class 1."""
    top = np.log(max(2.0, max(h * w for h, w, _ in found.sizes) / LEAST_PAGE_PX))
    boxes: list[Box | None] = []
    for figures in found.classes[1:]:
        areas = figures.quantiles_px
        boxes.append(None if areas is None else Box(*(float(100 * np.log(max(1, area)) / top) for area in areas)))
    return boxes


def _samples(found: Survey) -> list[tuple[int, str, list[Shown]]]:
    """(class, name, pictures of a small, a usual and a large example)."""
    samples = []
    for kind, figures in enumerate(found.classes):
        shown = [frame for frame in found.frames if frame.areas_px is not None and frame.areas_px[kind]]
        if kind == 0:
            shown = [frame for frame in shown if frame.areas_px is not None and not frame.areas_px[1:].any()]
        ordered = sorted(shown, key=lambda frame: 0 if frame.areas_px is None else int(frame.areas_px[kind]))
        places = sorted({round(at * (len(ordered) - 1)) for at in CLASS_PICTURES_AT}) if ordered else []
        pictures = []
        for place in places[:CLASS_PICTURES]:
            frame = ordered[place]
            area = 0 if frame.areas_px is None else int(frame.areas_px[kind])
            text = f"{thousands(area)} px of {figures.name}" if kind else "no label"
            pictures.append(Shown(picture(found.dataset, frame.name), frame.name, text))
        if pictures:
            samples.append((kind, figures.name, pictures))
    return samples


def _worst(found: Survey) -> list[Shown]:
    """The pairs whose masks differ most, one pair per group of look-alikes."""
    if found.agreement is None:
        return []
    iou = {each.pair: each.iou for each in found.agreement.worst}
    return _pairs(found, list(iou), lambda pair: f"masks agree to IoU {iou[pair]:.2f}")


def _shared(found: Survey) -> list[Shown]:
    """Pairs spread evenly over the distances, closest first."""
    ordered = sorted(found.shared, key=lambda pair: pair.distance)
    chosen = ordered[:: max(1, len(ordered) // PICTURES)]
    return _pairs(found, chosen, lambda pair: f"{pair.distance} of 255 bits differ")


def _pairs(found: Survey, pairs: Sequence[Pair], say: Callable[[Pair], str]) -> list[Shown]:
    shown: list[Shown] = []
    seen: set[int] = set()
    for pair in pairs:
        if len(shown) == PICTURES:
            break
        group = int(found.groups[pair.first])
        if group in seen:
            continue
        seen.add(group)
        first, second = found.frames[pair.first].name, found.frames[pair.second].name
        text = say(pair) + (", the second turned to match" if pair.turn else "")
        shown.append(Shown(pair_picture(found.dataset, first, second, pair.turn), f"{first} · {second}", text))
    return shown


def _margin(found: Survey) -> Shown | None:
    margins = found.margins
    if not margins.frames:
        return None
    text = f"the widest margin, {thousands(margins.widest_px)} px"
    return Shown(picture(found.dataset, margins.widest_frame), margins.widest_frame, text)


def _largest_groups(found: Survey) -> list[tuple[int, int]]:
    """(frames in a group, number of such groups), largest first."""
    return sorted(Counter(np.bincount(found.groups).tolist()).items(), reverse=True)
