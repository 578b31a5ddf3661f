from pathlib import Path

import numpy as np
import pytest

from inspector.errors import SourceError
from inspector.sources.video.source import VideoSource
from inspector.values import Capture, Code, Pixels, Uninspected
from tests.support.frames import make_frames
from tests.support.videos import write_video

COUNT = 30
FRAMES = make_frames(COUNT)
FAST_START = {"movflags": "faststart"}
"""The index of an MP4 in front of its frames, as recorders that may be cut off write it."""


def read(path: Path) -> tuple[int | None, list[Capture]]:
    with VideoSource(path) as source:
        return source.total(), [capture for capture in source.captures() if capture is not None]


def good(captures: list[Capture]) -> list[Pixels]:
    return [capture.pixels for capture in captures if capture.pixels is not None]


def marks(captures: list[Capture]) -> str:
    return "".join("x" if capture.pixels is None else "." for capture in captures)


def difference(pixels: Pixels, truth: Pixels) -> tuple[float, float]:
    """Mean difference, and mean absolute difference, grey levels."""
    by = pixels.astype(int) - truth
    return float(by.mean()), float(np.abs(by).mean())


@pytest.mark.parametrize(
    ("ending", "codec", "pixel_format"),
    [("mkv", "ffv1", "gray"), ("avi", "ffv1", "gray"), ("avi", "rawvideo", "gray")],
)
def test_lossless_grey_video_is_bit_exact(tmp_path: Path, ending: str, codec: str, pixel_format: str) -> None:
    """Every frame, in order."""
    path = write_video(tmp_path / f"strip.{ending}", FRAMES, codec=codec, pixel_format=pixel_format)
    _, captures = read(path)
    assert len(captures) == COUNT
    assert all(np.array_equal(a, b) for a, b in zip(good(captures), FRAMES, strict=True))


@pytest.mark.parametrize(
    ("ending", "codec", "pixel_format", "full_range"),
    [
        ("mp4", "mpeg4", "yuv420p", False),
        ("mp4", "libx264", "yuv420p", False),
        ("mkv", "libx264", "yuv420p", False),
        ("mkv", "libx264", "yuv420p", True),
        ("mov", "libx264", "yuv420p", False),
        ("ts", "libx264", "yuv420p", False),
        ("avi", "mjpeg", "yuvj420p", True),
        ("avi", "mpeg4", "yuv420p", False),
        ("webm", "libvpx-vp9", "yuv420p", False),
    ],
)
def test_greys_come_out_as_the_eye_sees_them(
    tmp_path: Path, ending: str, codec: str, pixel_format: str, full_range: bool
) -> None:
    """Limited-range video is stretched: no shift of the mean, black and white where they were; order is kept."""
    ramp = np.tile(np.linspace(0, 255, 160, dtype=np.uint8), (64, 1))
    flat = [np.roll(ramp, 5 * number, axis=1) for number in range(12)]
    path = write_video(
        tmp_path / f"strip.{ending}",
        flat,
        codec=codec,
        pixel_format=pixel_format,
        full_range=full_range,
        options={"qscale": "2"} if codec in {"mpeg4", "mjpeg"} else {"crf": "12"},
    )
    total, captures = read(path)
    assert total in {None, 12}
    assert len(good(captures)) == 12
    for pixels, truth in zip(good(captures), flat, strict=True):
        mean, absolute = difference(pixels, truth)
        assert abs(mean) < 1.0
        assert absolute < 4.0
        assert pixels.min() < 12
        assert pixels.max() > 243


def test_size_and_total_come_from_the_header(tmp_path: Path) -> None:
    """Height before width; Matroska states no number of frames."""
    path = write_video(tmp_path / "strip.mp4", FRAMES, codec="mpeg4")
    with VideoSource(path) as source:
        assert list(source.sizes()) == [("strip.mp4", (64, 160))]
        assert source.total() == COUNT
    with VideoSource(write_video(tmp_path / "strip.mkv", FRAMES, codec="mpeg4")) as source:
        assert source.total() is None


