"""A GenICam camera over real sockets: what it is set to, what it sends, what it loses, and its coming back."""

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.cli import main
from inspector.commands.cameras import v4l2_devices
from inspector.config.line import load_config
from inspector.config.sources import GenicamSettings
from inspector.errors import ConfigError, SourceError
from inspector.sources.camera.source import Backoff
from inspector.sources.genicam.source import GenicamSource
from inspector.values import Capture, Code
from tests.support.gige_camera import (
    DIVIDER,
    EXPOSURE,
    GAIN,
    HEIGHT,
    LEADER,
    PACKET_SIZE,
    TRAILER,
    TRIGGER_MODE,
    TRIGGER_SOURCE,
    USER_SET,
    WIDTH,
    GigeCamera,
    needs_aravis,
)

RATE = 50.0
ROWS, COLUMNS = 16, 64


@pytest.fixture
def camera() -> Iterator[GigeCamera]:
    needs_aravis()
    with GigeCamera(height=ROWS, width=COLUMNS) as opened:
        yield opened


def source(camera: GigeCamera, **settings: Any) -> GenicamSource:
    made = GenicamSettings(
        **{
            "type": "genicam",
            "device": camera.address,
            "frames_per_second": RATE,
            "trigger": "encoder",
            **settings,
        }
    )
    return GenicamSource(made, Backoff(first_s=0.1, longest_s=0.2))


def picture(number: int) -> np.ndarray:
    return np.full((ROWS, COLUMNS), number, np.uint8)


def take(captures: Iterator[Capture | None], count: int, within_s: float = 20.0) -> list[Capture]:
    until_s = time.monotonic() + within_s
    found = []
    for capture in captures:
        if capture is not None:
            found.append(capture)
        if len(found) == count:
            return found
        assert time.monotonic() < until_s, f"{len(found)} of {count} captures: {found}"
    raise AssertionError


def shown(captures: list[Capture]) -> list[int | Code]:
    """The number that each frame shows, or its fault's code."""
    return [c.fault.code if c.fault else int(c.pixels[0, 0]) for c in captures if c.fault or c.pixels is not None]


