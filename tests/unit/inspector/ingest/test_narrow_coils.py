"""A camera that sees no steel of a narrow coil: its dark pictures are no fault."""

import time
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from inspector.config.line import load_config
from inspector.config.recipe import LoadedRecipe, load_recipe
from inspector.config.strip import CameraPlace
from inspector.core.picture import PictureCheck
from inspector.core.strip.edges import EdgeFinder
from inspector.core.strip.odometer import Sample, Speeds
from inspector.ingest.on_strip import OnStrip, open_on_strip
from inspector.ingest.process import Announcer
from inspector.runtime.notify import Notifier, Pulse
from inspector.runtime.stop import StopRequest
from inspector.values import Announcement, Capture, Code, Pixels
from inspector.wire.strip_files import CoilPlace, StripReader, TrackWriter

RECIPE = 'name = "r"\nmm_per_px_across = 0.5\nmm_per_px_along = 0.5\n[classes.pits]\n'
PLACE, MIDDLE_MM = CameraPlace(offset_across_mm=750.0), 375.0
"""The camera sees 750 to 1,150 mm with pictures of 800 px; the line's middle."""


def picture(grey: float) -> Pixels:
    """A picture of this mean grey, with noise."""
    noise = np.random.default_rng(7).normal(grey, 1 + grey / 10, (256, 800))
    return np.clip(noise, 0, 255).astype(np.uint8)


@pytest.fixture
def recipe(tmp_path: Path) -> LoadedRecipe:
    """One class."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return load_recipe(tmp_path / "recipe.toml")


def announced(
    folder: Path,
    recipe: LoadedRecipe,
    coils: list[CoilPlace],
    pixels: Pixels,
    edges: EdgeFinder | None = None,
    middle_mm: float | None = MIDDLE_MM,
    place: CameraPlace = PLACE,
) -> Announcement:
    """What ingest says of one picture while these coils are on the line."""
    track = TrackWriter(folder)
    track.add(Sample(time.monotonic_ns(), 0.0, 1000.0, 1), None)
    track.coils(coils)
    strip = OnStrip(StripReader(folder, Speeds()), edges, partial(place.span, 0.5), middle_mm)
    announcer = Announcer(
        "right", cast("Any", None), cast("StopRequest", None), recipe, 256, None, Pulse(Notifier(), "frames"),
        picture=PictureCheck({}), strip=strip,
    )  # fmt: skip
    announcer.take(Capture(pixels))
    track.close()
    [message] = announcer._untold
    assert isinstance(message, Announcement)
    return message


@pytest.mark.parametrize(
    ("widths", "grey", "fault"),
    [
        ([700.0], 4.0, None),
        ([740.0], 4.0, Code.PICTURE_DARK),  # with 20 mm to spare it may reach the camera
        ([1200.0], 4.0, Code.PICTURE_DARK),
        ([None], 4.0, Code.PICTURE_DARK),
        ([], 4.0, Code.PICTURE_DARK),
        ([700.0, 1200.0], 4.0, Code.PICTURE_DARK),  # a wide coil begins in this frame
        ([700.0, 600.0], 4.0, None),
        ([700.0], 600.0, Code.PICTURE_BRIGHT),
    ],
)
def test_a_dark_picture_is_a_fault_where_steel_may_be(
    tmp_path: Path, recipe: LoadedRecipe, widths: list[float | None], grey: float, fault: Code | None
) -> None:
    """Only the stated widths of all coils in the frame excuse it, and they excuse darkness alone."""
    coils = [
        CoilPlace(f"C-{n}", -1000.0 + 1050.0 * n, None if n + 1 == len(widths) else 50.0, recipe.identity, width)
        for n, width in enumerate(widths)
    ]
    found = announced(tmp_path, recipe, coils, picture(grey))
    assert (None if found.fault is None else found.fault.code) == fault
    assert found.strip is not None
    narrow = bool(widths) and all(width is not None and width < 730 for width in widths)
    assert (found.strip.no_steel is True) == narrow


@pytest.mark.parametrize(
    ("unlit", "width", "fault"),
    [
        (0, 360.0, None),
        (60, 360.0, None),  # 30 mm: the strip wanders
        (200, 360.0, Code.PICTURE_UNEVEN),
        (200, None, None),  # without a stated width nobody can say
        (200, 180.0, None),
        (-200, 360.0, Code.PICTURE_UNEVEN),
    ],
)
def test_steel_without_light_is_no_background(
    tmp_path: Path, recipe: LoadedRecipe, unlit: int, width: float | None, fault: Code | None
) -> None:
    """Steel of 360 mm with its edges in view; from the left (or right) 200 columns, 100 mm, lose their light."""
    pixels = picture(120.0)
    dark = picture(4.0)
    pixels[:, :40], pixels[:, -40:] = dark[:, :40], dark[:, -40:]
    if unlit > 0:
        pixels[:, : 40 + unlit] = dark[:, : 40 + unlit]
    elif unlit < 0:
        pixels[:, unlit - 40 :] = dark[:, unlit - 40 :]
    coil = CoilPlace("C-1", -1000.0, None, recipe.identity, width)
    found = announced(tmp_path, recipe, [coil], pixels, EdgeFinder(0.5, PLACE.offset_across_mm), 950.0)
    assert (None if found.fault is None else found.fault.code) == fault
    if fault is not None:
        assert "100 mm inside the coil's stated width: unlit steel" in str(found.fault)


@pytest.mark.parametrize(
    ("place", "columns", "middle_mm", "fault"),
    [
        (CameraPlace(offset_across_mm=1150.0, mirrored=True), 800, MIDDLE_MM, None),
        (CameraPlace(offset_across_mm=1150.0, mirrored=True), 1600, MIDDLE_MM, Code.PICTURE_DARK),
        (CameraPlace(offset_across_mm=-800.0), 800, MIDDLE_MM, None),
        (CameraPlace(offset_across_mm=-800.0), 2400, MIDDLE_MM, Code.PICTURE_DARK),
        (PLACE, 800, None, Code.PICTURE_DARK),
    ],
)
def test_a_picture_wider_than_the_engines_reaches_the_steel(
    tmp_path: Path,
    recipe: LoadedRecipe,
    place: CameraPlace,
    columns: int,
    middle_mm: float | None,
    fault: Code | None,
) -> None:
    """What a camera sees follows from its own pictures. Without the strip's middle, no width says anything."""
    coil = CoilPlace("C-1", -1000.0, None, recipe.identity, 700.0)
    pixels = np.ascontiguousarray(np.tile(picture(4.0), (1, 3))[:, :columns])
    found = announced(tmp_path, recipe, [coil], pixels, None, middle_mm, place)
    assert (None if found.fault is None else found.fault.code) == fault


