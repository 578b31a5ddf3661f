"""Containers times codecs times faults: what a video holds is captured once, and no guess passes for steel."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest

from inspector.sources.video.source import VIDEO_ENDINGS, VideoSource
from inspector.values import Capture, Pixels
from tests.support.steel import SHARED
from tests.support.videos import moving_steel, remux, write_video

COUNT = 60
GOP = 25
STEEL = moving_steel(COUNT)
DAY_MS = 86_400_000
TS_PACKET = 188
FRAME_MS = 40


@dataclass(frozen=True)
class Codec:
    """An encoder and its settings."""

    name: str
    containers: str
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    stands_alone: bool = False
    """Every frame is a key frame."""

    @property
    def is_numbered(self) -> bool:
        """The codec numbers its pictures."""
        return self.name in {"libx264", "libx265"}


X264 = "scenecut=0:keyint=25"
X265 = "scenecut=0:keyint=25:log-level=none"
CODECS = {
    "h264": Codec("libx264", "mp4 mkv avi ts flv mov", options={"bf": "0", "x264-params": f"{X264}:slices=1"}),
    "h264-b": Codec("libx264", "mp4 mkv avi ts flv mov", options={"bf": "3", "x264-params": f"{X264}:b-adapt=0"}),
    "h264-open-gop": Codec("libx264", "mkv ts", options={"x264-params": f"{X264}:open-gop=1:b-adapt=0:bframes=3"}),
    "h264-refresh": Codec("libx264", "mkv ts", options={"x264-params": f"{X264}:intra-refresh=1:bframes=0"}),
    "h264-slices": Codec("libx264", "mkv ts", options={"x264-params": f"{X264}:slices=4:bframes=0"}),
    "hevc": Codec("libx265", "mp4 mkv ts mov", options={"x265-params": f"{X265}:bframes=0"}),
    "hevc-b": Codec("libx265", "mp4 mkv ts mov", options={"x265-params": f"{X265}:bframes=3:open-gop=1"}),
    "mpeg4": Codec("mpeg4", "mp4 mkv avi ts mov", options={"g": "25"}),
    "mpeg4-b": Codec("mpeg4", "mp4 mkv avi ts mov", options={"g": "25", "bf": "2"}),
    "mpeg2": Codec("mpeg2video", "mkv ts mpg", options={"g": "25"}),
    "mpeg2-b": Codec("mpeg2video", "mkv ts", options={"g": "25", "bf": "2"}),
    "mjpeg": Codec("mjpeg", "mkv avi mov", pixel_format="yuvj420p", options={"qmin": "2"}, stands_alone=True),
    "ffv1": Codec("ffv1", "mkv avi", pixel_format="gray", options={"g": "25"}),
    "ffv1-intra": Codec("ffv1", "mkv avi", pixel_format="gray", options={"g": "1"}, stands_alone=True),
    "vp8": Codec("libvpx", "mkv webm", options={"g": "25", "auto-alt-ref": "1", "lag-in-frames": "10"}),
    "vp9": Codec("libvpx-vp9", "mkv webm mp4", options={"g": "25", "lag-in-frames": "10"}),
    "av1": Codec("libsvtav1", "mkv mp4", options={"g": "25", "preset": "12", "svtav1-params": "scd=0"}),
    "qtrle": Codec("qtrle", "mov", pixel_format="rgb24", options={"g": "25"}),
    "svq1": Codec("svq1", "mov", pixel_format="yuv410p", options={"g": "25", "qscale": "2"}),
    "png": Codec("png", "avi mov", pixel_format="gray", stands_alone=True),
}
CASES = [(codec, ending) for codec, how in CODECS.items() for ending in how.containers.split()]
TIMED = [case for case in CASES if case[1] not in {"avi", "mpg"}]
"""AVI has no time stamps, and MPEG's are those of a broadcast."""

MATROSKA = [case for case in CASES if case[1] in {"mkv", "webm"}]