@pytest.mark.parametrize("share", [0.5, 0.7, 0.95])
@pytest.mark.parametrize(
    ("ending", "codec", "pixel_format", "muxer"),
    [
        ("mp4", "libx264", "yuv420p", FAST_START),
        ("mp4", "mpeg4", "yuv420p", FAST_START),
        ("avi", "mjpeg", "yuvj420p", {}),
        ("avi", "ffv1", "gray", {}),
    ],
)
def test_a_video_that_breaks_off_announces_every_frame_its_header_promised(
    tmp_path: Path, share: float, ending: str, codec: str, pixel_format: str, muxer: dict[str, str]
) -> None:
    """Frames before the break are inspected, and the promised number comes out."""
    full_range = pixel_format == "yuvj420p"
    path = write_video(
        tmp_path / f"strip.{ending}",
        FRAMES,
        codec=codec,
        pixel_format=pixel_format,
        full_range=full_range,
        muxer=muxer,
        options={"g": "5", "qscale": "2"} if codec == "mpeg4" else {"g": "5"},
    )
    _, whole = read(path)
    assert marks(whole) == "." * COUNT
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    total, captures = read(path)
    assert total == len(captures) == COUNT
    kept = len(good(captures))
    assert 0 < kept < COUNT
    assert marks(captures) == "." * kept + "x" * (COUNT - kept)
    assert f"of {COUNT} frames" in str(captures[-1].fault) or "cut off" in str(captures[-1].fault)
    for capture, before in zip(captures[:kept], whole, strict=False):
        assert np.array_equal(capture.pixels, before.pixels)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize(("codec", "pixel_format"), [("libx264", "yuv420p"), ("ffv1", "gray")])
def test_a_video_that_breaks_off_without_stating_its_frames_says_so_once(
    tmp_path: Path, share: float, codec: str, pixel_format: str
) -> None:
    """Matroska states only a duration: one more capture says where it broke off."""
    path = write_video(tmp_path / "strip.mkv", FRAMES, codec=codec, pixel_format=pixel_format)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    _, captures = read(path)
    kept = len(captures) - 1
    assert 0 < kept < COUNT
    assert marks(captures) == "." * kept + "x"
    assert captures[-1].fault == Uninspected(
        Code.UNREADABLE, f"video breaks off after {kept} frames (about {COUNT} expected)"
    )


def test_a_matroska_that_was_never_closed_is_not_taken_for_whole(tmp_path: Path) -> None:
    """A file without a duration, as a killed recorder leaves it, is not complete."""
    path = write_video(tmp_path / "strip.mkv", FRAMES, codec="ffv1", pixel_format="gray", muxer={"live": "1"})
    _, captures = read(path)
    assert marks(captures) == "." * COUNT + "x"
    assert "never closed" in str(captures[-1].fault)


