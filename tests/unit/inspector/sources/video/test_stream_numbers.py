"""What streams say of the place of their frames, and what follows from it."""

from collections.abc import Callable
from pathlib import Path

import av
import pytest

from inspector.sources.camera.gaps import Backlog, Gaps
from inspector.sources.camera.rate import Rate
from inspector.sources.video.h264 import H264Order
from inspector.sources.video.hevc import HevcOrder
from inspector.sources.video.picture_order import Order, OrderReader
from inspector.sources.video.timeline import Gap, Timeline
from tests.support.videos import moving_steel, write_video

STEEL = moving_steel(40)
READERS: dict[str, Callable[[bytes | None], OrderReader]] = {"libx264": H264Order, "libx265": HevcOrder}


def orders(path: Path, codec: str, lost: range = range(0)) -> list[Order]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        reader = READERS[codec](stream.codec_context.extradata)
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
    read = [reader.read(data, number) for number, data in enumerate(packets) if number not in lost]
    return [order for order in read if order is not None]


@pytest.mark.parametrize("ending", ["mkv", "mp4", "ts"])
@pytest.mark.parametrize(
    ("codec", "options", "step"),
    [
        ("libx264", {"x264-params": "scenecut=0:keyint=20:bframes=3:b-adapt=0"}, 2),
        ("libx265", {"x265-params": "scenecut=0:keyint=20:bframes=3:log-level=none:open-gop=0"}, 1),
    ],
)
def test_every_picture_has_its_place_in_the_order_of_display(
    tmp_path: Path, ending: str, codec: str, options: dict[str, str], step: int
) -> None:
    """Whatever the container: behind start codes, or behind their length."""
    found = orders(write_video(tmp_path / f"a.{ending}", STEEL, codec=codec, options=options), codec)
    assert len(found) == len(STEEL)
    assert all(order.lost == 0 for order in found)
    places = [(order.sequence, order.shown) for order in found]
    assert sorted(places) == [(n // 20 + 1, n % 20 * step) for n in range(40)]
    assert [number for number, order in enumerate(found) if order.clean_from == number] == [0, 20]


def test_lost_reference_frames_are_counted(tmp_path: Path) -> None:
    """frame_num counts them."""
    path = write_video(
        tmp_path / "a.mkv", STEEL, codec="libx264", options={"x264-params": "scenecut=0:keyint=40:bframes=0"}
    )
    found = orders(path, "libx264", lost=range(10, 15))
    assert [(number, order.lost) for number, order in enumerate(found) if order.lost] == [(10, 5)]


def test_a_gradual_refresh_is_complete_some_frames_after_its_recovery_point(tmp_path: Path) -> None:
    """Up to there, part of the picture still builds on what was before."""
    options = {"x264-params": "scenecut=0:keyint=20:bframes=0:intra-refresh=1"}
    found = orders(write_video(tmp_path / "a.mkv", STEEL, codec="libx264", options=options), "libx264")
    begun = [number for number, order in enumerate(found) if order.begins][1]
    complete = next(number for number, order in enumerate(found) if order.clean_from == begun)
    assert begun + 2 < complete < begun + 20


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_headers_that_make_no_sense_raise_nothing_but_value_errors(tmp_path: Path, codec: str) -> None:
    """Every byte of a damaged packet is read as if it were sound."""
    path = write_video(tmp_path / "a.ts", STEEL[:3], codec=codec)
    with av.open(str(path)) as container:
        data = bytes(next(iter(container.demux(video=0))))
    for at in range(min(len(data), 120)):
        for flipped in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[at] ^= flipped
            try:
                READERS[codec](None).read(bytes(damaged), 0)
                READERS[codec](bytes(damaged[:60])).read(bytes(damaged), 0)
            except ValueError:
                pass


class TestTimeline:
    def filled(self, stamps: list[int]) -> Timeline:
        timeline = Timeline(0.001)
        for ticks in stamps:
            timeline.add(ticks)
        return timeline

    def test_a_constant_rate_shows_its_holes(self) -> None:
        """Rounded stamps of 29.97 frames/s are constant."""
        timeline = self.filled([round(n * 33.367) for n in range(40) if n not in {20, 21}])
        assert timeline.interval == pytest.approx(33.367, rel=0.01)
        assert timeline.missing(round(19 * 33.367), round(22 * 33.367)) == 2
        assert timeline.has_holes

    def test_stamps_in_pairs_or_at_random_have_no_rate(self) -> None:
        """Without a constant rate, jumps have no meaning."""
        assert self.filled([n // 2 * 80 + n % 2 * 5 for n in range(40)]).interval is None
        assert self.filled([n * n for n in range(40)]).interval is None

    def test_a_gap_counts_what_is_missing_from_it_once_whatever_the_order(self) -> None:
        """Frames that arrive out of order are not missing."""
        timeline = self.filled([40 * n for n in range(10)] + [40 * n for n in (14, 12, 13, 18, 16, 17, 20)])
        gap = Gap(timeline, 40 * 9)
        assert sum(gap.add(40 * n) for n in (14, 12, 13, 18, 16, 17)) + gap.end(40 * 20) == 4


class TestBacklog:
    def test_late_frames_that_come_close_together_were_counted(self) -> None:
        """Only the last of them is current."""
        backlog = Backlog(10)
        backlog.begin(3)
        counted = 0
        backlog.held(0.0)
        for now_s in (0.01, 0.02, 0.03):
            assert backlog.expects
            counted += backlog.was_counted(now_s)
            backlog.held(now_s)
        assert counted == 3
        assert not backlog.expects

    def test_a_frame_that_is_followed_at_the_camera_s_pace_is_of_the_present(self) -> None:
        """Nothing was delayed, so the frames of the gap are lost."""
        backlog = Backlog(10)
        backlog.begin(30)
        backlog.held(0.0)
        assert not backlog.was_counted(0.1)
        assert not backlog.expects

    def test_a_frame_that_nothing_follows_is_handed_on(self) -> None:
        """It waits for less than a frame time."""
        backlog = Backlog(10)
        backlog.begin(30)
        backlog.held(0.0)
        assert not backlog.is_over(0.05)
        assert backlog.is_over(0.08)

    def test_frames_that_the_stream_skips_after_a_gap_are_those_of_the_gap(self) -> None:
        """They were already counted during the silence."""
        backlog = Backlog(10)
        backlog.begin(2)
        assert [backlog.lost() for _ in range(3)] == [True, True, False]


def test_a_triggered_camera_costs_frames_only_while_it_cannot_be_reached() -> None:
    """Silence is a strip that stands; a lost connection may hide one that moves."""
    gaps = Gaps(10, triggered=True)
    gaps.opened(0.0)
    gaps.frame(1.0)
    assert gaps.due(61.0) == (0, "")
    gaps.failed("gone", 61.0)
    assert gaps.due(63.0) == (19, "gone")


def test_a_rate_is_measured_over_windows_without_gaps() -> None:
    """Half the stated rate is wrong, and 2 % are not."""
    for given, is_wrong in ((12.5, True), (24.5, False), (25.0, False), (50.0, True)):
        rate = Rate(25.0)
        said = [rate.frame(n / given) for n in range(int(12 * given))]
        assert any(said) is is_wrong
        assert rate.measured == pytest.approx(given, rel=0.02)
        rate.restart()
        assert not rate.frame(1000.0)
