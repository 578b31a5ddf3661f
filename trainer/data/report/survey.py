"""Collects the findings on a folder of labelled frames, before training."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inspector.errors import InputError
from trainer.data.dataset import Dataset
from trainer.data.faults import Fault
from trainer.data.fit import LEAST_SIDE_PX, usual_size
from trainer.data.formats import open_dataset
from trainer.data.look_alikes import Pair, find_pairs, join
from trainer.data.report.agreement import Agreement, measure_agreement
from trainer.data.report.duplicates import confirm
from trainer.data.scan import Scanned, scan
from trainer.data.whole_set import whole_set_faults

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of mask areas. The extremes are left out because they are often drawing errors."""
FEW_FRAMES: Final = 5
"""Frames of a class below which `survey` reports it as rare: validation or test then has at most one."""
MIN_MARGIN_SHARE: Final = 0.01
"""Share of a frame's height or width below which a dark edge is vignetting, not a margin."""


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Statistics of one class's labels."""

    name: str
    frames: int
    """Frames that show it."""
    share_of_px: float
    areas_px: NDArray[np.int64]
    """Its area in each of those frames, sorted."""

    @property
    def quantiles_px(self) -> list[int] | None:
        """Areas at QUANTILES; None for a class that no frame shows."""
        if not len(self.areas_px):
            return None
        return [int(value) for value in np.quantile(self.areas_px, QUANTILES)]


@dataclass(frozen=True, slots=True)
class Margins:
    """Black edges where the camera sees past the strip."""

    frames: int
    typical_px: int
    """Median, over those frames, of the width of the widest margin."""
    widest_px: int
    widest_frame: str
    black_frames: list[str]
    """Names of frames without any steel."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Findings of one check."""

    dataset: Dataset
    frames: list[Scanned]
    """Readable frames."""
    listed: int
    """Number of frames in the data set, readable or not."""
    sizes: list[tuple[int, int, int]]
    """(height, width, frames), most frequent first."""
    faults: list[Fault]
    """Faults that training refuses."""
    remarks: list[Fault]
    """Faults that training accepts."""
    defective: int
    classes: list[ClassFigures]
    """Normal first."""
    exact: list[list[str]]
    """Groups of two or more frames with the same pixels."""
    near: list[Pair]
    """Two takes of one picture, as indices into `frames`; of exact duplicates only the first is compared."""
    shared: list[Pair]
    """Frames that share part of a picture."""
    groups: NDArray[np.intp]
    """int [frames]: frames that look alike share a number."""
    agreement: Agreement | None
    """Agreement of the masks of duplicates; None without duplicates."""
    margins: Margins


def survey(root: Path, *, show_progress: bool = False) -> Survey:
    """Read every frame and label of `root`; raises InputError only for a folder without a readable data set."""
    found: list[Fault] = []
    dataset = open_dataset(root, found.append)
    frames = scan(dataset, found.append, show_progress=show_progress)
    if not frames:
        first = next(fault for fault in found if fault.refused)
        raise InputError(f"{root}: none of its {len(dataset.names)} frames can be read: {first}")
    sizes = Counter((frame.height, frame.width) for frame in frames).most_common()
    found += _other_sizes(dataset, frames)
    classes = _class_figures(dataset, frames)
    labelled = [frame.areas_px > 0 for frame in frames if frame.areas_px is not None]
    if labelled:
        found += whole_set_faults(root, np.stack(labelled))
    for figures in classes[1:]:
        if not figures.frames:
            found.append(Fault("empty class", root, f"no frame shows the class {figures.name}", refused=False))
        elif figures.frames < FEW_FRAMES:
            show = "frames show" if figures.frames > 1 else "frame shows"
            text = (
                f"only {figures.frames} {show} the class {figures.name}: a network cannot learn it, and no figure "
                "of it means anything; label more frames of it"
            )
            found.append(Fault("rare class", root, text, refused=False))
    margins = _margins(frames)
    for name in margins.black_frames:
        found.append(Fault("black frame", dataset.images[name], "shows no steel", frame=name, refused=False))
    exact, originals = _exact(frames)
    pairs = [
        Pair(originals[p.first], originals[p.second], p.turn, p.distance, p.correlation)
        for p in find_pairs([frames[index].look for index in originals])
    ]
    near = confirm(dataset, frames, pairs, show_progress=show_progress)
    is_near = set(near)
    links = [(pair.first, pair.second) for pair in pairs]
    links += [(group[0], other) for group in exact for other in group[1:]]
    copies = [Pair(group[0], other, 0, 0, 1.0) for group in exact for other in group[1:]]
    return Survey(
        dataset=dataset,
        frames=frames,
        listed=len(dataset.names),
        sizes=[(*size, count) for size, count in sizes],
        faults=[fault for fault in found if fault.refused],
        remarks=[fault for fault in found if not fault.refused],
        defective=sum(frame.areas_px is not None and bool(frame.areas_px[1:].any()) for frame in frames),
        classes=classes,
        exact=[[frames[index].name for index in group] for group in exact],
        near=near,
        shared=[pair for pair in pairs if pair not in is_near],
        groups=join(len(frames), links),
        agreement=measure_agreement(dataset, frames, [*copies, *near], show_progress=show_progress),
        margins=margins,
    )


