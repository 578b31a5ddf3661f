"""One check of the Source contract, run against every source, opened as a line's config opens it."""

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inspector.config.sources import (
    CameraSettings,
    FolderSettings,
    GenicamSettings,
    ListSettings,
    PythonSettings,
    RecordingSettings,
    SimulatorSettings,
    SourceSettings,
    VideoSettings,
)
from inspector.errors import SourceError
from inspector.sources import Source, WhenBehind, open_source
from inspector.sources.recording.source import RecordingWriter
from inspector.values import Capture, Code, Uninspected
from tests.support.frames import make_frames
from tests.support.gige_camera import Feeder, GigeCamera, needs_aravis
from tests.support.videos import write_video

COUNT = 6
FRAMES = make_frames(COUNT)

SILENCE_S = 0.2
"""Longest that a source may say nothing (the contract)."""

SLACK_S = 0.3
"""What a busy test machine may add to it."""


@dataclass(frozen=True)
class Kind:
    """How to make a source with six captures, the third a fault if possible, and an invalid source."""

    make: Callable[[Path], SourceSettings]
    broken: Callable[[Path], SourceSettings] | None
    ends: bool
    faults: int


def _folder(path: Path) -> SourceSettings:
    for number, pixels in enumerate(FRAMES):
        Image.fromarray(pixels).save(path / f"{number}.png")
    (path / "2.png").write_bytes(b"no image")
    return FolderSettings(type="folder", path=path)


def _video(path: Path) -> SourceSettings:
    video = write_video(path / "strip.avi", FRAMES, codec="mjpeg", pixel_format="yuvj420p", full_range=True)
    data = bytearray(video.read_bytes())
    start = -1
    for _ in range(3):
        start = data.index(b"\xff\xd8\xff", start + 1)
    data[start + 400 : start + 700] = b"\xff" * 300
    video.write_bytes(data)
    return VideoSettings(type="video", path=video)


def _recording(path: Path) -> SourceSettings:
    with RecordingWriter(path / "recording", "top") as writer:
        for number, pixels in enumerate(FRAMES):
            writer.append(Capture(None, Uninspected(Code.NO_FRAME, "lost")) if number == 2 else Capture(pixels))
    return RecordingSettings(type="recording", path=path / "recording")


def _list(path: Path) -> SourceSettings:
    for number, pixels in enumerate(FRAMES):
        folder = path / ("first" if number < 2 else "second")
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (path / "second/2.png").write_bytes(b"no image")
    first, second = (FolderSettings(type="folder", path=path / name) for name in ("first", "second"))
    return ListSettings(type="list", sources=(first, second))


def _camera(path: Path) -> SourceSettings:
    video = write_video(path / "strip.avi", FRAMES, codec="mjpeg", pixel_format="yuvj420p", full_range=True)
    return CameraSettings(type="camera", device=str(video), frames_per_second=50)


GIGE: list[tuple[GigeCamera, Feeder]] = []


def _genicam(path: Path) -> SourceSettings:
    if not GIGE:
        height, width = FRAMES[0].shape
        camera = GigeCamera(height=height, width=width)
        camera.switch_on()
        GIGE.append((camera, Feeder(camera, FRAMES, 50)))
    return GenicamSettings(type="genicam", device=GIGE[0][0].address, frames_per_second=50)


@pytest.fixture(scope="module", autouse=True)
def _cameras_off() -> Iterator[None]:
    yield
    while GIGE:
        camera, feeder = GIGE.pop()
        feeder.stop()
        camera.switch_off()


def _simulator(path: Path) -> SourceSettings:
    return SimulatorSettings(type="simulator", seed=3, height=64, width=160, frames=COUNT)


def _own(path: Path) -> SourceSettings:
    np.save(path / "frames.npy", np.stack(list(FRAMES)))
    return _own_of(path / "frames.npy")


def _own_of(path: Path) -> SourceSettings:
    factory = "tests.support.own_source:OwnSource"
    return PythonSettings(type="python", factory=factory, options={"path": str(path)})


