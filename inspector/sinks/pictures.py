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
"""Full colour resolution: thin outlines fade at half resolution, and for grey steel it costs nothing."""
PNG_COMPRESSION: Final = 1
"""Level 0..9. All levels are lossless; higher ones only spend time on the noise of steel."""
CROP_MARGIN_PX: Final = 16
MAX_CROPS: Final = 32
"""Most crops of one frame; a frame full of pits would otherwise leave hundreds of files."""
WARN_EVERY: Final = 1000
"""Lost pictures between two warnings: a full disk must not also fill the log."""
MAX_NAME: Final = 120
"""Longest camera name in a file name, characters; file systems limit the whole name to 255 bytes."""

COMMENT: Final = "captured_ns "
COMMENT_BYTES: Final = 64
"""Bytes searched for the comment, which is the first segment of the file."""

_COMMENT: Final = re.compile(rb"\xff\xfe..captured_ns (-?\d+)", re.DOTALL)
_DAY_NS: Final = 86_400 * 10**9

_log = structlog.get_logger(__name__)


def picture_name(camera: str, frame_id: int, ingest_epoch: int = 0) -> str:
    """Return the file name, without suffix, of a frame's picture; safe for any camera name.

    It contains a live camera's ingest epoch: frame numbers restart with each ingest, and no picture may replace
    another.
    """
    # quote() never returns a bare "%", so an unnamed camera cannot collide with a named one.
    name = quote(camera, safe="", errors="backslashreplace") or "%"
    if len(name) > MAX_NAME:
        name = f"{name[:MAX_NAME]}%{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"
    if name.startswith("."):  # a dot would hide the file
        name = f"%2E{name[1:]}"
    ingest = f"@{ingest_epoch}" if ingest_epoch > REPLAY_EPOCH else ""
    return f"{name}{ingest}-{frame_id:08d}"


def captured_ns_of(jpeg: bytes) -> int | None:
    """Return the capture time stored in a reject's picture; None if it has none.

    It shows whether a picture belongs to a given verdict: without an ingest epoch in the name (a replay, or an
    older inspector), a frame of the same number may have replaced it.
    """
    found = _COMMENT.search(jpeg, 0, COMMENT_BYTES)
    return int(found[1]) if found else None


class RejectPictures:
    """Writes pictures of rejects; a full disk costs pictures, never verdicts.

    `folder` is created with the first picture. `max_frames` limits the pictured frames per day of capture (UTC),
    so that one bad coil does not fill the disk and a service still takes pictures after months. Public counters:
    `pictured` and `skipped` frames, `crops_skipped` and `lost` pictures.
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
        """Write `<picture_name>.jpg` and a crop `<picture_name>-<n>.png` per defect, n = its index in the verdict.

        Shapes and errors are those of `outlines.draw_outlines`. An OSError is counted in `lost` and logged.
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
            # The rest of this frame is skipped: a full disk is not tried twice.
            self.lost += left
            self._warn(verdict, error)

    def close(self) -> None:
        """Log what is missing from the folder, if anything."""
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
    """Insert the capture time as a comment after the two bytes that start the JPEG."""
    comment = f"{COMMENT}{captured_ns}".encode()
    return jpeg[:2] + b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment + jpeg[2:]


def _encode(ending: str, image: NDArray[np.uint8], *options: int) -> bytes:
    # cv2.imwrite only returns False for a full disk; write_whole raises an error with the reason.
    done, encoded = cv2.imencode(ending, image, list(options))
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded as {ending}")
    return bytes(encoded)
