"""A simulated mill: triggers in both directions, overlapping cameras, rolls that turn on from coil to coil."""

import time
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.config.line import load_config
from inspector.core.picture import PictureCheck
from inspector.errors import ConfigError
from inspector.sources.simulator import SimulatedCoil, StripSettings
from inspector.sources.simulator.coil import ROLL_MARK_PX
from inspector.sources.simulator.mill import Mill, SpeedProfile, begin, begun
from inspector.sources.simulator.mill_source import MillCamera, mill_of, running_mill
from inspector.sources.simulator.surface import Textures

FRAME_MM = 64.0


def config_of(folder: Path, mill: str, cameras: str = "", strip: str = "") -> Path:
    path = folder / "line.toml"
    camera = '[cameras.top]\ntype = "simulator"\nheight = 64\nwidth = 64\ndistinct = 4\n'
    path.write_text(
        f'name = "m"\nengine = "e"\nrecipe = "r"\nlinks = "{folder}"\n{cameras or camera}[mill]\n{mill}\n{strip}'
    )
    return path


def camera(path: Path, name: str = "top") -> MillCamera:
    line = load_config(path).line
    return MillCamera(line, name, line.cameras[name], 1.0)  # type: ignore[arg-type]


def test_a_frame_is_triggered_at_each_frames_length_in_both_directions(tmp_path: Path) -> None:
    """1 m/s, a stop, and back: each frame once as the strip passes its first row; none while it stands."""
    source = camera(config_of(tmp_path, "profile = [[0, 1], [0.4, 1], [0.5, 0], [0.7, 0], [0.8, -1], [1.2, -1]]"))
    with source:
        found = []
        points = source._mill.profile
        mill = Mill(SpeedProfile(points), False, time.monotonic_ns() + 100_000_000)
        for trigger in source._triggers(mill):
            found.append(trigger)
            if time.monotonic_ns() - mill.began_ns > 1_250_000_000:
                break
    numbers = [each[0] for each in found if each is not None]
    assert numbers[:14] == [1, 2, 3, 4, 5, 6, 7, 7, 6, 5, 4, 3, 2, 1]
    for each in found:
        if each is not None:
            assert mill.position_mm(each[1]) == pytest.approx(each[0] * FRAME_MM, abs=0.1)
    assert None in found, "a standing strip is alive"


def test_no_picture_of_a_strip_that_turns_back_counts_as_repeated(tmp_path: Path) -> None:
    """1 m/s, a stop, and back: the camera sees the same steel twice, each time with its own noise."""
    profile = "profile = [[0, 1], [0.4, 1], [0.5, 0], [0.6, 0], [0.7, -1], [1.1, -1]]"
    top = '[cameras.top]\ntype = "simulator"\nheight = 64\nwidth = 400\nframes = 14\n'
    for distinct in ("", "distinct = 8\n"):
        with camera(config_of(tmp_path, profile, top + distinct)) as source:
            pictures = [each.pixels for each in source.captures() if each is not None and each.pixels is not None]
        check = PictureCheck({"max_equal_pictures": 1}, None)
        assert [check.check(each) for each in pictures] == [None] * 14
        (tmp_path / "mill-epoch").unlink()


def test_every_process_of_a_line_has_the_same_mill(tmp_path: Path) -> None:
    """It waits for the first camera; an epoch of before a restart of the PC does not count."""
    line = load_config(config_of(tmp_path, "profile = [[0, 1]]")).line
    assert line.mill is not None
    assert running_mill(line.mill, tmp_path) is None
    began_ns = begin(tmp_path)
    assert begin(tmp_path) == begun(tmp_path) == began_ns
    assert running_mill(line.mill, tmp_path) == mill_of(line.mill, began_ns)
    (tmp_path / "mill-epoch").write_text(str(time.monotonic_ns() + 10**12))
    assert begun(tmp_path) is None
    assert begin(tmp_path) <= time.monotonic_ns()


def test_a_profile_begins_again(tmp_path: Path) -> None:
    """The way adds up over the rounds."""
    mill = Mill(SpeedProfile(((0, 0), (1, 2), (2, 0))), True, 0)
    assert mill.position_mm(2_000_000_000) == pytest.approx(2000)
    assert mill.position_mm(5_000_000_000) == pytest.approx(5000)
    assert mill.speed_mm_s(5_000_000_000) == pytest.approx(2000)


