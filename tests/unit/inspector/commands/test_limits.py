"""What `inspector status` and `inspector check` say about the limits of fit pictures."""

import json
from pathlib import Path

import numpy as np
import pytest

from inspector.commands.limits import learned_limits, limits_text
from inspector.config.recipe import LoadedRecipe, load_recipe
from inspector.ingest.learned import LearnedLimits

HEAD = 'name = "t"\nmm_per_px_across = 1\nmm_per_px_along = 1\n[classes.bright]\n[picture]\n'


def recipe(folder: Path, picture: str = "") -> LoadedRecipe:
    (folder / "recipe.toml").write_text(HEAD + picture)
    return load_recipe(folder / "recipe.toml")


def learn(links: Path, camera: str, of: LoadedRecipe) -> None:
    """Learn from 64 sound frames, as ingest does."""
    check = of.recipe.picture.start()
    assert check is not None
    random = np.random.default_rng(1)
    store = LearnedLimits(links, camera, of.identity)
    while not check.learned:
        assert check.check(random.integers(90, 160, (64, 128), dtype=np.uint8)) is None
        store.store(check)
    store.store(check)


def test_learned_and_set_limits_are_told_apart(tmp_path: Path) -> None:
    """Each camera shows its own limits; one without limits says from what it will learn them."""
    rules = recipe(tmp_path, "min_light_grey = 40\n")
    learn(tmp_path, "top", rules)
    found = learned_limits(tmp_path, ["top", "bottom"], rules.identity)
    assert found["bottom"] is None
    assert found["top"] is not None
    assert found["top"]["min_light_grey"] == 40
    text = limits_text(found["top"], rules)
    assert text.startswith("learned: max_strip_grey ")
    assert text.endswith("; set by the recipe: min_light_grey 40")
    assert "inf" not in text
    waits = (
        "not learned yet: a live line learns from its first 64 sound frames; set by the recipe: min_light_grey 40"
    )
    assert limits_text(None, rules) == waits
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        ("checks = false\n", "not checked: the recipe sets checks = false"),
        ("learn_frames = 0\n", "none learned or set"),
        ("learn_frames = 0\nmax_grain = 0.2\n", "set by the recipe: max_grain 0.2"),
    ],
)
def test_a_recipe_that_learns_none(tmp_path: Path, picture: str, said: str) -> None:
    """It says what the recipe sets, or that nothing is checked."""
    assert limits_text(None, recipe(tmp_path, picture)) == said


def test_limits_of_another_recipe_do_not_count(tmp_path: Path) -> None:
    """They were learned from another product. A folder of another user is not read."""
    learn(tmp_path, "top", recipe(tmp_path))
    other = recipe(tmp_path, "max_grain = 0.2\n")
    assert learned_limits(tmp_path, ["top"], other.identity) == {"top": None}
    assert learned_limits(tmp_path / "none", ["top"], other.identity) == {"top": None}
