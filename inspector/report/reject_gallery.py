"""Pictures of the worst rejects of each kind, with their reasons, small enough to be mailed."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from inspector.core.judge import names
from inspector.numbers import thousands
from inspector.render.local_time import clock
from inspector.render.numbers import frames, metres, regroup, square_mm
from inspector.render.outlines import MAX_NUMBERS, by_size
from inspector.report.run_figures import Candidate, RunFigures, Strip
from inspector.sinks.pictures import captured_ns_of, picture_name
from inspector.values import Verdict

OF_A_KIND: Final = 8
"""Most defects shown per kind, the largest ones; fewer if there are many kinds."""
MAX_PICTURES: Final = 48
"""Most pictures of a report, about 3 MB; each kind has at least one."""
PICTURE_PX: Final = 1200
PICTURE_QUALITY: Final = 72
MAX_REASONS: Final = 8
"""Most reasons shown per picture."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of a reject, with the number and kind of its defect in the picture, or 0 if it names none."""

    number: int
    kind: int
    text: str


@dataclass(frozen=True, slots=True)
class RejectPicture:
    """One rejected frame as shown in the report."""

    anchor: str
    camera: str
    frame_id: int
    file: str | None
    coil: str | None
    captured: str
    position_mm: float
    reasons: tuple[Reason, ...]
    """Largest defect first."""
    more: int
    """Number of reasons left out."""
    about: str
    """Size of the defect that the picture is shown for, if several frames show it; else empty."""
    jpeg: str | None
    """Base64; None if the file cannot be read."""
    width_px: int
    height_px: int
    """Width and height are those of the frame, before the picture was scaled down."""


@dataclass(frozen=True, slots=True)
class KindGallery:
    """The worst rejects of one kind; `kind` 0 is rejects for another reason than a defect."""

    kind: int
    name: str
    said: str
    pictures: tuple[RejectPicture, ...]
    elsewhere: tuple[tuple[str, str], ...]
    """(anchor, position) of its worst rejects that are shown under another kind."""


@dataclass(slots=True)
class Gallery:
    """All pictures, and where on the page each defect is shown."""

    kinds: list[KindGallery] = field(default_factory=list)
    anchors: dict[tuple[str, str | None, int], dict[int, str]] = field(default_factory=dict)
    """Strip → row of its defects → anchor."""
    replaced: int = 0
    """Pictures not shown because a later frame with the same number replaced them."""

    @property
    def pictures(self) -> list[RejectPicture]:
        """All pictures, in the order of the page."""
        return [picture for kind in self.kinds for picture in kind.pictures]

    def of_strip(self, strip: Strip) -> Mapping[int, str]:
        """Anchors of the strip's defects, by row."""
        return self.anchors.get((strip.camera, strip.coil, strip.epoch), {})


