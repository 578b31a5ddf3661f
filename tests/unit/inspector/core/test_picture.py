"""Pictures that are not fit to be inspected: made from simulated steel and, where they are there, real frames."""

from collections.abc import Callable
from functools import cache
from itertools import islice

import cv2
import numpy as np
import pytest

from inspector.core.picture import LEARN_FRAMES, PARTS, Limits, PictureCheck, measure
from inspector.sources.simulator import StripSettings, strip
from inspector.values import Code
from tests.support import steel

Change = Callable[[np.ndarray], np.ndarray]


def part_lit(rows: slice, columns: slice, light: float) -> Change:
    """The light in one part of the picture falls to `light`."""

    def change(picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape
        factor = np.ones_like(picture, np.float32)
        factor[
            slice(*(None if at is None else int(at * height) for at in (rows.start, rows.stop))),
            slice(*(None if at is None else int(at * width) for at in (columns.start, columns.stop))),
        ] = light
        return with_noise(picture * factor, 1)

    return change


def with_noise(picture: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(int(picture.sum())).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).round().astype(np.uint8)


def overexposed(picture: np.ndarray) -> np.ndarray:
    """Twice the exposure at which half of the strip is saturated."""
    return np.clip(picture * (500.0 / np.median(picture[picture > 16])), 0, 255).astype(np.uint8)


LAMP_OUT: dict[str, Change] = {
    "black": np.zeros_like,
    "1 % of the light, noise of the camera": lambda picture: with_noise(picture * 0.01, 1),
    "dark grey": lambda picture: np.full_like(picture, 3),
}
HALF_DARK: dict[str, Change] = {
    "lower half at 5 %": part_lit(slice(0.5, None), slice(None), 0.05),
    "upper half black": part_lit(slice(None, 0.5), slice(None), 0.0),
}
DEFOCUSED: dict[str, Change] = {
    "3 px": lambda picture: cv2.GaussianBlur(picture, (0, 0), 3),
    "5 px": lambda picture: cv2.GaussianBlur(picture, (31, 31), 0),
    "9 px": lambda picture: cv2.GaussianBlur(picture, (0, 0), 9),
}
SATURATED: dict[str, Change] = {
    "white": lambda picture: np.full_like(picture, 255),
    "exposure": overexposed,
}
WITHOUT_CONTRAST: dict[str, Change] = {
    "grey": lambda picture: np.full_like(picture, 100),
    "grey with noise": lambda picture: with_noise(np.full_like(picture, 100), 0.5),
}
NOISE: dict[str, Change] = {
    "noise alone": lambda picture: np.random.default_rng(0).integers(0, 256, picture.shape, dtype=np.uint8)
}
FAULTS: dict[Code, dict[str, Change]] = {
    Code.PICTURE_DARK: LAMP_OUT,
    Code.PICTURE_UNEVEN: HALF_DARK,
    Code.PICTURE_BLURRED: DEFOCUSED,
    Code.PICTURE_BRIGHT: SATURATED,
    Code.PICTURE_FLAT: WITHOUT_CONTRAST,
    Code.PICTURE_NOISY: NOISE,
}
EACH_FAULT = [
    pytest.param(code, change, id=f"{code.value}: {name}")
    for code, changes in FAULTS.items()
    for name, change in changes.items()
]


@cache
def simulated() -> tuple[np.ndarray, ...]:
    """Frames full of strip, each another."""
    frames = strip(StripSettings(seed=5, height=128, width=800, defective_share=0.3, coil_frames=200))
    return tuple(frame.pixels for frame in islice(frames, 1, LEARN_FRAMES + 17))


def taught(pictures: "tuple[np.ndarray, ...] | list[np.ndarray]", **given: float) -> PictureCheck:
    check = PictureCheck(given)
    assert [check.check(picture) for picture in pictures[:LEARN_FRAMES]] == [None] * LEARN_FRAMES
    assert check.learned
    return check


@pytest.mark.parametrize(("code", "change"), EACH_FAULT)
def test_a_line_that_has_learned_refuses_each_fault(code: Code, change: Change) -> None:
    """Each kind of unfit picture has its code; sound ones after it pass."""
    check = taught(simulated())
    for picture in simulated()[LEARN_FRAMES:]:
        fault = check.check(change(picture))
        assert fault is not None
        assert fault.code is code
        assert not any(character.isdigit() for character in fault.text), "reasons are counted by text"
        assert check.check(picture) is None


@pytest.mark.parametrize("change", [*LAMP_OUT.values(), SATURATED["white"]])
def test_a_picture_that_shows_nothing_is_refused_before_anything_is_learned(change: Change) -> None:
    """Black and white pictures are unfit from the first on, and teach nothing."""
    check = PictureCheck({})
    for picture in simulated():
        fault = check.check(change(picture))
        assert fault is not None
        assert fault.code in (Code.PICTURE_DARK, Code.PICTURE_BRIGHT)
    assert not check.learned
    assert check.limits == Limits()


def test_a_picture_equal_to_the_one_before_is_a_frozen_camera() -> None:
    """The first shows the strip and passes, its first copy is refused already."""
    check = taught(simulated())
    first, second = simulated()[LEARN_FRAMES : LEARN_FRAMES + 2]
    assert check.check(first) is None
    for _ in range(3):
        fault = check.check(first.copy())
        assert fault is not None
        assert fault.code is Code.PICTURE_FROZEN
    assert check.check(second) is None


@pytest.mark.parametrize("where", ["one pixel", "in each sampled row", "between sampled rows"])
def test_a_flickering_pixel_hides_no_frozen_camera(where: str) -> None:
    """A few pixels change; all else is the same to the last bit."""
    check = taught(simulated())
    picture = simulated()[LEARN_FRAMES]
    assert check.check(picture) is None
    step = picture.shape[0] // PARTS
    for index in range(1, 9):
        other = picture.copy()
        if where == "one pixel":
            other[index, 3] ^= 1
        elif where == "in each sampled row":
            other[step // 2 :: step, 100] = 255 * (index % 2)
        else:
            other[9:19, 700:760] = 255 * (index % 2)
        fault = check.check(other)
        assert fault is not None
        assert fault.code is Code.PICTURE_FROZEN


def test_pictures_that_share_most_of_their_rows_are_not_frozen() -> None:
    """The strip moved by a part of a row of samples, or only a part of the picture changed."""
    check = taught(simulated())
    picture = simulated()[LEARN_FRAMES]
    assert check.check(picture) is None
    rows = picture.copy()
    rows[1:4] = simulated()[LEARN_FRAMES + 1][1:4]
    assert check.check(rows) is None
    assert check.check(np.roll(picture, 1, axis=0)) is None


@pytest.mark.parametrize("rows", [(48, 80), (32, 60), (66, 97)])
@pytest.mark.parametrize("light", [0.0, 0.02])
def test_a_dark_band_between_bright_rows_is_a_lamp(rows: tuple[int, int], light: float) -> None:
    """Two of eight sampled rows: no end of the strip looks like that."""
    check = taught(simulated())
    picture = simulated()[LEARN_FRAMES].copy()
    picture[slice(*rows)] = (picture[slice(*rows)] * light).astype(np.uint8)
    fault = check.check(picture)
    assert fault is not None
    assert fault.code is Code.PICTURE_UNEVEN


@pytest.mark.parametrize("rows", [(0, 24), (104, 128)])
def test_the_end_of_a_strip_is_no_lamp(rows: tuple[int, int]) -> None:
    """Up to two of eight rows at the picture's end show background."""
    check = taught(simulated())
    picture = simulated()[LEARN_FRAMES].copy()
    picture[slice(*rows)] = 0
    assert check.check(picture) is None


def test_a_recipe_may_let_pictures_repeat() -> None:
    """With three allowed in a row, the fourth is refused."""
    check = PictureCheck({"max_equal_pictures": 3}, 0)
    picture = simulated()[0]
    codes = [fault and fault.code for fault in (check.check(picture) for _ in range(5))]
    assert codes == [None, None, None, Code.PICTURE_FROZEN, Code.PICTURE_FROZEN]


@pytest.mark.parametrize("grey", [40, 100, 249])
def test_a_line_of_constant_pictures_learns_to_take_them(grey: int) -> None:
    """Flat and repeated pictures, as a test line shows them, switch off what they would break."""
    check = PictureCheck({})
    flat = np.full((64, 128), grey, np.uint8)
    marked = flat.copy()
    marked[20:40, 30:60] = 255
    for index in range(3 * LEARN_FRAMES):
        assert check.check((marked if index % 5 == 0 else flat).copy()) is None
    black = check.check(np.zeros_like(flat))
    assert black is not None
    assert black.code is Code.PICTURE_DARK


def test_a_line_that_sees_the_strips_end_takes_it_later() -> None:
    """What a line has seen among its first pictures is sound: half a picture of strip."""
    pictures = list(simulated())
    end = part_lit(slice(0.5, None), slice(None), 0.0)
    pictures[3] = end(pictures[3])
    check = taught(pictures)
    assert check.check(end(pictures[LEARN_FRAMES])) is None


def test_background_that_the_recipe_names_is_no_dark_lamp() -> None:
    """Rows as dark as the named background are past the strip's end; darker and brighter ones are not."""
    check = PictureCheck({"min_background_grey": 1.5, "max_background_grey": 2.5, "min_evenness_along": 0.4}, 0)
    for grey, code in ((2, None), (0, Code.PICTURE_UNEVEN), (8, Code.PICTURE_UNEVEN)):
        picture = simulated()[0].copy()
        picture[64:] = grey
        fault = check.check(picture)
        assert (fault and fault.code) == code


def test_limits_depend_on_the_pictures_alone() -> None:
    """Two replays of the same pictures learn the same; limits given stay as given."""
    first, second = taught(simulated()), taught([picture.copy() for picture in simulated()])
    assert first.limits == second.limits != Limits()
    given = taught(simulated(), min_light_grey=11.0)
    assert given.limits.min_light_grey == 11.0
    assert given.limits.min_contrast == first.limits.min_contrast


def test_without_learning_only_what_is_given_holds() -> None:
    """A recipe that learns nothing takes a blurred picture, unless it sets a limit."""
    blurred = DEFOCUSED["5 px"](simulated()[0])
    assert PictureCheck({}, 0).check(blurred) is None
    fault = PictureCheck({"min_sharpness": 0.2}, 0).check(blurred)
    assert fault is not None
    assert fault.code is Code.PICTURE_BLURRED


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3), (7, 7), (13, 17), (33, 1601)])
def test_pictures_of_any_size_can_be_measured(shape: tuple[int, int]) -> None:
    """A frame of another size is refused elsewhere, not by an error here."""
    check = PictureCheck({}, 2)
    for grey in (0, 100, 255):
        for _ in range(3):
            check.check(np.full(shape, grey, np.uint8))
    measures, _ = measure(np.full(shape, 90, np.uint8), Limits())
    assert measures.light_grey == measures.strip_grey == pytest.approx(90)
    assert measures.evenness_along == measures.evenness_across == 1