def test_features_are_set_in_order_and_stay_set_when_the_camera_comes_back(camera: GigeCamera) -> None:
    """Selectors work as written; a camera that was switched off gets all features again."""
    features = [
        {"Width": 128, "Height": 8, "PixelFormat": "Mono8", "ExposureTime": 500.0, "Gain": 7,
         "TriggerSelector": "LineStart", "TriggerMode": "On", "TriggerSource": "Encoder0", "EncoderDivider": 4,
         "GevSCPSPacketSize": 1000, "ChunkModeActive": True, "UserSetLoad": True},
        {"TriggerSelector": "FrameStart", "TriggerMode": "Off"},
    ]  # fmt: skip
    with source(camera, features=features, encoder_chunk="ChunkEncoderValue") as opened:
        for attempt in range(2):
            camera.wait_for_stream()
            wanted = {WIDTH: 128, HEIGHT: 8, GAIN: 7, TRIGGER_MODE: 1, TRIGGER_MODE + 4: 0, TRIGGER_SOURCE: 1,
                      DIVIDER: 4, USER_SET: 1}  # fmt: skip
            assert {address: camera.register(address) for address in wanted} == wanted
            assert camera.number(EXPOSURE) == 500.0
            assert camera.register(PACKET_SIZE) & 0xFFFF == 1000
            camera.send(1, np.full((8, 128), 9, np.uint8), encoder=123_456)
            captures = opened.captures()
            frame = next(c for c in captures if c is not None and c.pixels is not None)
            assert frame.pixels is not None
            assert frame.pixels.shape == (8, 128)
            assert frame.encoder_count == 123_456
            if not attempt:
                camera.switch_off()
                for address in wanted:
                    camera._put(address, 0)
                camera.switch_on()


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ({"ExposurTime": 5}, "ExposurTime: the camera has no such feature: did you mean ExposureTime?"),
        ({"Width": 9000}, "Width = 9000: the camera takes 8 to 8192 in steps of 8"),
        ({"Width": 60}, "Width = 60: the camera takes 8 to 8192 in steps of 8"),
        ({"Gain": 3.5}, "Gain = 3.5: the camera takes a whole number"),
        ({"Gain": True}, "Gain = true: the camera takes a whole number"),
        ({"ExposureTime": 1e9}, "ExposureTime = 1000000000.0: the camera takes 2 to 100000"),
        ({"ExposureTime": "long"}, 'ExposureTime = "long": the camera takes a number'),
        ({"TriggerSource": "Encoder9"}, 'TriggerSource = "Encoder9": the camera takes "Line0", "Encoder0"'),
        ({"ChunkModeActive": 1}, "ChunkModeActive = 1: the camera takes true or false"),
        ({"DeviceTemperature": 20.0}, "DeviceTemperature: can only be read"),
        ({"UserSetLoad": 3}, "UserSetLoad = 3: the camera takes true, which executes it"),
        ({"Root": 1}, "Root: the camera has no such feature"),
        ({"PixelFormat": "RGB8"}, "the camera's PixelFormat is RGB8: set Mono8, Mono10"),
        ({"PixelFormat": "Mono12p"}, "the camera's PixelFormat is Mono12p: state grey_window"),
    ],
)
def test_a_feature_that_the_camera_does_not_take_is_one_clear_line(
    camera: GigeCamera, features: dict[str, Any], says: str
) -> None:
    """It names the feature, the value, and what the camera takes."""
    with pytest.raises(SourceError) as caught, source(camera, features=features):
        pass
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert camera.address in str(caught.value)
    with source(camera, features={"PixelFormat": "Mono8"}):
        camera.wait_for_stream()


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ("5", "cameras.top.features: needs a table of names and values, or a list of such tables, got 5"),
        ("[1]", "cameras.top.features: needs a table of names and values, or a list of such tables"),
        ("{ Width = [1] }", "cameras.top.features: Width: needs a number, text, true or false"),
        ("{ Gain = inf }", "cameras.top.features: Gain: needs a number, text, true or false"),
        ("{ Start = 2026-01-01 }", "cameras.top.features: Start: needs a number, text, true or false"),
        ("[{ Width = 8 }, { Gain = {} }]", "cameras.top.features: Gain: needs a number, text, true or false"),
    ],
)
def test_features_that_are_no_values_are_refused_at_the_door(tmp_path: Path, features: str, says: str) -> None:
    """One line, before a camera is searched for."""
    config = tmp_path / "line.toml"
    config.write_text(
        'name = "x"\nengine = "e"\nrecipe = "r.toml"\n[cameras.top]\ntype = "genicam"\ndevice = "x"\n'
        f"frames_per_second = 10\nfeatures = {features}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(config)
    assert str(caught.value) == f"{config}: {says}"


def test_a_chunk_that_the_camera_does_not_have_is_one_clear_line(camera: GigeCamera) -> None:
    """Otherwise every frame would be without its encoder count."""
    says = "encoder_chunk: the camera has no integer feature ChunkCount"
    with pytest.raises(SourceError, match=says), source(camera, encoder_chunk="ChunkCount"):
        pass


def test_packets_that_the_network_does_not_carry_are_one_clear_line(camera: GigeCamera) -> None:
    """Aravis would make them smaller and go on, with ten times the packets that were planned."""
    camera.carries = 1500
    with source(camera, features={"GevSCPSPacketSize": 1500}):
        camera.wait_for_stream()
    says = r"GevSCPSPacketSize = 8000: the network carries \d+: raise its MTU, or write"
    with pytest.raises(SourceError, match=says), source(camera, features={"GevSCPSPacketSize": 8000}):
        pass


def test_a_camera_that_another_program_controls_is_one_clear_line(
    camera: GigeCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for some seconds, because a program that was killed keeps it for its heartbeat."""
    monkeypatch.setattr("inspector.sources.genicam.camera._CONTROL_S", 0.5)
    with source(camera):
        camera.wait_for_stream()
        with pytest.raises(SourceError, match="another program controls it"), source(camera):
            pass


@pytest.mark.parametrize("first", [1, 65_530])
def test_every_lost_packet_costs_its_own_frame_and_no_other(camera: GigeCamera, first: int) -> None:
    """Lost first, last, single and all packets: each frame keeps its place, ids go from 65535 to 1."""
    lose: dict[int, Any] = {
        3: [1],
        5: [LEADER],
        7: [TRAILER],
        8: [LEADER, TRAILER],
        11: range(99),
        12: range(99),
        15: [0, 1, 2, 3],
    }
    with source(camera, features={"GevSCPSPacketSize": 576}) as opened:
        camera.wait_for_stream()

        def send() -> None:
            for number in range(20):
                frame_id = first + number - (65_535 if first + number > 65_535 else 0)
                camera.send(frame_id, picture(number), lose=lose.get(number, ()))
                time.sleep(0.02)

        sender = threading.Thread(target=send)
        sender.start()
        found = take(opened.captures(), 20)
        sender.join()
    expected: list[int | Code] = list(range(20))
    for number, packets in lose.items():
        expected[number] = Code.NO_FRAME if len(list(packets)) > 3 else Code.INCOMPLETE
    assert shown(found) == expected
    times = [c.captured_ns for c in found if c.captured_ns]
    assert times == sorted(times)


def test_a_camera_that_goes_and_comes_back_is_taken_again(camera: GigeCamera) -> None:
    """The time in between is counted at the stated rate, and the gate hears of it while it lasts."""
    with source(camera, trigger="free") as opened:
        captures = opened.captures()
        camera.wait_for_stream()
        begun_s = time.monotonic()
        for number in range(5):
            camera.send(number + 1, picture(number))
            time.sleep(1 / RATE)
        assert shown(take(captures, 5)) == [0, 1, 2, 3, 4]
        camera.switch_off()
        away = take(captures, 20)
        assert {c.fault.code for c in away if c.fault} == {Code.NO_FRAME}
        camera.switch_on()
        found = 5 + len(away)
        while not camera.streams:
            found += next(captures) is not None
        camera.send(1, picture(77))
        for capture in captures:
            found += capture is not None
            if capture is not None and capture.pixels is not None:
                break
        passed_s = time.monotonic() - begun_s
        assert int(capture.pixels[0, 0]) == 77
        assert abs(found - passed_s * RATE) < 0.3 * RATE
        until_s = time.monotonic() + 5
        while opened.readings().get("reconnections") != 1:
            next(captures)
            assert time.monotonic() < until_s


def test_line_scan_blocks_are_gathered_to_frames(camera: GigeCamera) -> None:
    """Four blocks make a frame; a lost block costs its frame, and the next frame begins where it should."""
    with source(camera, frame_height=4 * ROWS, features={"GevSCPSPacketSize": 576}) as opened:
        assert list(opened.sizes()) == [(camera.address, (4 * ROWS, COLUMNS))]
        camera.wait_for_stream()
        for number in range(16):
            camera.send(number + 1, picture(number), lose=range(99) if number == 6 else ())
            time.sleep(0.005)
        found = take(opened.captures(), 4)
    assert shown(found) == [0, Code.NO_FRAME, 8, 12]
    pixels = found[2].pixels
    assert pixels is not None
    assert pixels.shape == (4 * ROWS, COLUMNS)
    assert [int(pixels[ROWS * block, 0]) for block in range(4)] == [8, 9, 10, 11]


def test_many_small_blocks_wait_for_ingest_as_frames(camera: GigeCamera) -> None:
    """Eight frames may wait, however many blocks that are."""
    # At a low rate Aravis waits longer for packets: the PC that sends them may have other work.
    with source(camera, frame_height=32, frames_per_second=2, features={"Height": 1}) as opened:
        camera.wait_for_stream()
        for number in range(8 * 32):
            camera.send(number + 1, np.full((1, COLUMNS), number // 32, np.uint8))
            time.sleep(0.002)
        assert shown(take(opened.captures(), 8)) == list(range(8))


@pytest.mark.parametrize("name", ["Mono10", "Mono12p", "Mono12Packed", "Mono16"])
def test_deep_pictures_come_through_the_window(camera: GigeCamera, name: str) -> None:
    """Packed or not, the stated samples become black and white."""
    top = {"Mono10": 1023, "Mono16": 65_535}.get(name, 4095)
    samples = np.linspace(0, top, ROWS * COLUMNS).astype(np.uint16)
    if name in {"Mono10", "Mono16"}:
        data = samples.astype("<u2").tobytes()
    else:
        pairs = samples.reshape(-1, 2).astype(np.uint32)
        first, second = pairs[:, 0], pairs[:, 1]
        bytes_of = (
            [first & 0xFF, (first >> 8) | ((second & 0xF) << 4), second >> 4]
            if name == "Mono12p"
            else [first >> 4, (first & 0xF) | ((second & 0xF) << 4), second >> 4]
        )
        data = np.stack(bytes_of, axis=1).astype(np.uint8).tobytes()
    with source(camera, features={"PixelFormat": name}, grey_window=(0, top)) as opened:
        camera.wait_for_stream()
        camera.send(1, data)
        (found,) = take(opened.captures(), 1)
    assert found.pixels is not None
    wanted = np.rint(samples.astype(np.float64) * 255 / top).reshape(ROWS, COLUMNS)
    assert np.abs(found.pixels - wanted).max() <= 1


def test_the_camera_measures_itself_for_the_metrics(camera: GigeCamera) -> None:
    """Temperature from the camera, losses from the stream."""
    with source(camera, features={"GevSCPSPacketSize": 576}) as opened:
        camera.wait_for_stream()
        captures = opened.captures()
        for number in itertools.count(1):
            camera.send(number % 60_000, picture(0), lose=[1] if number == 2 else ())
            next(captures)
            readings = opened.readings()
            if readings.get("buffers_incomplete"):
                break
            time.sleep(0.01)
            assert number < 2000, readings
    assert readings["temperature_celsius"] == 41.5
    assert readings["packets_missing"] >= 1
    assert readings["reconnections"] == 0


def test_the_hardware_time_stamp_is_the_capture_time(camera: GigeCamera) -> None:
    """A frame that waits in the network keeps the time at which it was taken."""
    with source(camera) as opened:
        camera.wait_for_stream()
        for number, (tick_ns, pause_s) in enumerate(
            [(0, 0.1), (100_000_000, 0.15), (200_000_000, 0.05), (300_000_000, 0)]
        ):
            camera.send(number + 1, picture(number), time_ns=5_000_000_000 + tick_ns)
            time.sleep(pause_s)
        found = take(opened.captures(), 4)
    times = np.array([c.captured_ns for c in found])
    assert np.abs(np.diff(times) - 100_000_000).max() < 20_000_000


def test_cameras_lists_what_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GenICam cameras by their id, V4L2 devices by their path."""
    needs_aravis()
    for number, name in ((10, "Capture card"), (2, "Integrated camera")):
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}/name").write_text(name + "\n")
    monkeypatch.setattr("inspector.commands.cameras.V4L2_NAMES", tmp_path)
    assert [each.device for each in v4l2_devices(tmp_path)] == ["/dev/video2", "/dev/video10"]
    assert v4l2_devices(tmp_path / "none") == []
    assert main(["cameras"]) == 0
    printed = capsys.readouterr().out
    assert "/dev/video2" in printed
    assert "Integrated camera" in printed


def test_without_aravis_the_install_line_is_said(tmp_path: Path) -> None:
    """The line's other sources do not need it."""
    code = (
        "import inspector.sources.genicam.library as library\n"
        f"library.DEBIAN_PACKAGES = {str(tmp_path)!r}\n"
        "from inspector.config.line import GenicamSettings\n"
        "from inspector.sources import open_source\n"
        "open_source(GenicamSettings(type='genicam', device='x', frames_per_second=1)).__enter__()\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert "SourceError: GenICam cameras need Aravis: apt install gir1.2-aravis-0.8 python3-gi" in last
