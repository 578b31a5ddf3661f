"""The values that travel through the line: Capture → Frame → Segmentation → Defect → Verdict.

All are frozen and checked once, at construction. Pixels are never copied here.
"""

from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

MAP_STRIDES: Final = (1, 2, 4)
"""Divisors of the frame size at which an engine may return its maps (see the engine contract)."""

REPLAY_EPOCH: Final = 1
"""Ingest epoch of every camera of a replay. A replay starts each ingest once, and a constant epoch keeps the
verdicts of two replays of one recording identical."""

MAX_SCORE: Final = 255
"""Score maps hold round(255 · (1 − p(normal))) as uint8."""


UNSOUND_FRAME_SCORE: Final = 0
"""Stands for a NaN frame score. Valid ones are 1 to 255."""


def frame_step(threshold: float) -> int:
    """The lowest sound frame score, 1..255, that reaches a threshold of 0..1."""
    return 1 + round(threshold * (MAX_SCORE - 1))


def frame_score_of(step: int) -> float:
    """A sound frame score as a number from 0 to 1."""
    return (step - 1) / (MAX_SCORE - 1)


def _check_pixels(pixels: Pixels, dimensions: int, what: str) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != dimensions or pixels.size == 0:
        raise ValueError(
            f"{what} must be a non-empty uint8 array of {dimensions} dimensions, "
            f"got {pixels.dtype} of shape {pixels.shape}"
        )
    if not pixels.flags.c_contiguous:
        raise ValueError(f"{what} must be contiguous")


PICTURE_BLOCK: Final = "picture_block"
"""Among a camera's readings: number of the newest block of pictures. Its means are called picture_block.NAME, with
the names of PICTURE_FIGURES."""
PICTURE_FIGURES: Final = ("brightness", "contrast", "grain")
PICTURE_FRAMES: Final = 50
"""Pictures in a block."""

LATENCIES: Final = ("transfer", "batch", "engine", "decide", "total")
"""The keys of a verdict's `stage_ms`; each has a histogram and a column."""


class Decision(StrEnum):
    """What the gate does with a frame; it treats UNINSPECTED as REJECT."""

    ACCEPT = "accept"
    REJECT = "reject"
    UNINSPECTED = "uninspected"


class Code(StrEnum):
    """Why a frame is uninspected, for programs: used by metrics, records, the summary and the gate."""

    SHED = "shed"
    """The worker is behind, or the frame is too old to meet its deadline."""
    OVERDUE = "overdue"
    """No result within the deadline."""
    ANNOUNCEMENT_LOST = "announcement_lost"
    """decide did not receive the frame's announcement."""
    INGEST_RESTARTED = "ingest_restarted"
    """The ingest that captured the frame was replaced before a result came."""
    STOPPED = "stopped"
    """The line stopped before a result came."""
    ENGINE_FAILED = "engine_failed"
    RESULT_REFUSED = "result_refused"
    """A result came, but its times contradict the frame's."""
    RECIPE_MISMATCH = "recipe_mismatch"
    """ingest or the worker uses another recipe than decide."""
    WRONG_SIZE = "wrong_size"
    UNREADABLE = "unreadable"
    """A file or a recorded frame is damaged or does not decode."""
    NO_FRAME = "no_frame"
    """The camera gave no frame when one was due."""
    STREAM_DAMAGED = "stream_damaged"
    """A video stream lost data: its pictures are unreliable up to the next key frame."""
    INCOMPLETE = "incomplete"
    """Packets of the frame were lost between camera and PC."""
    PICTURE_DARK = "picture_dark"
    PICTURE_BRIGHT = "picture_bright"
    PICTURE_FLAT = "picture_flat"
    """Too little contrast."""
    PICTURE_BLURRED = "picture_blurred"
    PICTURE_NOISY = "picture_noisy"
    PICTURE_UNEVEN = "picture_uneven"
    """Part of the frame is much darker than the rest."""
    PICTURE_FROZEN = "picture_frozen"
    """The camera repeats the same picture."""


class Motion(StrEnum):
    """How the strip moves."""

    UNKNOWN = "unknown"
    """The position source does not answer: the position is counted from the frames."""
    STANDING = "standing"
    THREADING = "threading"
    """Slow travel, for example while a coil's head is threaded."""
    RUNNING = "running"
    REVERSE = "reverse"