Whole = Callable[[str, str], tuple[Path, list[Pixels]]]


def captures(path: Path) -> list[Capture]:
    with VideoSource(path) as source:
        return [capture for capture in source.captures() if capture is not None]


def marks(found: list[Capture]) -> str:
    return "".join("x" if capture.pixels is None else "." for capture in found)


def muxer(ending: str) -> dict[str, str]:
    return {"movflags": "faststart"} if ending in {"mp4", "mov"} else {}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A sound video of each kind, and its frames."""
    folder = tmp_path_factory.mktemp("whole")
    made: dict[tuple[str, str], tuple[Path, list[Pixels]]] = {}

    def make(codec: str, ending: str) -> tuple[Path, list[Pixels]]:
        if (codec, ending) not in made:
            how = CODECS[codec]
            path = write_video(
                folder / f"{codec}.{ending}",
                STEEL,
                codec=how.name,
                pixel_format=how.pixel_format,
                full_range=how.pixel_format == "yuvj420p",
                options=how.options,
                muxer=muxer(ending),
            )
            made[codec, ending] = path, [c.pixels for c in captures(path) if c.pixels is not None]
        return made[codec, ending]

    return make


def check_that_nothing_is_a_guess(found: list[Capture], truth: list[Pixels]) -> None:
    """A frame that is not a fault is the frame of the whole video in its place."""
    for number, (capture, pixels) in enumerate(zip(found, truth, strict=False)):
        if capture.pixels is not None:
            assert np.array_equal(capture.pixels, pixels), f"frame {number} of {marks(found)}"


@pytest.mark.parametrize(("codec", "ending"), CASES)
def test_a_whole_video_gives_the_frames_it_holds(whole: Whole, codec: str, ending: str) -> None:
    """A sound video gives exactly its frames, in order, without a fault."""
    path, _ = whole(codec, ending)
    found = captures(path)
    assert marks(found) == "." * COUNT
    for capture, steel in zip(found, STEEL, strict=True):
        assert capture.pixels is not None
        assert np.abs(capture.pixels.astype(int) - steel).mean() < 12


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(lambda n: n * FRAME_MS + DAY_MS, id="begins at 24 h"),
        pytest.param(lambda n: n // 2 * 2 * FRAME_MS + n % 2 * 5, id="frames in pairs"),
    ],
)
@pytest.mark.parametrize(("codec", "ending"), TIMED)
def test_odd_time_stamps_invent_no_frame(
    whole: Whole, tmp_path: Path, codec: str, ending: str, times: Callable[[int], int]
) -> None:
    """Captured = frames in the file, and what is said to be steel is."""
    path, truth = whole(codec, ending)
    found = captures(remux(path, tmp_path / path.name, when_ms=times, muxer=muxer(ending)))
    assert len(found) == COUNT
    check_that_nothing_is_a_guess(found, truth)


@pytest.mark.parametrize("pause_ms", [400, 900, 3000, 12_000])
@pytest.mark.parametrize(("codec", "ending"), TIMED)
def test_a_pause_in_a_whole_video_costs_no_frame(
    whole: Whole, tmp_path: Path, codec: str, ending: str, pause_ms: int
) -> None:
    """A hole in the time stamps of a file without damage adds no frame.

    Where frames build on each other and carry no numbers, it may be a loss, too: they are not inspected up to the
    next key frame.
    """
    path, truth = whole(codec, ending)
    found = captures(
        remux(
            path,
            tmp_path / path.name,
            when_ms=lambda n: n * FRAME_MS + (pause_ms if n >= 32 else 0),
            muxer=muxer(ending),
        )
    )
    assert len(found) == COUNT
    if CODECS[codec].is_numbered or CODECS[codec].stands_alone:
        assert marks(found) == "." * COUNT
    else:
        assert marks(found).startswith("." * 28)
    check_that_nothing_is_a_guess(found, truth)


@pytest.mark.parametrize("frames", [16, 32, 64])
def test_a_pause_as_long_as_h264_counts_adds_no_frame(whole: Whole, tmp_path: Path, frames: int) -> None:
    """It looks like a loss that leaves no gap in frame_num: frames up to the next key frame are not inspected."""
    path, truth = whole("h264", "mkv")
    when_ms = lambda n: (n + (frames if n >= 32 else 0)) * FRAME_MS  # noqa: E731 (as the other times)
    found = captures(remux(path, tmp_path / path.name, when_ms=when_ms))
    assert len(found) == COUNT
    assert marks(found)[:32] == "." * 32
    assert marks(found)[2 * GOP :] == "." * (COUNT - 2 * GOP)
    check_that_nothing_is_a_guess(found, truth)


@pytest.mark.parametrize("rate", [900, 1500, 2000])
@pytest.mark.parametrize(("codec", "ending"), MATROSKA)
def test_a_clock_that_is_too_coarse_for_the_rate_invents_no_frame(
    whole: Whole, tmp_path: Path, codec: str, ending: str, rate: int
) -> None:
    """Matroska counts in ms, so time stamps of fast cameras repeat and jump."""
    path, truth = whole(codec, ending)
    found = captures(remux(path, tmp_path / path.name, when_ms=lambda n: n * 1000 // rate))
    assert marks(found) == "." * COUNT
    check_that_nothing_is_a_guess(found, truth)


@pytest.mark.parametrize(("codec", "ending"), [case for case in CASES if case[1] in {"mp4", "mov"}])
def test_frames_that_an_edit_list_hides_are_inspected(
    whole: Whole, tmp_path: Path, codec: str, ending: str
) -> None:
    """A video that was cut without re-encoding keeps the frames from the last key frame on, before its time 0."""
    path, truth = whole(codec, ending)
    found = captures(remux(path, tmp_path / path.name, when_ms=lambda n: (n - 5) * FRAME_MS, muxer=muxer(ending)))
    assert marks(found) == "." * COUNT
    check_that_nothing_is_a_guess(found, truth)


@pytest.mark.parametrize("codec", ["h264", "mpeg4", "mpeg4-b", "mpeg2", "mpeg2-b"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_what_is_missing_from_a_transport_stream_is_counted(
    whole: Whole, tmp_path: Path, codec: str, share: float
) -> None:
    """The transport stream's counters show the loss: frames keep their places, and none is a guess."""
    path, truth = whole(codec, "ts")
    data = path.read_bytes()
    at, lost = int(len(data) * share) // TS_PACKET * TS_PACKET, 24 * TS_PACKET
    damaged = tmp_path / path.name
    damaged.write_bytes(data[:at] + data[at + lost :])
    found = captures(damaged)
    assert len(found) == COUNT, marks(found)
    assert "x" in marks(found)
    check_that_nothing_is_a_guess(found, truth)