@pytest.mark.parametrize("width", [None, 360.0])
@pytest.mark.parametrize("camera", ["left", "middle", "right", "below"])
def test_what_is_dark_beside_another_camera_is_no_background(
    tmp_path: Path, recipe: LoadedRecipe, camera: str, width: float | None
) -> None:
    """Three cameras in a row and one below; without a stated width, only the outer sides have an edge."""
    cameras = "".join(
        f'[cameras.{name}]\ntype = "simulator"\n[strip.cameras.{name}]\noffset_across_mm = {offset}\n'
        f'edges = "dark"\nside = "{side}"\n'
        for name, offset, side in (
            ("left", 0, "top"),
            ("middle", 390, "top"),
            ("right", 780, "top"),
            ("below", 390, "bottom"),
        )
    )
    (tmp_path / "line.toml").write_text(
        f'name = "m"\nengine = "e"\nrecipe = "r"\nlinks = "{tmp_path}"\n{cameras}'
        '[strip]\ncentre_across_mm = 590\nposition = { type = "mill" }\n[mill]\nprofile = [[0, 1]]\n'
    )
    track = TrackWriter(tmp_path)
    track.add(Sample(time.monotonic_ns(), 0.0, 1000.0, 1), None)
    track.coils([CoilPlace("C-1", -1000.0, None, recipe.identity, width)])
    strip = open_on_strip(load_config(tmp_path / "line.toml"), camera, 0.5, 800)
    assert strip is not None
    pixels = picture(120.0)
    pixels[:, :60] = pixels[:, -60:] = 4
    mark = strip.place(Capture(pixels), time.monotonic_ns(), 128.0, 0.0).mark
    track.close()
    found = [edge is not msgspec.UNSET for edge in (mark.left_mm, mark.right_mm)]
    outer = {"left": [True, False], "middle": [False, False], "right": [False, True], "below": [True, True]}
    assert found == ([True, True] if width else outer[camera])