class StripPlace(msgspec.Struct, frozen=True):
    """A frame's place on the strip, on a line with a `[strip]` table."""

    motion: Motion
    speed_mm_s: float = 0.0
    overlap_mm: float = 0.0
    """Length of the frame that earlier frames of its camera have shown: all of it in reverse travel."""
    gap_mm: float = 0.0
    """Length of steel between the previous frame of its camera and this one that neither shows."""
    length_mm: float = 0.0
    """Length of the frame along the strip; 0 if its position is unknown."""
    coil_mm: float | None = None
    """Position of the first row from the coil's head; None without a coil."""
    left_mm: float | msgspec.UnsetType = msgspec.UNSET
    right_mm: float | msgspec.UnsetType = msgspec.UNSET
    """Places of the strip's edges across; left out where edges are not looked for, or lie outside the picture."""
    no_steel: bool | msgspec.UnsetType = msgspec.UNSET
    """The coil is too narrow for this camera, by its stated width: a dark picture is none of steel. Left out where
    the camera may see steel."""


class Uninspected(msgspec.Struct, frozen=True, array_like=True):
    """Why a frame is not inspected."""

    code: Code
    text: str
    """For people: what happened, to what."""


class Capture(msgspec.Struct, frozen=True):
    """What a source delivers: one frame's pixels, or the fault that took their place.

    `position_mm` and `captured_ns` are None when the source knows no better than frame count and clock; ingest
    then fills them in.
    """

    pixels: Pixels | None
    """uint8 [H, W], or None with a fault."""
    fault: Uninspected | None = None
    """Why there are no pixels."""
    captured_ns: int | None = None
    """Capture time, ns since 1970."""
    position_mm: float | None = None
    """Strip position of the frame's first row."""
    coil: str | None = None
    file: str | None = None
    """Name of the file it was read from."""
    encoder_count: int | None = None
    """The encoder's count at the first row, from a camera that sends it with the frame."""

    def __post_init__(self) -> None:
        if (self.pixels is None) == (self.fault is None):
            raise ValueError("a capture has either pixels or a fault")
        if self.pixels is not None:
            _check_pixels(self.pixels, 2, "a capture's pixels")


class Frame(msgspec.Struct, frozen=True):
    """One captured frame of one camera."""

    camera: str
    frame_id: int
    """Counts every captured frame of the camera, in order, without gaps."""
    captured_ns: int
    """Capture time, ns since 1970."""
    captured_monotonic_ns: int
    """The same instant on the monotonic clock."""
    position_mm: float
    pixels: Pixels
    """uint8 [H, W], mono."""

    def __post_init__(self) -> None:
        if self.frame_id < 0:
            raise ValueError(f"frame_id must not be negative, got {self.frame_id}")
        _check_pixels(self.pixels, 2, "a frame's pixels")


class Announcement(msgspec.Struct, frozen=True, array_like=True, tag="announce"):
    """Announces a captured frame to decide before its pixels are sent; from then on it needs a verdict."""

    camera: str
    ingest_epoch: int
    """When the ingest that captured it started, monotonic clock, ns; frame ids count from there."""
    frame_id: int
    captured_ns: int
    """Capture time, ns since 1970."""
    captured_monotonic_ns: int
    """The same instant on the monotonic clock, so that deadlines and latencies survive a clock change."""
    position_mm: float
    height: int
    """Frame height, px; without pixels, that of the frame before, or the engine's."""
    coil: str | None = None
    fault: Uninspected | None = None
    """Why the frame cannot be inspected: it ends UNINSPECTED with this reason."""
    file: str | None = None
    """Name of the file it was read from."""
    recipe: str = ""
    """Name and content hash of the recipe whose scale gave the position; empty when the sender names none."""
    strip: StripPlace | None = None
    """None on a line without a `[strip]` table."""
    zero: int | None = None
    """Number of the zero of the position, which an encoder gives; frames with different ones do not continue each
    other. None for a counted position."""
    next_recipe: str = ""
    """Recipe of a coil that begins in this frame; it judges the frame, too. Empty without one."""
    width: int = 0
    """Frame width, px; without pixels, that of the frame before; 0 before the first one with pixels."""


