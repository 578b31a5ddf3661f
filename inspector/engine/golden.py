"""Golden frames: real frames with an engine's maps for them, run again before the engine is trusted."""

import io
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from inspector.core.rules import threshold_maps
from inspector.engine.manifest import GOLDEN_NAME, EngineFolder, GoldenTolerance
from inspector.errors import EngineError
from inspector.values import Pixels

MAX_GOLDEN_BYTES: Final = 2**29
"""Most bytes read for one array: eight frames of the largest size that is decoded."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Golden frames and their expected maps."""

    frames: Pixels
    """uint8 [N, H, W]."""
    kind: Pixels
    """uint8 [N, H/m, W/m]."""
    score: Pixels
    """uint8 [N, H/m, W/m]."""
    frame: Pixels | None = None
    """Frame scores, uint8 [N]; None for an engine without them."""

    def __post_init__(self) -> None:
        if not len(self.frames) == len(self.kind) == len(self.score) > 0:
            raise ValueError("needs one golden map per golden frame, and at least one frame")
        if self.frame is not None and self.frame.shape != (len(self.frames),):
            raise ValueError("needs one golden frame score per golden frame")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How close two sets of maps are."""

    mask_agreement: float
    """Share of pixels with the same thresholded class."""
    largest_score_difference: int
    """In steps of 1/255."""
    mean_score_difference: float
    """In steps of 1/255."""
    largest_frame_score_difference: int = 0
    """In steps of 1/254; 0 for an engine without frame scores."""

    def within(self, tolerance: GoldenTolerance) -> bool:
        """Whether the mask agreement and the mean score difference are within the tolerance."""
        return (
            self.mask_agreement >= tolerance.mask_agreement
            and self.mean_score_difference <= tolerance.mean_score_difference
            and self.largest_frame_score_difference <= tolerance.frame_score_difference
        )


def compare(
    golden: Golden, kind: Pixels, score: Pixels, thresholds: Pixels, frame: Pixels | None = None
) -> Agreement:
    """Compare an engine's answer to the golden frames with the expected one."""
    expected = threshold_maps(golden.kind, golden.score, thresholds)
    actual = threshold_maps(kind, score, thresholds)
    difference = np.abs(golden.score.astype(np.int16) - score)
    return Agreement(
        mask_agreement=float((expected == actual).mean()),
        largest_score_difference=int(difference.max()),
        mean_score_difference=float(difference.mean()),
        largest_frame_score_difference=_frame_difference(golden.frame, frame),
    )


def _frame_difference(expected: Pixels | None, actual: Pixels | None) -> int:
    """Largest difference of the frame scores; 255 if only one side has them."""
    if expected is None and actual is None:
        return 0
    if expected is None or actual is None:
        return 255
    return int(np.abs(expected.astype(np.int16) - actual).max())


def save(path: Path, golden: Golden) -> None:
    """Write golden.npz (no pickle)."""
    planes = {"frames": golden.frames, "kind": golden.kind, "score": golden.score}
    if golden.frame is not None:
        planes["frame"] = golden.frame[:, np.newaxis, np.newaxis]
    np.savez_compressed(path, **planes)  # type: ignore[arg-type]  # numpy's types take the arrays for its own options


def load(path: Path) -> Golden:
    """Read golden.npz; raises EngineError when the file is not valid."""
    return _parse(path, path)


def load_checked(folder: EngineFolder) -> Golden:
    """The golden frames of an engine folder; raises EngineError unless the file matches the manifest's hash."""
    return _parse(io.BytesIO(folder.read(GOLDEN_NAME)), folder.path_of(GOLDEN_NAME))


def _parse(content: Path | io.BytesIO, path: Path) -> Golden:
    try:
        with zipfile.ZipFile(content) as archive:
            frame = _planes(archive, "frame").reshape(-1) if "frame.npy" in archive.namelist() else None
            frames, kind, score = (_planes(archive, name) for name in ("frames", "kind", "score"))
            return Golden(frames, kind, score, frame)
    except (OSError, KeyError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise EngineError(f"{path}: not a golden-frames file ({error}): build the engine again") from None


def _planes(archive: zipfile.ZipFile, name: str) -> Pixels:
    """Read one array, no further than its header says: a false size or a compressed bomb cannot fill the
    memory."""
    with archive.open(f"{name}.npy") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{name}: not in the format that numpy writes")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        count = math.prod(shape)
        if dtype != np.uint8 or by_columns or len(shape) != 3 or not 0 < count <= MAX_GOLDEN_BYTES:
            raise ValueError(f"{name}: {dtype} {shape} is not planes of uint8")
        data = file.read(count)
    if len(data) != count:
        raise ValueError(f"{name}: {len(data)} bytes of {count}")
    return np.frombuffer(bytearray(data), np.uint8).reshape(shape)  # writable, as engine libraries require