def _other_sizes(dataset: Dataset, frames: list[Scanned]) -> list[Fault]:
    """One remark for all frames of another size, and a fault for each frame too small for any network."""
    found = []
    for frame in frames:
        if min(frame.height, frame.width) < LEAST_SIDE_PX:
            text = f"frame is {frame.height}×{frame.width} px: needs at least {LEAST_SIDE_PX} px each way"
            found.append(Fault("too small", dataset.images[frame.name], text, frame=frame.name))
    sizes = [(frame.height, frame.width) for frame in frames]
    if len(set(sizes)) > 1:
        height, width = usual_size(sizes)
        others = sum(size != (height, width) for size in sizes)
        text = (
            f"{others} of {len(sizes)} frames are not {height}×{width} px: `trainer train` cuts them into tiles "
            "of that size (--fit resize scales them, --frame H W states another size)"
        )
        found.append(Fault("another size", dataset.root, text, refused=False))
    return found


def _class_figures(dataset: Dataset, frames: list[Scanned]) -> list[ClassFigures]:
    areas = [frame.areas_px for frame in frames if frame.areas_px is not None]
    table = np.stack(areas) if areas else np.zeros((0, len(dataset.classes)), np.int64)
    total = max(1, int(table.sum()))
    figures = []
    for kind, name in enumerate(dataset.classes):
        column = table[:, kind]
        shown = np.sort(column[column > 0])
        figures.append(ClassFigures(name, len(shown), int(shown.sum()) / total, shown))
    return figures


def _margins(frames: list[Scanned]) -> Margins:
    widths: list[tuple[int, str]] = []
    black = []
    for frame in frames:
        top, bottom, left, right = frame.margins_px
        if top == frame.height:
            black.append(frame.name)
            continue
        wide = max(left, right) if max(left, right) >= MIN_MARGIN_SHARE * frame.width else 0
        high = max(top, bottom) if max(top, bottom) >= MIN_MARGIN_SHARE * frame.height else 0
        if wide or high:
            widths.append((max(wide, high), frame.name))
    widest = max(widths, default=(0, ""))
    typical = int(np.median([width for width, _ in widths])) if widths else 0
    return Margins(len(widths), typical, widest[0], widest[1], black)


def _exact(frames: list[Scanned]) -> tuple[list[list[int]], list[int]]:
    """Groups of two or more frames with the same pixels, and the first index of every different picture."""
    by_digest: dict[tuple[str, int, int], list[int]] = {}
    for index, frame in enumerate(frames):
        by_digest.setdefault((frame.digest, frame.height, frame.width), []).append(index)
    return [group for group in by_digest.values() if len(group) > 1], [group[0] for group in by_digest.values()]