def test_bytes_that_a_matroska_lacks_are_lost_frames(whole: Whole, tmp_path: Path) -> None:
    """Its demuxer goes on with the next cluster and reports nothing."""
    path, truth = whole("h264", "mkv")
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    first, key = packets[8].pos, next(packet.pos for packet in packets[9:] if packet.is_keyframe)
    assert first is not None
    assert key is not None
    data = path.read_bytes()
    damaged = tmp_path / path.name
    damaged.write_bytes(data[: first + 20] + data[key - 400 :])
    found = captures(damaged)
    assert len(found) == COUNT, marks(found)
    assert "x" in marks(found)
    check_that_nothing_is_a_guess(found[9:], truth[9:])


@pytest.mark.parametrize("lost", [(20, 21, 22, 23), (21,), (23, 24, 25, 26, 27), (0, 1, 2)])
@pytest.mark.parametrize(("codec", "ending"), CASES)
def test_lost_packets_are_announced_and_what_builds_on_them_is_not_inspected(
    whole: Whole, tmp_path: Path, codec: str, ending: str, lost: tuple[int, ...]
) -> None:
    """A recorder that lost packets: frames keep their places, and none is a guess.

    Where neither container nor codec numbers frames, the file may as well be one with a pause: none is added.
    """
    path, truth = whole(codec, ending)
    found = captures(
        remux(path, tmp_path / path.name, keep=lambda number: number not in lost, muxer=muxer(ending))
    )
    if not (CODECS[codec].is_numbered or ending == "avi"):
        kept = [mark for number, mark in enumerate(truth) if number not in lost]
        assert len(found) <= len(kept) or 0 in lost
        if 0 not in lost and len(found) == len(kept):
            check_that_nothing_is_a_guess(found, kept)
        return
    assert "x" in marks(found) or 0 in lost
    if 0 not in lost:
        assert len(found) == COUNT, marks(found)
        check_that_nothing_is_a_guess(found, truth)
    if CODECS[codec].stands_alone:
        assert marks(found).count(".") == COUNT - len(lost)
    elif ending != "mpg" and (ending != "avi" or 0 not in lost):
        assert marks(found).endswith("." * 5) or codec in {"vp8", "vp9", "hevc-b", "h264-refresh"}