def show_worst(figures: RunFigures, folder: Path, defects: Mapping[tuple[int, str], int]) -> Gallery:
    """Load the pictures of the worst defects from `folder`; a missing or damaged one leaves an empty entry.

    `defects` is the number of defects per (kind, name). Each kind shows its worst. A frame is shown once, under
    its kind with the fewest defects, so that a crack is not lost among big scratches.
    """
    gallery = Gallery()
    most = max(1, min(OF_A_KIND, MAX_PICTURES // max(1, len(figures.worst))))
    shown: dict[tuple[str, int, int], RejectPicture] = {}
    for key in sorted(figures.worst, key=lambda key: (key is None, defects.get(key, 0) if key else 0, key or ())):
        gallery.kinds.append(_show_kind(key, figures.worst[key], folder, most, shown, gallery, defects))
    gallery.kinds.sort(key=lambda shown_kind: (shown_kind.kind == 0, shown_kind.kind, shown_kind.name))
    return gallery


def _show_kind(
    key: tuple[int, str] | None,
    candidates: list[Candidate],
    folder: Path,
    most: int,
    shown: dict[tuple[str, int, int], RejectPicture],
    gallery: Gallery,
    defects: Mapping[tuple[int, str], int],
) -> KindGallery:
    pictures: dict[str, RejectPicture] = {}
    elsewhere: dict[str, str] = {}
    taken = 0
    for candidate in candidates:
        if taken == most:
            break
        verdict = candidate.verdict
        frame = (verdict.camera, verdict.ingest_epoch, verdict.frame_id)
        picture = shown.get(frame)
        if picture is None:
            content = _read(folder / f"{picture_name(verdict.camera, verdict.frame_id, verdict.ingest_epoch)}.jpg")
            if captured_ns_of(content) not in {None, verdict.captured_ns}:
                gallery.replaced += 1
                continue
            picture = shown[frame] = _picture(f"reject-{len(shown) + 1}", candidate, content)
            pictures[picture.anchor] = picture
        elif picture.anchor not in pictures:
            elsewhere[picture.anchor] = metres(picture.position_mm)
        taken += 1
        if candidate.row is not None:
            strip = candidate.strip
            rows = gallery.anchors.setdefault((strip.camera, strip.coil, strip.epoch), {})
            rows[candidate.row] = picture.anchor
    kind, name = key or (0, "other reasons")
    said = f"the {taken} largest of {thousands(defects.get(key, taken))}" if key else f"{taken} shown"
    if key and taken >= defects.get(key, taken):
        said = "all of them" if taken > 1 else "the only one"
    return KindGallery(kind, name, said, tuple(pictures.values()), tuple(elsewhere.items()))


def tell_rest(shown: int, pictured: int, rejected: int) -> str:
    """Return text that says which rejects are shown and where the others are."""
    if not rejected:
        return ""
    if not pictured:
        return "No picture of a reject was kept."
    said = [
        f"All {frames(rejected)} rejected."
        if shown == rejected
        else f"{frames(shown)} of {thousands(rejected)} rejected: the largest defects of every kind."
    ]
    if pictured > shown:
        said.append(f"Pictures of {thousands(pictured - shown)} more are in the folder rejects.")
    if rejected > pictured:
        said.append(f"Of {thousands(rejected - pictured)} no picture was kept.")
    return " ".join(said)


def reasons_by_size(verdict: Verdict) -> list[Reason]:
    """Return a reject's reasons with the numbers of their defects in the picture, largest defect first.

    A reason without a defect, or with one too small to have a number, gets number 0.
    """
    order = by_size(verdict.defects)
    left = list(order)
    told = []
    for reason in verdict.reasons:
        named = next((n for n in left if names(reason, verdict.defects[n])), None)
        if named is None:
            told.append((len(order), Reason(0, 0, regroup(reason))))
            continue
        left.remove(named)
        place = order.index(named)
        number = place + 1 if place < MAX_NUMBERS else 0
        told.append((place, Reason(number, verdict.defects[named].kind, regroup(reason))))
    return [reason for _, reason in sorted(told, key=lambda each: each[0])]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # the report says so in the picture's place


def _picture(anchor: str, candidate: Candidate, content: bytes) -> RejectPicture:
    verdict = candidate.verdict
    jpeg, (width_px, height_px) = _smaller(content)
    reasons = reasons_by_size(verdict)
    about = ""
    if candidate.frames > 1:
        about = f"{square_mm(candidate.area_mm2)} over {frames(candidate.frames)}; this one shows most of it"
    return RejectPicture(
        anchor=anchor,
        camera=verdict.camera,
        frame_id=verdict.frame_id,
        file=verdict.file,
        coil=verdict.coil,
        captured=clock(verdict.captured_ns),
        position_mm=verdict.position_mm,
        reasons=tuple(reasons[:MAX_REASONS]),
        more=len(reasons[MAX_REASONS:]),
        about=about,
        jpeg=jpeg,
        width_px=width_px,
        height_px=height_px,
    )


def _smaller(content: bytes) -> tuple[str | None, tuple[int, int]]:
    """Return the picture as base64 JPEG, scaled down for the page, and its first size; None if it is damaged."""
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if picture is None:
        return None, (0, 0)
    height_px, width_px = picture.shape[:2]
    if width_px > PICTURE_PX:
        size = (PICTURE_PX, max(1, round(height_px * PICTURE_PX / width_px)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(
        ".jpg",
        picture,
        [
            cv2.IMWRITE_JPEG_QUALITY,
            PICTURE_QUALITY,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,  # keeps thin coloured lines sharp
        ],
    )
    return base64.b64encode(encoded.tobytes()).decode(), (width_px, height_px)