KINDS = {
    "folder": Kind(_folder, lambda path: FolderSettings(type="folder", path=path / "none"), ends=True, faults=1),
    "video": Kind(_video, lambda path: VideoSettings(type="video", path=path / "none.mp4"), ends=True, faults=1),
    "recording": Kind(
        _recording, lambda path: RecordingSettings(type="recording", path=path / "none"), ends=True, faults=1
    ),
    "list": Kind(
        _list,
        lambda path: ListSettings(type="list", sources=(FolderSettings(type="folder", path=path / "none"),)),
        ends=True,
        faults=1,
    ),
    "camera": Kind(
        _camera,
        lambda path: CameraSettings(type="camera", device=str(path / "none.mkv"), frames_per_second=50),
        ends=False,
        faults=1,
    ),
    "genicam": Kind(
        _genicam,
        lambda path: GenicamSettings(type="genicam", device=str(path / "none"), frames_per_second=50),
        ends=False,
        faults=1,
    ),
    "simulator": Kind(_simulator, None, ends=True, faults=0),
    "python": Kind(_own, lambda path: _own_of(path / "none.npy"), ends=True, faults=1),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    if request.param == "genicam":
        needs_aravis()
    return KINDS[request.param]


def some(source: Source) -> Iterator[Capture | None]:
    """All captures of a finite source; of an endless one, a few frames beyond the first fault."""
    seen = 0
    for capture in source.captures():
        yield capture
        seen += capture is not None
        if source.total() is None and seen >= 3 * COUNT:
            return


STAYS_S = 5.0


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 (names of links, not paths)


def test_a_source_keeps_the_contract(kind: Kind, tmp_path: Path) -> None:
    """Captures are valid, as many as promised, of the promised sizes, and never late."""
    source = open_source(kind.make(tmp_path))
    assert isinstance(source.when_behind, WhenBehind)
    with source as entered:
        assert entered is source
        assert source.total() == (COUNT if kind.ends else None)
        sizes = dict(source.sizes())
        assert all(isinstance(name, str) for name in sizes)
        assert all("\n" not in note for note in source.notes())
        captures = []
        last_s = time.monotonic()
        for capture in some(source):
            now_s = time.monotonic()
            assert now_s - last_s < SILENCE_S + SLACK_S
            last_s = now_s
            if capture is not None:
                captures.append(capture)
    if kind.ends:
        assert len(captures) == COUNT
    frames = [capture.pixels for capture in captures if capture.pixels is not None]
    assert len(captures) - len(frames) >= kind.faults
    for pixels in frames:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 2
        assert pixels.flags.c_contiguous
        assert not sizes or pixels.shape in sizes.values()
    for capture in captures:
        assert capture.fault is None or "\n" not in capture.fault.text
    times = [capture.captured_ns for capture in captures if capture.captured_ns is not None]
    assert times == sorted(times)


def test_frames_that_were_handed_over_do_not_change_afterwards(kind: Kind, tmp_path: Path) -> None:
    """Ingest holds frames while the source continues, so a reused buffer would mix them up."""
    with open_source(kind.make(tmp_path)) as source:
        held = [(c.pixels, c.pixels.copy()) for c in some(source) if c is not None and c.pixels is not None]
    assert len(held) >= COUNT - 1
    assert all(np.array_equal(pixels, copy) for pixels, copy in held)


def test_a_source_that_waits_gives_the_same_twice(kind: Kind, tmp_path: Path) -> None:
    """Two replays are identical, including the text of faults."""
    settings = kind.make(tmp_path)
    if not kind.ends:
        pytest.skip("a camera sees a moment once")
    runs = []
    for _ in range(2):
        with open_source(settings) as source:
            runs.append([capture for capture in some(source) if capture is not None])
    for a, b in zip(*runs, strict=True):
        assert (a.fault, a.position_mm, a.coil) == (b.fault, b.position_mm, b.coil)
        assert (a.pixels is None) == (b.pixels is None)
        assert a.pixels is None or np.array_equal(a.pixels, b.pixels)


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_a_source_left_early_leaves_nothing_open(kind: Kind, tmp_path: Path, taken: int) -> None:
    """Leaving after any number of frames takes under two seconds; no descriptor and no thread stays."""
    settings = kind.make(tmp_path)
    for attempt in range(2):  # the first may load libraries
        gc.collect()
        before = descriptors(), threading.active_count()
        with open_source(settings) as source:
            captures = source.captures()
            found = 0
            while found < taken:
                found += next(captures) is not None
            leaving_s = time.monotonic()
        assert time.monotonic() - leaving_s < 2.0
        del captures, source
        gc.collect()
        if attempt:
            # Libraries' own threads, of tests before this one, open a file for a moment now and then: what counts
            # is what stays.
            until_s = time.monotonic() + STAYS_S
            while (descriptors(), threading.active_count()) != before and time.monotonic() < until_s:
                time.sleep(0.02)
            assert (descriptors(), threading.active_count()) == before


def test_what_cannot_be_opened_is_one_clear_line_and_leaves_nothing_open(kind: Kind, tmp_path: Path) -> None:
    """The error names the source."""
    if kind.broken is None:
        pytest.skip("a simulator can always be opened")
    settings = kind.broken(tmp_path)
    for attempt in range(2):
        gc.collect()
        before = descriptors(), threading.active_count()
        with pytest.raises(SourceError) as caught, open_source(settings):
            pass
        assert "\n" not in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        del caught
        gc.collect()
        if attempt:
            # Libraries' own threads, of tests before this one, open a file for a moment now and then: what counts
            # is what stays.
            until_s = time.monotonic() + STAYS_S
            while (descriptors(), threading.active_count()) != before and time.monotonic() < until_s:
                time.sleep(0.02)
            assert (descriptors(), threading.active_count()) == before


def test_a_simulator_that_is_too_slow_for_its_pace_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log says how many frames it draws, and what to set."""
    monkeypatch.setattr("inspector.sources.simulator.source.SLOW_S", 0.05)
    settings = SimulatorSettings(type="simulator", height=64, width=128, frames=60, frames_per_second=100_000)
    with open_source(settings) as source:
        assert sum(capture is not None for capture in source.captures()) == 60
    printed = capsys.readouterr()
    said = printed.out + printed.err
    assert said.count("the simulator is too slow for frames_per_second: set `distinct`") == 1
    assert "drawn_per_second" in said