@pytest.mark.parametrize("count", [8, 16, 32])
@pytest.mark.parametrize("frames_between", [0, 1, 3])
def test_a_loss_of_as_many_frames_as_h264_counts_to_is_noticed(
    tmp_path: Path, count: int, frames_between: int
) -> None:
    """frame_num repeats after 16 frames or more: such a loss leaves no gap in it, only in the time stamps.

    It may be a pause, too, so no frame is added, and none that builds on those before is inspected.
    """
    video = write_video(
        tmp_path / "whole.mkv",
        STEEL,
        codec="libx264",
        options={"x264-params": f"scenecut=0:keyint=60:b-adapt=0:bframes={frames_between}:b-pyramid=none"},
    )
    truth = [capture.pixels for capture in captures(video)]
    lost = range(9, 9 + count)
    found = captures(remux(video, tmp_path / "lost.mkv", keep=lambda number: number not in lost))
    assert len(found) in {COUNT, COUNT - count}
    assert set(marks(found)[12:]) == {"x"}
    check_that_nothing_is_a_guess(found, [pixels for pixels in truth if pixels is not None])


@pytest.mark.parametrize(("codec", "ending"), CASES)
def test_a_video_that_is_cut_off_says_so_and_shows_no_guess(
    whole: Whole, tmp_path: Path, codec: str, ending: str
) -> None:
    """What was there is inspected, the rest is a fault: one for each frame where the header tells how many."""
    path, truth = whole(codec, ending)
    cut = tmp_path / path.name
    cut.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    found = captures(cut)
    check_that_nothing_is_a_guess(found, truth)
    if ending in {"ts", "mpg", "flv"}:
        assert 10 < len(found) <= COUNT + 1  # these state no length that a cut would leave behind
    else:
        assert "x" in marks(found)[-1:]
    if ending in {"mp4", "mov", "avi"}:
        assert len(found) == COUNT


REPORTED = sorted(
    path
    for folder in ("avi-bframes", "lost-reference")
    for path in (SHARED.parent / "cases" / "line" / folder).glob("*")
    if path.suffix in VIDEO_ENDINGS
)
"""Videos that once gave more frames than they hold, or guesses after a loss; where they are there."""


@pytest.mark.shared
@pytest.mark.parametrize("path", REPORTED, ids=lambda path: path.name)
def test_a_video_that_was_reported_gives_the_frames_it_holds(path: Path) -> None:
    """Packets = captures without a fault; of the recorder that lost four packets, the four have their places."""
    with av.open(str(path)) as container:
        packets = sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)
    found = captures(path)
    lost = 4 if path.name == "deflost.mkv" else 0
    assert len(found) == packets + lost
    assert ("x" in marks(found)) == (lost > 0)
