"""`inspector recipe`: a recipe to start from, which the line takes as it is."""

from pathlib import Path

import pytest

from inspector.backends.instant import write_engine
from inspector.commands.recipe import recipe
from inspector.config.recipe import load_recipe
from inspector.errors import ConfigError, InputError


def test_it_fits_its_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rule for each class, whatever its name; the engine's own thresholds are in force."""
    folder = write_engine(tmp_path / "e", height=64, width=64, classes=("normal", "bright", "dark spot", 'a"b'))
    assert recipe(folder.path, tmp_path / "recipe.toml") == 0
    bound = load_recipe(tmp_path / "recipe.toml").bind(folder.classes)
    assert bound.rejects == (False, True, True, True)
    assert bound.score_thresholds.tolist() == [255, 128, 128, 128]
    capsys.readouterr()
    assert recipe(folder.path, None) == 0
    assert capsys.readouterr().out == (tmp_path / "recipe.toml").read_text()
    with pytest.raises(InputError, match=r"recipe.toml: cannot be made: File exists"):
        recipe(folder.path, tmp_path / "recipe.toml")


def test_all_faults_of_a_recipe_are_told_at_once(tmp_path: Path) -> None:
    """All faults are in one message."""
    folder = write_engine(tmp_path / "e", height=64, width=64, classes=("normal", "bright", "dark"))
    path = tmp_path / "recipe.toml"
    path.write_text('nmae = "x"\nmm_per_px_across = -1\nmm_per_px_along = "a"\n[classes.bright]\ntreshold = 2\n')
    with pytest.raises(ConfigError) as refused:
        load_recipe(path)
    said = str(refused.value)
    for each in (
        "nmae: unknown key: did you mean name?",
        "treshold: unknown key",
        "mm_per_px_across: ",
        "along: ",
    ):
        assert each in said
    assert "this key is required" not in said, "that is the misspelt one"
    assert "\n" not in said
    path.write_text('name = "x"\nmm_per_px_across = 1\nmm_per_px_along = 1\n[classes.rust]\n[classes.dust]\n')
    with pytest.raises(ConfigError) as refused:
        load_recipe(path).bind(folder.classes)
    for each in ("classes.rust", "classes.dust", "class bright", "class dark"):
        assert each in str(refused.value)
