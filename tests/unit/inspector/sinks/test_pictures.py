"""Pictures of rejects: outlines, crops, and a disk that fills up."""

import itertools
import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from inspector.render.colours import KIND_COLOURS, KIND_DASHES, kind_colour_bgr
from inspector.render.outlines import (
    MAX_NUMBERS,
    OUTLINE_GAP_PX,
    OUTLINE_PX,
    SMALL_FRAME_PX,
    by_size,
    draw_outlines,
)
from inspector.sinks.pictures import (
    CROP_MARGIN_PX,
    MAX_CROPS,
    RejectPictures,
    captured_ns_of,
    picture_name,
)
from inspector.values import Decision, Defect, Verdict

NAMES = {1: "pits", 2: "crack", 3: "scratch", 4: "patch"}
NOISE = np.random.default_rng(5)

MACHADO = {
    "normal": np.eye(3),
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""Machado, Oliveira, Fernandes 2009, severity 1, on linear sRGB."""


def steel(rows: int = 256, columns: int = 1600) -> NDArray[np.uint8]:
    return NOISE.integers(70, 130, (rows, columns), dtype=np.uint8)


def defect(n: int, kind: int, box: tuple[int, int, int, int]) -> Defect:
    x, y, width, height = box
    area = width * height
    return Defect(f"d{n}", kind, NAMES[kind], box, area, area * 0.25, (x + width / 2) / 2, y / 2, 0.9)


def reject(camera: str, frame_id: int, defects: tuple[Defect, ...]) -> Verdict:
    return Verdict(camera, frame_id, 0, 0.0, None, Decision.REJECT, ("bad",), defects, "r@1", "e@1", {})


def labelled(shape: tuple[int, int], defects: tuple[Defect, ...]) -> NDArray[np.uint8]:
    label = np.zeros(shape, np.uint8)
    for one in defects:
        x, y, width, height = one.box
        label[y : y + height, x : x + width] = one.kind
    return label


TWO = (defect(0, 1, (100, 60, 20, 30)), defect(1, 4, (800, 0, 300, 256)))


def test_no_pixel_of_a_defect_is_covered() -> None:
    """Inside every defect, and in the gap around it, the picture is the frame's own grey."""
    pixels, label = steel(), labelled((256, 1600), TWO)
    picture = draw_outlines(pixels, label, NAMES)
    near = cv2.dilate((label > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert picture.shape == (256, 1600, 3)
    assert (picture[near] == pixels[near][:, np.newaxis]).all()


def test_each_kind_is_outlined_in_its_colour() -> None:
    """The ring around a defect has its kind's colour, and no other, on all sides that lie inside the frame."""
    label = labelled((256, 1600), TWO)
    picture = draw_outlines(steel(), label, {})
    away = OUTLINE_GAP_PX + OUTLINE_PX - 1
    for rows, columns, kind in [
        (slice(60, 90), 99 - away, 1),
        (slice(60, 90), 120 + away, 1),
        (59 - away, slice(100, 120), 1),
        (slice(0, 256), 799 - away, 4),
        (slice(0, 256), 1100 + away, 4),
    ]:
        side = picture[rows, columns]
        coloured = side[np.ptp(side.astype(int), axis=1) > 0]
        assert len(coloured) >= 0.5 * len(side)
        assert (coloured == kind_colour_bgr(kind)).all()


@pytest.mark.parametrize("kind", range(1, len(KIND_DASHES) + 1))
@pytest.mark.parametrize("columns", [200, 1600])
def test_kinds_differ_by_their_dashes(kind: int, columns: int) -> None:
    """The outline of the first kind is whole; the others have gaps, as many as their pattern fits around."""
    label = np.zeros((200, columns), np.uint8)
    label[60:140, 40:160] = kind
    picture = draw_outlines(steel(200, columns), label, {})
    gap, line = (OUTLINE_GAP_PX, OUTLINE_PX) if columns >= SMALL_FRAME_PX else (OUTLINE_GAP_PX // 2, 1)
    above = (picture[60 - gap - line, 46:154] == kind_colour_bgr(kind)).all(axis=1)
    lines = int((np.diff(above.astype(int)) == 1).sum())
    assert above.all() if kind == 1 else 4 <= lines <= 22


def test_numbers_go_by_size_and_cover_nothing() -> None:
    """Each of the largest defects has a tag near it, which covers no defect or outline."""
    sizes = [(20, 9), (60, 40), (30, 30), (8, 8)]
    defects = tuple(defect(n, 1 + n, (100 + 350 * n, 90, *size)) for n, size in enumerate(sizes))
    assert by_size(defects) == [1, 2, 0, 3]
    pixels, label = steel(), labelled((256, 1600), defects)
    plain, numbered = draw_outlines(pixels, label, {}), draw_outlines(pixels, label, {}, defects)
    changed = (plain != numbered).any(axis=2)
    assert not (changed & ((label > 0) | (plain != pixels[:, :, np.newaxis]).any(axis=2))).any()
    for one in defects:
        x = one.box[0]
        assert changed[:, x - 60 : x + 120].any()


def test_a_peppered_frame_has_few_numbers() -> None:
    """Of hundreds of pits only the largest are numbered: the steel between them stays visible."""
    defects = tuple(defect(n, 1, (30 + 60 * (n % 25), 20 + 50 * (n // 25), 4 + n % 3, 4)) for n in range(100))
    pixels, label = steel(), labelled((256, 1600), defects)
    changed = draw_outlines(pixels, label, {}) != draw_outlines(pixels, label, {}, defects)
    tags, _ = cv2.connectedComponents(
        cv2.morphologyEx(changed.any(axis=2).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5)))
    )
    assert tags - 1 == MAX_NUMBERS


def test_a_picture_tells_when_it_was_captured(tmp_path: Path) -> None:
    """A picture stores its frame's capture time, so that it is not confused with a later one of that name."""
    pixels = steel(32, 48)
    sink = RejectPictures(tmp_path)
    late = msgspec.structs.replace(reject("cam", 1, ()), captured_ns=1_764_000_000_123_456_789)
    sink.write(late, pixels, np.zeros_like(pixels))
    content = (tmp_path / "cam-00000001.jpg").read_bytes()
    assert captured_ns_of(content) == late.captured_ns
    assert captured_ns_of(b"") is None
    assert image(tmp_path / "cam-00000001.jpg").shape == (32, 48, 3)


def test_frame_without_defect_stays_grey() -> None:
    """A frame without labels stays grey at any size."""
    pixels = steel(7, 9)
    assert (draw_outlines(pixels, np.zeros_like(pixels), NAMES) == pixels[:, :, np.newaxis]).all()


def test_shapes_must_agree() -> None:
    """A label map of another size is refused, not stretched."""
    with pytest.raises(ValueError, match=r"\(256, 1600\).*\(64, 400\)"):
        draw_outlines(steel(), np.zeros((64, 400), np.uint8), NAMES)


def image(path: Path) -> NDArray[np.uint8]:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels.astype(np.uint8)


def lab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB (D65) of a linear sRGB colour."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", MACHADO)
def test_colours_are_told_apart(sight: str) -> None:
    """Kinds differ from each other and from steel by at least 17 CIELAB units, for colour-blind eyes too."""

    def seen(red_green_blue: list[int]) -> NDArray[np.float64]:
        c = np.array(red_green_blue) / 255
        return lab(np.array(MACHADO[sight]) @ np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4))

    kinds = [seen(list(bytes.fromhex(colour[1:]))) for colour in KIND_COLOURS]
    greys = [seen([grey] * 3) for grey in range(50, 151, 10)]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(kinds, 2)) >= 17
    assert min(np.linalg.norm(a - b) for a in kinds for b in greys) >= 17


def test_frame_and_lossless_crops(tmp_path: Path) -> None:
    """A reject leaves its frame as JPEG, and a crop of each defect with a margin, of the frame's own pixels."""
    pixels = steel()
    sink = RejectPictures(tmp_path / "rejects")
    sink.write(reject("cam", 7, TWO), pixels, labelled(pixels.shape, TWO))
    folder = tmp_path / "rejects"
    assert sorted(path.name for path in folder.iterdir()) == [
        "cam-00000007-0.png",
        "cam-00000007-1.png",
        "cam-00000007.jpg",
    ]
    margin = CROP_MARGIN_PX
    crop = image(folder / "cam-00000007-0.png")
    assert np.array_equal(crop, pixels[60 - margin : 90 + margin, 100 - margin : 120 + margin])
    at_border = image(folder / "cam-00000007-1.png")
    assert np.array_equal(at_border, pixels[:, 800 - margin : 1100 + margin])
    frame = image(folder / "cam-00000007.jpg")
    assert frame.shape == (256, 1600, 3)
    assert np.abs(frame[75, 97].astype(int) - kind_colour_bgr(1)).max() < 60


@pytest.mark.parametrize(
    "camera",
    ["../../etc/x", "a/b", "", ".", "..", "nul\0", "line\nbreak", "Kamera Süd", "相" * 200, "\ud800", "%"],
)
def test_any_camera_name_is_a_safe_file_name(tmp_path: Path, camera: str) -> None:
    """Whatever a camera is called, its pictures lie in the folder, visible."""
    pixels = steel(32, 48)
    sink = RejectPictures(tmp_path / "rejects")
    sink.write(reject(camera, 1, ()), pixels, np.zeros_like(pixels))
    (written,) = tmp_path.rglob("*.jpg")
    assert sink.lost == 0
    assert written.parent == tmp_path / "rejects"
    assert not written.name.startswith(".")
    assert written.name == f"{picture_name(camera, 1)}.jpg"


def test_two_cameras_never_share_a_name() -> None:
    """Camera names that become equal when escaped or cut get different file names."""
    cameras = ["a/b", "a%2Fb", "a b", "a_b", "", "%", ".x", "%2Ex", "x" * 300, "x" * 301]
    assert len({picture_name(camera, 1) for camera in cameras}) == len(cameras)


def test_frames_beyond_the_bound_are_counted_and_said(tmp_path: Path) -> None:
    """A bad coil does not fill the disk: frames over the bound leave nothing, and close says how many."""
    pixels = steel(32, 48)
    sink = RejectPictures(tmp_path, max_frames=2)
    for n in range(5):
        sink.write(reject("cam", n, ()), pixels, np.zeros_like(pixels))
    with capture_logs() as logs:
        sink.close()
    assert (sink.pictured, sink.skipped, len(list(tmp_path.iterdir()))) == (2, 3, 2)
    assert logs[0]["frames_skipped"] == 3


def test_the_next_day_has_pictures_again(tmp_path: Path) -> None:
    """The limit counts per day."""
    pixels = steel(32, 48)
    sink = RejectPictures(tmp_path, max_frames=2)
    for hour in range(36):
        verdict = msgspec.structs.replace(reject("cam", hour, ()), captured_ns=hour * 3600 * 10**9)
        sink.write(verdict, pixels, np.zeros_like(pixels))
    assert (sink.pictured, sink.skipped) == (4, 32)
    assert (tmp_path / "cam-00000024.jpg").exists()


def test_a_peppered_frame_leaves_its_largest_crops(tmp_path: Path) -> None:
    """Of hundreds of pits the largest are cropped, under their own index, and the rest counted."""
    pixels = steel()
    defects = tuple(defect(n, 1, (10 * n, 10, 2 + (n == 99) * 5, 2)) for n in range(100))
    sink = RejectPictures(tmp_path)
    sink.write(reject("cam", 1, defects), pixels, labelled(pixels.shape, defects))
    assert len(list(tmp_path.glob("*.png"))) == MAX_CROPS
    assert (tmp_path / "cam-00000001-99.png").exists()
    assert sink.crops_skipped == 100 - MAX_CROPS


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from structlog.testing import capture_logs
from inspector.sinks.pictures import RejectPictures
from inspector.values import Decision, Defect, Verdict

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
pixels = np.random.default_rng(1).integers(0, 255, (256, 1600), dtype=np.uint8)
label = np.zeros_like(pixels)
label[10:30, 10:30] = 1
defects = (Defect("d", 1, "pits", (10, 10, 20, 20), 400, 100.0, 10.0, 10.0, 0.9),)
sink = RejectPictures(Path(sys.argv[1]))

def write(n):
    sink.write(Verdict("cam", n, 0, 0.0, None, Decision.REJECT, ("bad",), defects, "r", "e", {}), pixels, label)

write(0)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # no file grows beyond 20 kB: write() fails with EFBIG
with capture_logs() as logs:
    for n in range(1, 11):
        write(n)
    sink.close()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
write(11)
print(sink.lost, sink.pictured, [(log["log_level"], log["lost"]) for log in logs], "File too large" in str(logs))
"""


def test_a_disk_that_fills_up_costs_pictures_only(tmp_path: Path) -> None:
    """Failed writes are counted and logged once, leave no partial file, and writing resumes with free space."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.strip() == "20 12 [('warning', 2), ('warning', 20)] True"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"cam-{n:08d}{ending}" for n in (0, 11) for ending in ("-0.png", ".jpg")
    ]


def test_a_folder_that_cannot_be_made_costs_pictures_only(tmp_path: Path) -> None:
    """A file in place of the folder costs pictures, not the line."""
    (tmp_path / "rejects").write_text("in the way")
    pixels = steel(32, 48)
    sink = RejectPictures(tmp_path / "rejects")
    with capture_logs() as logs:
        for n in range(1500):
            sink.write(reject("cam", n, ()), pixels, np.zeros_like(pixels))
    assert sink.lost == 1500
    assert [log["lost"] for log in logs] == [1, 1001]