class Segmentation(msgspec.Struct, frozen=True):
    """The engine's output for one frame; H/m and W/m are rounded up."""

    kind: Pixels
    """uint8 [H/m, W/m]: the most likely defect class 1..K of every pixel; normal is excluded."""
    score: Pixels
    """uint8 [H/m, W/m]: round(255 · (1 − p(normal)))."""
    map_stride: int
    """The stride m."""

    def __post_init__(self) -> None:
        _check_pixels(self.kind, 2, "a kind map")
        _check_pixels(self.score, 2, "a score map")
        if self.kind.shape != self.score.shape:
            raise ValueError(f"kind is {self.kind.shape} but score is {self.score.shape}")
        if self.map_stride not in MAP_STRIDES:
            raise ValueError(f"map stride must be one of {MAP_STRIDES}, got {self.map_stride}")


class Working(msgspec.Struct, frozen=True):
    """Identifies a worker, with its state when it sent a message."""

    started_ns: int = 0
    """When it started, monotonic clock, ns: tells workers apart."""
    waiting: int = 0
    """Frames queued for its engine."""
    batches: tuple[int, ...] = ()
    """Sizes of the batches that its engine has answered since its last message."""


UNKNOWN_WORKER: Final = Working()


class Inspection(msgspec.Struct, frozen=True):
    """The worker's result for one frame: clean, a segmentation, or a fault."""

    engine: str
    """Name and content hash."""
    received_ns: int
    submitted_ns: int
    answered_ns: int
    """Monotonic clock, ns."""
    segmentation: Segmentation | None = None
    """None for a frame in which no score reaches the recipe's lowest threshold, unless a viewer wants it."""
    pixels: Pixels | None = None
    """uint8 [H, W], with a segmentation."""
    fault: Uninspected | None = None
    frame_score: int | None = None
    """The engine's score of the frame as a whole, 1..255; None for an engine without one."""


class Defect(msgspec.Struct, frozen=True):
    """One defect, as one frame shows it."""

    id: str
    """The same for one defect in several frames."""
    kind: int
    """Class 1..K of the engine."""
    name: str
    box: tuple[int, int, int, int]
    """x, y, width, height in pixels of this frame."""
    area_px: int
    area_mm2: float
    across_mm: float
    """Centre, across the strip, from the frame's left edge."""
    along_mm: float
    """Centre, along the strip."""
    score: float
    """Mean of 1 − p(normal) over the defect's pixels, 0..1."""
    edge_mm: float | msgspec.UnsetType = msgspec.UNSET
    """From the defect's border to the strip's nearer edge; left out where no edge was found."""

    def __post_init__(self) -> None:
        if self.kind < 1 or self.area_px < 1:
            raise ValueError(f"a defect has kind ≥ 1 and area ≥ 1 px, got {self.kind}, {self.area_px}")
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"score must lie in 0..1, got {self.score}")


class Verdict(msgspec.Struct, frozen=True):
    """The line's verdict on one frame; one line of verdicts.jsonl, with these keys."""

    camera: str
    frame_id: int
    captured_ns: int
    position_mm: float
    coil: str | None
    decision: Decision
    reasons: tuple[str, ...]
    """Why the frame is rejected or uninspected; empty when accepted."""
    defects: tuple[Defect, ...]
    recipe: str
    """Name and content hash."""
    engine: str
    """Name and content hash."""
    stage_ms: dict[str, float] = msgspec.field(default_factory=dict)
    """Time per step and in total, capture to verdict."""
    file: str | None = None
    """Name of the file that the frame was read from, in a replay of a folder."""
    ingest_epoch: int = 0
    """When the ingest that captured the frame started, monotonic clock, ns; 0 in logs of older versions."""
    codes: tuple[str, ...] = ()
    """One per reason, for programs: a `Code`, "defect" or "too_many_defects"."""
    frame_score: float | msgspec.UnsetType = msgspec.UNSET
    """The engine's score of the frame as a whole, 0..1; left out by engines without one."""
    strip: StripPlace | msgspec.UnsetType = msgspec.UNSET
    """Left out on a line without a `[strip]` table."""
    size_px: tuple[int, int] | msgspec.UnsetType = msgspec.UNSET
    """Height and width of a frame that is not of the engine's size; left out for one that is."""

    def __post_init__(self) -> None:
        if (self.decision is Decision.ACCEPT) != (not self.reasons):
            raise ValueError(f"{self.decision} with reasons {self.reasons}: only an accept has none")
