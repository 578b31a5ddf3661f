"""Pictures of rejects: the frame with its defects outlined, and a lossless crop of each defect."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from inspector.sinks.kind_colours import kind_colour_bgr
from inspector.sinks.whole_file import write_whole
from inspector.values import Pixels, Verdict

OUTLINE_GAP_PX: Final = 2
"""Steel left free between a defect and its outline, so that its edge can be judged."""
OUTLINE_PX: Final = 2
SMALL_FRAME_PX: Final = 400
"""A frame narrower than this is shown enlarged: half the gap and a line of 1 px are enough."""
TAG_PX: Final = 17
"""Height of the tag that names a kind."""
TAG_BAR_PX: Final = 4
TAG_FONT_SCALE: Final = 0.5
TAG_BACK: Final = (24, 24, 24)
TAG_INK: Final = (240, 240, 240)

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

_DAY_NS: Final = 86_400 * 10**9

_log = structlog.get_logger(__name__)


def picture_name(camera: str, frame_id: int) -> str:
    """File name, without ending, of a frame's picture; safe for any camera name."""
    # "%" cannot come from quote() alone, so an unnamed camera takes nobody's name.
    name = quote(camera, safe="", errors="backslashreplace") or "%"
    if len(name) > MAX_NAME:
        name = f"{name[:MAX_NAME]}%{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"
    if name.startswith("."):  # it would hide the file
        name = f"%2E{name[1:]}"
    return f"{name}-{frame_id:08d}"


def draw_outlines(pixels: Pixels, label: Pixels, names: Mapping[int, str]) -> NDArray[np.uint8]:
    """The frame in BGR with every defect outlined in its kind's colour; no pixel of a defect is covered.

    `pixels` and `label` uint8 [H, W]; 0 is normal, 1..K the kind; `names` kind → name for the tags: one
    a kind, where there is free room beside its largest piece. Returns uint8 [H, W, 3]. Raises ValueError
    where the shapes differ.
    """
    if pixels.shape != label.shape:
        raise ValueError(f"pixels are {pixels.shape} but labels are {label.shape}")
    picture = np.repeat(pixels[:, :, np.newaxis], 3, axis=2)
    small = pixels.shape[1] < SMALL_FRAME_PX
    gap, line = (OUTLINE_GAP_PX // 2, 1) if small else (OUTLINE_GAP_PX, OUTLINE_PX)
    taken = label > 0
    for kind in np.flatnonzero(np.bincount(label.ravel(), minlength=1)):
        if kind == 0:
            continue
        mask = (label == kind).astype(np.uint8)
        ring = cv2.dilate(mask, _disc(gap + line)) - cv2.dilate(mask, _disc(gap))
        picture[(ring > 0) & (label == 0)] = kind_colour_bgr(int(kind))
        taken |= ring > 0
        if not small and kind in names:
            _tag(picture, taken, mask, int(kind), names[int(kind)])
    return picture


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

        Shapes as in `draw_outlines`, raising as it does. An OSError is counted in `lost` and logged.
        """
        day = verdict.captured_ns // _DAY_NS
        if day != self._day:
            self._day, self._of_the_day = day, 0
        if self._of_the_day >= self._max_frames:
            self.skipped += 1
            return
        self._of_the_day += 1
        self.pictured += 1
        order = sorted(range(len(verdict.defects)), key=lambda n: -verdict.defects[n].area_px)[:MAX_CROPS]
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
        stem = picture_name(verdict.camera, verdict.frame_id)
        picture = draw_outlines(pixels, label, names)
        yield f"{stem}.jpg", _encode(".jpg", picture, *JPEG_OPTIONS)
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


def _disc(radius_px: int) -> NDArray[np.uint8]:
    side = 2 * radius_px + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _encode(ending: str, image: NDArray[np.uint8], *options: int) -> bytes:
    # Encoded here and written by write_whole: cv2.imwrite returns False for a full disk and says no more.
    done, encoded = cv2.imencode(ending, image, list(options))
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded as {ending}")
    return bytes(encoded)


def _tag(picture: Pixels, taken: NDArray[np.bool_], mask: Pixels, kind: int, name: str) -> None:
    """Name the kind beside its largest piece, where neither a defect nor an outline is covered."""
    _, _, pieces, _ = cv2.connectedComponentsWithStats(mask)
    x, y, piece_width, piece_height = (int(v) for v in pieces[1 + int(pieces[1:, cv2.CC_STAT_AREA].argmax()), :4])
    text = name.encode("ascii", "replace").decode()  # all that OpenCV's font has
    width = TAG_BAR_PX + 6 + cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, TAG_FONT_SCALE, 1)[0][0]
    rows, columns = mask.shape
    away = OUTLINE_GAP_PX + OUTLINE_PX + 1
    beside, along = min(max(0, x), columns - width), min(max(0, y), rows - TAG_PX)
    above, below = (y - away - TAG_PX, beside), (y + piece_height + away, beside)
    right, left = (along, x + piece_width + away), (along, x - away - width)
    for top, start in (above, below, right, left):
        place = (slice(top, top + TAG_PX), slice(start, start + width))
        if min(top, start) < 0 or top + TAG_PX > rows or start + width > columns or taken[place].any():
            continue
        picture[place] = TAG_BACK
        picture[top : top + TAG_PX, start : start + TAG_BAR_PX] = kind_colour_bgr(kind)
        corner = (start + TAG_BAR_PX + 3, top + TAG_PX - 5)
        cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, TAG_FONT_SCALE, TAG_INK, 1, cv2.LINE_AA)
        taken[place] = True
        return
