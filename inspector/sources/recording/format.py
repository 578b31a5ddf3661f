"""The format of a recording: lossless frames with their times and strip positions.

A recording is a folder:

recording.json   schema version, camera, frame size; once closed also the number of frames
frames.mkv       the frames, FFV1 grey, every one a key frame; its time stamp in ms is its frame_id
frames.jsonl     one line per captured frame or fault: frame_id, captured_ns, position_mm, coil, fault,
                 CRC-32 of the pixels (FFV1's decoder returns damaged frames without an error)

Both files grow frame by frame, so a recording stays readable after the recorder is killed.
"""

from fractions import Fraction
from typing import Final

import msgspec

from inspector.values import Code

RECORDING_NAME: Final = "recording.json"
VIDEO_NAME: Final = "frames.mkv"
SIDECAR_NAME: Final = "frames.jsonl"

SCHEMA_VERSION: Final = 1

TICK: Final = Fraction(1, 1000)
"""Time base of the video, seconds. Matroska counts milliseconds, so one frame_id is one millisecond."""


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """The content of recording.json."""

    schema_version: int
    camera: str
    made_by: str
    height: int | None = None
    """Rows of every frame, along the strip; None until the first frame."""
    width: int | None = None
    mm_per_px: float | None = None
    frames: int | None = None
    """Captured frames, including faults; None until the recording is closed."""
    sidecar_sha256: str | None = None
    """Identifies the content: the sidecar holds every frame's checksum."""


class Line(msgspec.Struct, frozen=True):
    """One line of the sidecar."""

    frame_id: int
    captured_ns: int | None
    position_mm: float | None
    coil: str | None
    fault: str | None
    crc32: int | None
    code: Code = Code.NO_FRAME
    """The fault's code, meaningful only with a fault; recordings of older versions have none."""
