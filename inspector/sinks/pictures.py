"""Pictures of rejects: the frame with its defects outlined, and a lossless crop of each defect."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from inspector.files import write_whole
from inspector.render.outlines import by_size, draw_outlines
from inspector.values import REPLAY_EPOCH, Pixels, Verdict

JPEG_OPTIONS: Final = (
    cv2.IMWRITE_JPEG_QUALITY,
    90,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)
"""Colour at full resolution: thin outlines fade when it is halved, and grey steel costs nothing by it."""
PNG_COMPRESSION: Final = 1
"""Of 0..9: lossless at any level, and the higher ones only spend time on the noise of steel."""
CROP_MARGIN_PX: Final = 16
MAX_CROPS: Final = 32
"""Crops of one frame; a frame peppered with pits would otherwise leave hundreds of files."""
WARN_EVERY: Final = 1000
"""Losses between two warnings: a full disk must not fill the log as well."""
MAX_NAME: Final = 120
"""Characters of a camera's name in a file name; file systems end at 255 for the whole."""

COMMENT: Final = "captured_ns "
COMMENT_BYTES: Final = 64
"""The comment is the first segment of the file."""

_COMMENT: Final = re.compile(rb"\xff\xfe..captured_ns (-?\d+)", re.DOTALL)
_DAY_NS: Final = 86_400 * 10**9

_log = structlog.get_logger(__name__)


def picture_name(camera: str, frame_id: int, ingest_epoch: int = 0) -> str:
    """File name, without ending, of a frame's picture; safe for any camera name.

    A live camera's ingest is part of it: frame numbers begin again with each, and no evidence is written over.
    """
    # "%" cannot come from quote() alone, so an unnamed camera takes nobody's name.
    name = quote(camera, safe="", errors="backslashreplace") or "%"
    if len(name) > MAX_NAME:
        name = f"{name[:MAX_NAME]}%{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"
    if name.startswith("."):  # it would hide the file
        name = f"%2E{name[1:]}"
    ingest = f"@{ingest_epoch}" if ingest_epoch > REPLAY_EPOCH else ""
    return f"{name}{ingest}-{frame_id:08d}"


def captured_ns_of(jpeg: bytes) -> int | None:
    """When the frame of a reject's picture was captured; None for a picture that does not tell.

    Frame numbers begin anew with each ingest, and a newer picture takes the place of one with its name: this tells
    whether a picture is that of a certain verdict.
    """
    found = _COMMENT.search(jpeg, 0, COMMENT_BYTES)
    return int(found[1]) if found else None


class RejectPictures:
    """The sink that keeps pictures of rejects; a disk that fills up costs pictures, never verdicts.

    `folder` is made when the first picture is. `max_frames` bounds the frames pictured of one day's steel (UTC):
    a bad coil does not fill the disk, and a service has pictures after months, too. Counted in public: `pictured`
    and `skipped` frames, `crops_skipped` and `lost` pictures.
    """

    def __init__(self, folder: Path, *, max_frames: int = 2000) -> None:
        self.pictured = 0
        self.skipped = 0
        self.crops_skipped = 0
        self.lost = 0
        self._folder = folder
        self._max_frames = max_frames
        self._day = -1
        self._of_the_day = 0
        self._warned_at: int | None = None

    def write(self, verdict: Verdict, pixels: Pixels, label: Pixels) -> None:
        """Write `<camera>-<frame_id>.jpg` and `<camera>-<frame_id>-<n>.png`, n = index in `verdict.defects`.

        Shapes as in `outlines.draw_outlines`, raising as it does. An OSError is counted in `lost` and logged.
        """
        day = verdict.captured_ns // _DAY_NS
        if day != self._day:
            self._day, self._of_the_day = day, 0
        if self._of_the_day >= self._max_frames:
            self.skipped += 1
            return
        self._of_the_day += 1
        self.pictured += 1
        order = by_size(verdict.defects)[:MAX_CROPS]
        self.crops_skipped += len(verdict.defects) - len(order)
        left = 1 + len(order)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for name, content in self._files(verdict, pixels, label, order):
                write_whole(self._folder / name, content, sync=False)
                left -= 1
        except OSError as error:
            # What is left of this frame is not tried: a full disk is not asked twice.
            self.lost += left
            self._warn(verdict, error)

    def close(self) -> None:
        """Say what is missing in the folder; nothing where nothing is."""
        if self.lost or self.skipped or self.crops_skipped:
            _log.warning(
                "pictures of rejects are not complete",
                folder=str(self._folder),
                lost=self.lost,
                frames_skipped=self.skipped,
                crops_skipped=self.crops_skipped,
                max_frames=self._max_frames,
            )

    def _files(
        self, verdict: Verdict, pixels: Pixels, label: Pixels, order: list[int]
    ) -> Iterator[tuple[str, bytes]]:
        names = {defect.kind: defect.name for defect in verdict.defects}
        stem = picture_name(verdict.camera, verdict.frame_id, verdict.ingest_epoch)
        picture = draw_outlines(pixels, label, names, verdict.defects)
        yield f"{stem}.jpg", _dated(_encode(".jpg", picture, *JPEG_OPTIONS), verdict.captured_ns)
        for n in order:
            x, y, width, height = verdict.defects[n].box
            rows = slice(max(0, y - CROP_MARGIN_PX), y + height + CROP_MARGIN_PX)
            columns = slice(max(0, x - CROP_MARGIN_PX), x + width + CROP_MARGIN_PX)
            crop = pixels[rows, columns]
            yield f"{stem}-{n}.png", _encode(".png", crop, cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION)

    def _warn(self, verdict: Verdict, error: OSError) -> None:
        if self._warned_at is not None and self.lost - self._warned_at < WARN_EVERY:
            return
        self._warned_at = self.lost
        _log.warning(
            "pictures of rejects are being lost, verdicts go on: free space or write access is missing",
            folder=str(self._folder),
            camera=verdict.camera,
            frame=verdict.frame_id,
            error=error.strerror or str(error),
            lost=self.lost,
        )


def _dated(jpeg: bytes, captured_ns: int) -> bytes:
    """The JPEG with its time of capture in a comment, right after the two bytes that begin it."""
    comment = f"{COMMENT}{captured_ns}".encode()
    return jpeg[:2] + b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment + jpeg[2:]


def _encode(ending: str, image: NDArray[np.uint8], *options: int) -> bytes:
    # Encoded here and written by write_whole: cv2.imwrite returns False for a full disk and says no more.
    done, encoded = cv2.imencode(ending, image, list(options))
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded as {ending}")
    return bytes(encoded)
