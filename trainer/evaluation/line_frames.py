"""Frames that a line stored, as a data set: a recording, or the lossless crops of rejects.

They have no labels. Either an engine draws them (pseudo-labels, which corrections.json names), or all frames of a
recording are taken as sound.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from inspector.core.tiling import LEAST_SIDE_PX
from inspector.errors import InputError, WorkError
from inspector.images import ImageFault, read_mono
from inspector.sources.recording.source import RECORDING_NAME, RecordingSource
from inspector.values import Pixels, Segmentation
from trainer.artifacts.bar import bar
from trainer.artifacts.new_folder import check_is_new, new_folder
from trainer.data.dataset import CLASSES_NAME
from trainer.data.label_maps import IMAGES_NAME, MASKS_NAME
from trainer.evaluation.frame_verdict import FrameJudge
from trainer.evaluation.predictors import Predictor, as_the_line_tiles, open_predictor

PSEUDO_LABELS_NAME: Final = "pseudo-labels.json"
"""Says which engine drew the masks."""

_CROP: Final = re.compile(r"(?P<frame>.+-\d{8,})-\d+\.png")
"""A defect's crop in a folder of rejects; the frame's own picture has outlines drawn into it."""


@dataclass(slots=True)
class LineFrames:
    """The frames that were written."""

    frames: int = 0
    defective: int = 0
    faults: int = 0
    """Frames of a recording that have no pixels."""

    @property
    def left_out(self) -> str:
        """The faults as text."""
        return f"; {self.faults} without pixels left out" if self.faults else ""


def import_line_frames(
    kind: str,
    source: Path,
    out: Path,
    *,
    engine: Path | None,
    sound_classes: Sequence[str] | None,
    every: int = 1,
    show_progress: bool = False,
) -> LineFrames:
    """Write every `every`th frame of a recording, or every crop of rejects, to the new folder `out`.

    Raises InputError if nothing labels the frames, or if the source is not what `kind` says.
    """
    check_is_new(out)
    if every < 1:
        raise InputError(f"--every must be at least 1, got {every}")
    if (engine is None) == (sound_classes is None):
        sound = "" if kind == "rejects" else ", or --unlisted normal --classes normal,… if all of it is sound"
        raise InputError(f"{source}: its frames have no labels: --engine ENGINE draws them{sound}")
    if kind == "rejects" and sound_classes is not None:
        raise InputError(f"{source}: rejects are not sound: label them with --engine, or review them on the page")
    frames = _recorded(source, every) if kind == "recording" else _crops(source, every)
    found = LineFrames()
    predictor = None if engine is None else open_predictor(engine)
    with new_folder(out) as building:
        for name in (IMAGES_NAME, MASKS_NAME):
            (building / name).mkdir()
        if predictor is None:
            _write_all(building, frames, None, found, show_progress=show_progress)
        else:
            with predictor:
                _write_all(building, frames, predictor, found, show_progress=show_progress)
            about = {"engine": predictor.identity, "frames": found.frames}
            (building / PSEUDO_LABELS_NAME).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        if not found.frames:
            raise InputError(f"{source}: no frame with pixels: nothing was written")
        classes = sound_classes if predictor is None else predictor.operation.classes
        text = json.dumps(classes, ensure_ascii=False) + "\n"
        (building / CLASSES_NAME).write_text(text, encoding="utf-8")
    return found


def _write_all(
    folder: Path,
    frames: Iterator[tuple[str, Pixels | None]],
    predictor: Predictor | None,
    found: LineFrames,
    *,
    show_progress: bool,
) -> None:
    labeller = None if predictor is None else _Labeller(predictor)
    for stem, pixels in bar(frames, "importing", total=0, show=show_progress):
        if pixels is None:
            found.faults += 1
            continue
        mask = np.zeros_like(pixels) if labeller is None else labeller.mask(pixels)
        for name, plane in ((IMAGES_NAME, pixels), (MASKS_NAME, mask)):
            done, encoded = cv2.imencode(".png", plane, [cv2.IMWRITE_PNG_COMPRESSION, 1])
            if not done:
                raise WorkError(f"{stem}: {plane.shape[0]}×{plane.shape[1]} px cannot be written as PNG")
            (folder / name / f"{stem}.png").write_bytes(encoded.tobytes())
        found.frames += 1
        found.defective += bool(mask.any())


class _Labeller:
    """Draws masks with an engine, in tiles where frames have another size."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._judge = FrameJudge(predictor.operation)

    def mask(self, pixels: Pixels) -> Pixels:
        """The mask of one frame, uint8 of its size."""
        height, width = pixels.shape
        below, right = (max(0, LEAST_SIDE_PX - side) for side in pixels.shape)
        if below or right:
            padded = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REFLECT)
            return np.ascontiguousarray(self.mask(np.asarray(padded, np.uint8))[:height, :width])
        fits = (height, width) == (self._predictor.height, self._predictor.width)
        predictor = self._predictor if fits else as_the_line_tiles(self._predictor, (height, width))
        kind, score = predictor.maps(np.ascontiguousarray(pixels[None]))
        return self._judge.judge(Segmentation(kind[0], score[0], predictor.map_stride), height, width).mask


def _recorded(source: Path, every: int) -> Iterator[tuple[str, Pixels | None]]:
    if not (source / RECORDING_NAME).is_file():
        raise InputError(
            f"{source}: no recording here ({RECORDING_NAME} is missing): make one with `inspector record`"
        )
    return _captures(source, every)


def _captures(source: Path, every: int) -> Iterator[tuple[str, Pixels | None]]:
    with RecordingSource(source) as recording:
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", f"{source.resolve().name}-{recording.camera}")
        for number, capture in enumerate(recording.captures()):
            if capture is not None and number % every == 0:
                yield f"{stem}-{number:08d}", capture.pixels


def _crops(source: Path, every: int) -> Iterator[tuple[str, Pixels | None]]:
    if not source.is_dir():
        raise InputError(f"{source}: no such folder")
    paths = sorted(path for path in source.iterdir() if _CROP.fullmatch(path.name))
    if not paths:
        raise InputError(f"{source}: no crops of rejects here: name the folder `rejects` of a run or a service")
    return _read_crops(paths[::every])


def _read_crops(paths: Sequence[Path]) -> Iterator[tuple[str, Pixels | None]]:
    for path in paths:
        try:
            yield re.sub(r"[^A-Za-z0-9_-]", "_", path.stem), read_mono(path)
        except ImageFault as error:
            raise InputError(f"{path}: {error}: remove it, or copy it again") from None
