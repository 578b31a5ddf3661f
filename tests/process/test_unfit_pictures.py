"""A folder of pictures that are not fit to be inspected, replayed on a real line."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.sources.simulator import StripSettings, strip
from tests.support.lines import LineUnderTest

DEMO_RECIPE = Path(__file__).parents[2] / "configs" / "demo" / "recipe.toml"
SIZE = (256, 1600)


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return next(iter(strip(StripSettings(seed=7, defective_share=0.1)))).pixels


def folder_of(folder: Path, pictures: dict[str, np.ndarray]) -> Path:
    """PNG files in the order given, numbered."""
    folder.mkdir()
    for index, (name, picture) in enumerate(pictures.items()):
        assert cv2.imwrite(str(folder / f"{index:02d}-{name}.png"), picture)
    return folder


def unfit(sound: np.ndarray) -> dict[str, np.ndarray]:
    """Named by the code that they must get."""
    upper = np.arange(len(sound))[:, None] < len(sound) // 2
    return {
        "picture_dark": np.zeros_like(sound),
        "picture_dark-3": np.full_like(sound, 3),
        "picture_bright": np.full_like(sound, 255),
        "picture_flat": np.full_like(sound, 100),
        "picture_dark-quarter-of-the-light": sound // 4,
        "picture_uneven": np.where(upper, sound, 0).astype(np.uint8),
        "picture_blurred": cv2.GaussianBlur(sound, (31, 31), 0),
        "picture_noisy": np.random.default_rng(0).integers(0, 256, sound.shape, dtype=np.uint8),
        "sound": sound,
        "picture_frozen": sound,
        "picture_frozen-again": sound,
    }


def test_the_demo_recipe_refuses_unfit_pictures_from_the_first_on(tmp_path: Path, sound: np.ndarray) -> None:
    """Each is uninspected with its code, the sound one among them is inspected."""
    line = LineUnderTest(tmp_path, SIZE)
    rules = DEMO_RECIPE.read_text()
    with (tmp_path / "recipe.toml").open("a") as recipe:
        recipe.write(rules[rules.index("[picture]") :])
    run = line.replay(folder_of(tmp_path / "pictures", unfit(sound)))
    assert run.code == 0, run.stderr
    for verdict in run.verdicts:
        expected = verdict["file"].removesuffix(".png")[3:]
        if expected == "sound":
            assert verdict["decision"] != "uninspected"
        else:
            assert verdict["decision"] == "uninspected"
            assert expected.startswith(verdict["codes"][0])
            assert verdict["reasons"][0].startswith("picture ")
    positions = [verdict["position_mm"] for verdict in run.verdicts]
    assert positions == [index * SIZE[0] * 0.5 for index in range(len(positions))], "unfit frames keep their place"


def test_a_recipe_may_inspect_every_picture(tmp_path: Path) -> None:
    """`picture.checks = false` takes black pictures, too; without it they are uninspected."""
    line = LineUnderTest(tmp_path)
    folder = folder_of(tmp_path / "pictures", {"black": np.zeros(line.size, np.uint8)})
    assert line.replay(folder, out=tmp_path / "checked").decisions == ["uninspected"]
    with (tmp_path / "recipe.toml").open("a") as recipe:
        recipe.write("[picture]\nchecks = false\n")
    assert line.replay(folder, out=tmp_path / "unchecked").decisions == ["accept"]


def test_two_replays_learn_the_same_limits(tmp_path: Path) -> None:
    """Without limits in the recipe a line learns them from its first frames; two replays refuse the same."""
    line = LineUnderTest(tmp_path)
    frames = strip(StripSettings(seed=5, height=line.size[0], width=line.size[1], coil_frames=200))
    sound = [next(frames).pixels for _ in range(80)]
    pictures = {f"{index}": picture for index, picture in enumerate(sound)}
    pictures |= {"blurred": cv2.GaussianBlur(sound[-1], (0, 0), 4), "frozen": sound[0], "frozen-again": sound[0]}  # type: ignore[dict-item]
    folder = folder_of(tmp_path / "pictures", pictures)
    runs = [line.replay(folder, out=tmp_path / name) for name in ("first", "second")]
    assert [verdict["codes"] for verdict in runs[0].verdicts] == [verdict["codes"] for verdict in runs[1].verdicts]
    codes = {verdict["file"]: verdict["codes"] for verdict in runs[0].verdicts}
    unfit = {name: code for name, code in codes.items() if code and code[0].startswith("picture_")}
    assert unfit == {"80-blurred.png": ["picture_blurred"], "82-frozen-again.png": ["picture_frozen"]}
