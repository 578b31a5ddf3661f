"""What a receiver gets as JSON. Every message has a key: a receiver that has seen it drops the message."""

from typing import Final, Literal

import msgspec

from inspector.outbound.health import HealthChange, State
from inspector.sinks.coil_results import CoilResult
from inspector.values import Verdict


class DefectMessage(msgspec.Struct, frozen=True):
    """A defect, as one frame shows it."""

    key: str
    line: str
    camera: str
    coil: str | None
    captured_ns: int
    """Capture time of the frame, ns since 1970."""
    position_mm: float
    """Strip position of the frame's first row."""
    ingest_epoch: int
    frame_id: int
    """Name the frame, with the camera."""
    decision: Literal["accept", "reject", "uninspected"]
    """The frame's verdict."""
    defect_id: str
    """The same for one defect in several frames."""
    kind: int
    name: str
    box: tuple[int, int, int, int]
    """x, y, width, height in pixels of the frame."""
    area_px: int
    area_mm2: float
    across_mm: float
    along_mm: float
    """Centre: from the frame's left edge; along the strip."""
    score: float
    recipe: str
    engine: str
    """Name and content hash."""


class CoilMessage(msgspec.Struct, frozen=True):
    """The result of a coil. The defects themselves stand in the strip's folder and in the records."""

    key: str
    line: str
    number: int
    id: str
    grade: str
    customer: str
    width_mm: float | None
    thickness_mm: float | None
    started_ns: int
    ended_ns: int
    start_mm: float
    end_mm: float
    length_mm: float
    plan: str
    """Empty for the default."""
    recipe: str
    verdict: Literal["release", "downgrade", "hold"]
    reasons: tuple[str, ...]
    frames: int
    frames_rejected: int
    frames_uninspected: int
    uninspected_mm: float
    count: int
    """Defects."""
    counts: dict[str, int]
    """By class."""
    severities: dict[str, int]
    """By severity."""
    roll_marks: tuple[str, ...]


class HealthMessage(msgspec.Struct, frozen=True):
    """The line's health from a moment on."""

    key: str
    line: str
    number: int
    at_ns: int
    state: State
    findings: tuple[str, ...]
    """What is wrong, one line each."""
    recipe: str
    engine: str


Message = DefectMessage | CoilMessage | HealthMessage

SCHEMAS: Final = {"coil": CoilMessage, "defect": DefectMessage, "health": HealthMessage}
"""Name of the topic → what its messages hold."""


def defect_messages(line: str, verdict: Verdict) -> list[DefectMessage]:
    """One message for each defect in a frame."""
    frame = f"{verdict.camera}:{verdict.ingest_epoch}:{verdict.frame_id}:{verdict.captured_ns}"
    return [
        DefectMessage(
            key=f"defect:{frame}:{n}",
            line=line,
            camera=verdict.camera,
            coil=verdict.coil,
            captured_ns=verdict.captured_ns,
            position_mm=verdict.position_mm,
            ingest_epoch=verdict.ingest_epoch,
            frame_id=verdict.frame_id,
            decision=verdict.decision.value,
            defect_id=defect.id,
            kind=defect.kind,
            name=defect.name,
            box=defect.box,
            area_px=defect.area_px,
            area_mm2=defect.area_mm2,
            across_mm=defect.across_mm,
            along_mm=defect.along_mm,
            score=defect.score,
            recipe=verdict.recipe,
            engine=verdict.engine,
        )
        for n, defect in enumerate(verdict.defects)
    ]


def coil_message(line: str, result: CoilResult) -> CoilMessage:
    """The message of a judged coil."""
    same = {
        name: getattr(result, name)
        for name in CoilMessage.__struct_fields__
        if name not in ("key", "line", "roll_marks")
    }
    marks = tuple(mark.text for mark in result.roll_marks)
    return CoilMessage(f"coil:{result.number}:{result.started_ns}", line, **same, roll_marks=marks)


def health_message(line: str, change: HealthChange) -> HealthMessage:
    """The message of a change of health."""
    return HealthMessage(f"health:{change.number}:{change.at_ns}", line, **msgspec.structs.asdict(change))