@pytest.mark.parametrize(
    ("ending", "codec", "pixel_format"),
    [
        ("mp4", "libx264", "yuv420p"),
        ("mp4", "mpeg4", "yuv420p"),
        ("mkv", "mpeg4", "yuv420p"),
        ("avi", "mjpeg", "yuvj420p"),
        ("mkv", "ffv1", "gray"),
    ],
)
def test_damage_in_the_middle_costs_frames_there_and_leaves_the_others_in_their_places(
    tmp_path: Path, ending: str, codec: str, pixel_format: str
) -> None:
    """Every frame of the whole video is there, unaltered and in its place, or a fault is."""
    path = write_video(
        tmp_path / f"strip.{ending}",
        FRAMES,
        codec=codec,
        pixel_format=pixel_format,
        full_range=pixel_format == "yuvj420p",
        options={"g": "5", "qscale": "2"} if codec == "mpeg4" else {"g": "5"},
    )
    _, whole = read(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    for at in range(middle, middle + 60, 2):
        data[at] ^= 0xFF
    path.write_bytes(data)
    _, captures = read(path)
    assert len(captures) == COUNT
    assert 0 < marks(captures).count("x") <= 11, marks(captures)
    for capture, before in zip(captures, whole, strict=True):
        if capture.pixels is not None:
            assert np.array_equal(capture.pixels, before.pixels)  # type: ignore[arg-type]


def test_one_flipped_bit_in_a_lossless_video_is_noticed(tmp_path: Path) -> None:
    """FFV1's checksum: its decoder would hand over the damaged frame and only log."""
    path = write_video(
        tmp_path / "strip.mkv", FRAMES, codec="ffv1", pixel_format="gray", options={"g": "1", "slicecrc": "1"}
    )
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    _, captures = read(path)
    assert marks(captures).count("x") == 1
    assert "CRC mismatch" in next(str(c.fault) for c in captures if c.fault)


def test_a_hole_in_a_container_is_said_even_where_the_demuxer_skips_it(tmp_path: Path) -> None:
    """Zeros over several frames of a Matroska: at least one fault, and no frame in the wrong grey."""
    path = write_video(tmp_path / "strip.mkv", FRAMES, codec="mjpeg", pixel_format="yuvj420p", full_range=True)
    _, whole = read(path)
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : third + len(data) // 6] = bytes(len(data) // 6)
    path.write_bytes(data)
    _, captures = read(path)
    assert "x" in marks(captures)
    known = {capture.pixels.tobytes() for capture in whole if capture.pixels is not None}
    assert all(pixels.tobytes() in known for pixels in good(captures))


@pytest.mark.parametrize("content", [b"", b"a text\n" * 200, b"ffconcat version 1.0\nfile other.mkv\n"])
def test_what_is_no_video_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    """Empty, text, or a playlist: it must not make us open something else."""
    write_video(tmp_path / "other.mkv", FRAMES[:2], codec="ffv1", pixel_format="gray")
    path = tmp_path / "strip.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught, VideoSource(path):
        pass
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_mp4_cut_off_before_its_index_and_a_missing_file_are_errors_at_the_start(tmp_path: Path) -> None:
    """Not one frame of them could be had."""
    path = write_video(tmp_path / "strip.mp4", FRAMES, codec="mpeg4")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(SourceError, match="cut off before its index"), VideoSource(path):
        pass
    with pytest.raises(SourceError, match="No such file"), VideoSource(tmp_path / "none.mp4"):
        pass


def test_sixteen_bit_video_is_refused(tmp_path: Path) -> None:
    """It is refused, because 12 bits stored in 16 look almost black."""
    path = write_video(tmp_path / "deep.mkv", FRAMES[:3], codec="ffv1", pixel_format="gray16le")
    with pytest.raises(SourceError, match="16-bit"), VideoSource(path):
        pass


@pytest.mark.parametrize(("pixel_format", "white"), [("gray10le", 1023), ("gray12le", 4095), ("gray16le", 65535)])
def test_deep_grey_video_is_read_through_the_stated_window(tmp_path: Path, pixel_format: str, white: int) -> None:
    """Without one it is refused."""
    path = write_video(tmp_path / "deep.mkv", FRAMES[:3], codec="ffv1", pixel_format=pixel_format, full_range=True)
    with pytest.raises(SourceError, match="grey_window"), VideoSource(path):
        pass
    with VideoSource(path, grey_window=(0, white)) as source:
        found = [capture.pixels for capture in source.captures() if capture is not None]
    for pixels, truth in zip(found, FRAMES, strict=False):
        assert pixels is not None
        assert np.abs(pixels.astype(int) - truth).max() <= 2


def test_a_file_with_sound_and_no_picture_is_refused(tmp_path: Path) -> None:
    """It holds no video, and says so."""
    import av

    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(SourceError, match="holds no video"), VideoSource(path):
        pass