def test_measures_leave_out_the_background_beside_the_strip() -> None:
    """A narrow strip has the same contrast and grain as a wide one."""
    wide = simulated()[0]
    narrow = wide.copy()
    narrow[:, :300] = narrow[:, 500:] = 1
    full, part = (measure(picture, Limits())[0] for picture in (wide, narrow))
    assert part.strip_grey == pytest.approx(full.strip_grey, rel=0.2)
    assert part.grain == pytest.approx(full.grain, rel=0.3)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_noise_does_not_hide_that_a_picture_is_blurred(sigma: float) -> None:
    """It makes grain where the steel's own is gone, and the same contrast at each distance."""
    check = taught(simulated())
    for picture in simulated()[LEARN_FRAMES:]:
        fault = check.check(with_noise(cv2.GaussianBlur(picture, (0, 0), 5), sigma))
        assert fault is not None
        assert fault.code is Code.PICTURE_BLURRED


def test_steel_that_shows_little_but_noise_is_not_called_blurred() -> None:
    """There its detail says nothing."""
    steel_grey = np.full((64, 512), 90.0)
    check = taught([with_noise(steel_grey, 8) for _ in range(LEARN_FRAMES)])
    for _ in range(4 * LEARN_FRAMES):
        assert check.check(with_noise(steel_grey, 8)) is None