def test_overlapping_cameras_see_one_strip(tmp_path: Path) -> None:
    """What both see is the same, pixel by pixel, also mirrored."""
    views = {
        "left": "width = 96",
        "right": "width = 96\nfirst_column = 64",
        "back": "width = 160\nmirrored = true",
    }
    cameras = "".join(
        f'[cameras.{name}]\ntype = "simulator"\nheight = 64\nstrip_width = 160\ndefective_share = 0.5\n{view}\n'
        for name, view in views.items()
    )
    path = config_of(tmp_path, "profile = [[0, 1]]\ncoil_m = 0.3", cameras)
    for number in (0, 3, 7):
        pixels = {}
        for name in views:
            with camera(path, name) as source:
                pixels[name] = source._pixels(number)
        assert np.array_equal(pixels["left"][:, 64:], pixels["right"][:, :32])
        assert np.array_equal(pixels["back"][:, ::-1][:, :96], pixels["left"])


def test_frames_can_be_taken_backwards() -> None:
    """In reverse travel the same steel comes again."""
    settings = StripSettings(3, 64, 128, defective_share=0.6, coil_frames=12)
    textures = Textures(settings)
    there, back = SimulatedCoil(settings, textures, 0), SimulatedCoil(settings, textures, 0)
    forward = [there.frame(index).pixels for index in range(12)]
    backward = [back.frame(index).pixels for index in reversed(range(12))]
    assert all(np.array_equal(one, other) for one, other in zip(forward, reversed(backward), strict=True))


def test_a_roll_turns_on_from_coil_to_coil() -> None:
    """Its marks lie a whole number of turns apart, over the border of two coils too."""
    period = 333.0
    settings = StripSettings(
        1, 64, 640, defective_share=0.0, coil_frames=30, roll_period_px=period, roll_missed_share=0.0
    )
    textures = Textures(settings)
    rows = []
    for number in range(3):
        coil = SimulatedCoil(settings, textures, number)
        rows += [number * 30 * 64 + mark.top for mark in coil._defects._marks if mark.rows == ROLL_MARK_PX]
    apart = [(later - rows[0]) / period for later in rows]
    assert len(rows) > 10
    assert all(abs(turns - round(turns)) < 0.01 for turns in apart)


@pytest.mark.parametrize(
    ("mill", "strip", "said"),
    [
        ("profile = [[1, 1]]", "", "its first point is at 0 s"),
        ("profile = [[0, 1], [0, 2]]", "", "the times rise"),
        ('marked_roll = "x"', "", "no roll 'x' in strip.rolls"),
        ("missed_share = 1.0", "", "missed_share"),
    ],
)
def test_what_a_mill_cannot_be(tmp_path: Path, mill: Any, strip: Any, said: Any) -> None:
    """One line each."""
    with pytest.raises(ConfigError, match=said):
        load_config(config_of(tmp_path, mill, strip=strip))


def test_the_simulated_encoder_needs_a_mill(tmp_path: Path) -> None:
    """A typo must not count positions silently."""
    path = tmp_path / "line.toml"
    path.write_text(
        'name = "m"\nengine = "e"\nrecipe = "r"\n[cameras.top]\ntype = "simulator"\n'
        '[strip]\nposition = { type = "mill" }\n'
    )
    with pytest.raises(ConfigError, match=r"\[mill\] table: there is none"):
        load_config(path)


def test_captures_carry_the_time_of_their_trigger(tmp_path: Path) -> None:
    """Not that of their drawing."""
    source = camera(config_of(tmp_path, "profile = [[0, 2]]"))
    with source:
        given = [each for each in islice(source.captures(), 40) if each is not None][:5]
    line = load_config(tmp_path / "line.toml").line
    assert line.mill is not None
    mill = running_mill(line.mill, tmp_path)
    assert mill is not None
    apart_ns = [b.captured_ns - a.captured_ns for a, b in pairwise(given)]  # type: ignore[operator]
    assert all(each == pytest.approx(32e6, abs=5e6) for each in apart_ns)