REAL = [
    name
    for name, folder in (("severstal", "severstal/train_images"), ("neu_seg", "neu_seg/images"))
    if steel.real(folder)
]


@cache
def real_steel(name: str) -> list[np.ndarray]:
    """Real frames of many coils: no two need be of one line, which is harder than any line."""
    folders = ("severstal/train_images", "severstal/test_images") if name == "severstal" else ("neu_seg/images",)
    pictures = [picture for folder in folders for picture in steel.read(steel.SHARED / folder)]
    return pictures[:2200]


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("order", ["as listed", "shuffled"])
def test_real_steel_gives_no_false_alarm(name: str, order: str) -> None:
    """Limits learned from the first 64 frames take all the others."""
    pictures = real_steel(name)
    if order == "shuffled":
        pictures = [pictures[index] for index in np.random.default_rng(1).permutation(len(pictures))]
    check = taught(pictures)
    assert [fault for fault in map(check.check, pictures[LEARN_FRAMES:]) if fault is not None] == []


@pytest.mark.shared
@pytest.mark.skipif("severstal" not in REAL, reason="needs the real frames")
@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_noise_hides_no_blur_of_real_steel(sigma: float) -> None:
    """Mixed coils, some with less grain than the noise makes: it hides a picture or two of over a hundred."""
    pictures = real_steel("severstal")
    check = taught(pictures)
    blurred = [with_noise(cv2.GaussianBlur(picture, (0, 0), 4), sigma) for picture in pictures[LEARN_FRAMES:]]
    assert sum(check.check(picture) is None for picture in blurred) <= len(blurred) // 50


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("kind", [LAMP_OUT, HALF_DARK, DEFOCUSED, SATURATED, WITHOUT_CONTRAST, NOISE])
def test_no_fault_made_from_real_steel_passes(name: str, kind: dict[str, Change]) -> None:
    """Lamp out, half dark, out of focus, saturated, flat, noise and frozen: none passes."""
    pictures = real_steel(name)
    check = taught(pictures)
    for picture in pictures[LEARN_FRAMES :: max(1, len(pictures) // 60)]:
        for fault, change in kind.items():
            assert check.check(change(picture)) is not None, fault
        assert check.check(picture) is None
        frozen = check.check(picture.copy())
        assert frozen is not None
        assert frozen.code is Code.PICTURE_FROZEN
