"""Config and recipe: a wrong key or value is one clear line."""

import re
from pathlib import Path
from typing import Any

import pytest

from inspector.backends.instant import write_engine
from inspector.config.line import BatchSettings, load_config
from inspector.config.recipe import load_recipe
from inspector.config.sinks import GateSettings
from inspector.config.sources import SimulatorSettings
from inspector.core.picture import Limits
from inspector.errors import ConfigError

LINE = """
name = "test"
engine = "engine"
recipe = "recipe.toml"
[cameras.top]
type = "simulator"
seed = 3
"""

RECIPE = """
name = "plain"
mm_per_px_across = 0.5
mm_per_px_along = 0.5
[classes.bright]
"""


@pytest.fixture
def line(tmp_path: Path) -> Path:
    path = tmp_path / "line.toml"
    path.write_text(LINE)
    return path


def test_paths_start_at_the_configs_folder(line: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config can be used from any folder."""
    monkeypatch.chdir("/")
    config = load_config(line)
    assert config.line.engine == line.parent / "engine"
    assert config.line.cameras["top"] == SimulatorSettings(type="simulator", seed=3)
    assert config.identity.startswith("test@")


def test_environment_overrides_the_file(line: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """INSPECTOR_… overrides the file; nested keys have two underscores."""
    monkeypatch.setenv("INSPECTOR_BATCH__MAX_FRAMES", "3")
    monkeypatch.setenv("INSPECTOR_NAME", "other")
    monkeypatch.setenv("INSPECTOR_GATE__HOST", "10.0.0.9")
    config = load_config(line)
    assert config.line.gate == GateSettings(host="10.0.0.9")
    assert (config.line.batch.max_frames, config.line.name) == (3, "other")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("INSPECTOR_DEADLIN_MS", "300", "DEADLIN_MS: not a key of a line: did you mean INSPECTOR_DEADLINE_MS?"),
        ("INSPECTOR_BACH__MAX_FRAMES", "3", "did you mean INSPECTOR_BATCH__MAX_FRAMES?"),
        ("INSPECTOR_XYZZY", "3", "INSPECTOR_XYZZY: not a key of a line"),
        ("INSPECTOR_BATCH__MAX_FRAME", "3", "batch.max_frame: unknown key: did you mean max_frames?"),
        ("INSPECTOR_DEADLINE_MS", "soon", "environment: INSPECTOR_DEADLINE_MS: deadline_ms: "),
        ("inspector_batch__max_frames", "0", "environment: inspector_batch__max_frames: batch.max_frames: "),
        ("INSPECTOR_CAMERAS", "oops", "cameras"),
    ],
)
def test_a_wrong_variable_is_one_clear_line(
    line: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    """The message names the variable, not the file."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as refused:
        load_config(line)
    assert said in str(refused.value)
    assert str(refused.value).startswith("environment: ")
    assert "\n" not in str(refused.value)


def test_variables_that_are_not_the_lines_are_left_alone(line: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log level, and variables of the project's tests."""
    monkeypatch.setenv("INSPECTOR_LOG_LEVEL", "debug")
    monkeypatch.setenv("INSPECTOR_TEST_SEED", "3")
    load_config(line)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "test"', 'nmae = "test"\nname = "x"', "nmae: unknown key: did you mean name? allowed: "),
        (
            "seed = 3",
            "sed = 3",
            "cameras.top.sed: unknown key: did you mean seed? allowed: coil_frames,",
        ),
        ("seed = 3", 'seed = "three"', "cameras.top.seed: Input should be a valid integer"),
        (
            'type = "simulator"',
            'type = "simulater"',
            "cameras.top: Input tag 'simulater' found using 'type' does not",
        ),
        ("[cameras.top]", '["cameras"."to/p"]', "camera 'to/p': use letters, digits, - and _"),
        ('engine = "engine"', "", "engine: this key is required"),
        ("name", "name = = 1\nname", "not valid TOML"),
        ("[cameras", "[gate]\nport = 502\n[cameras", "gate.host: this key is required"),
        ("[cameras", '[gate]\nhost = "plc"\ntimeout_ms = 5000\n[cameras', "gate.timeout_ms: Input should be less"),
        ("[cameras", "[health]\nport = 0\n[cameras", "health.port: Input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_key_or_value_is_one_clear_line(line: Path, old: str, new: str, said: str) -> None:
    """File, key, and what is allowed."""
    line.write_text(LINE.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_config(line)
    message = str(caught.value)
    assert message.startswith(f"{line}: ")
    assert said in message
    assert "\n" not in message.rstrip()


def test_a_missing_config_says_so(tmp_path: Path) -> None:
    """The path and the reason."""
    with pytest.raises(ConfigError, match=r"none.toml: cannot be read: No such file"):
        load_config(tmp_path / "none.toml")


def recipe_over(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    folder = write_engine(tmp_path / "engine", height=64, width=64, classes=("normal", "bright", "dark"))
    return load_recipe(path).bind(folder.classes)


def test_recipe_takes_the_engines_threshold_where_it_names_none(tmp_path: Path) -> None:
    """Thresholds chosen on validation are the default."""
    bound = recipe_over(tmp_path, RECIPE + "threshold = 0.25\n[classes.dark]\naction = 'record'\n")
    assert bound.score_thresholds.tolist() == [255, 64, 128]
    assert bound.lowest_step == 64
    assert bound.rejects == (False, True, False)


def test_a_recipe_that_asks_for_a_frame_score_needs_an_engine_that_has_one(tmp_path: Path) -> None:
    """Older engines still work with a recipe without a frame score."""
    with pytest.raises(ConfigError, match=r"frame_score: the engine instant@\w+ does not score frames"):
        recipe_over(tmp_path, "frame_score = 0.4\n" + RECIPE + "[classes.dark]\n")
    scoring = write_engine(
        tmp_path / "scoring", height=64, width=64, classes=("normal", "bright", "dark"), frame_threshold=0.3
    )
    asking = load_recipe(tmp_path / "recipe.toml").bind(scoring.classes)
    assert asking.frame_step == 1 + round(0.4 * 254)
    (tmp_path / "recipe.toml").write_text(RECIPE + "[classes.dark]\n")
    assert load_recipe(tmp_path / "recipe.toml").bind(scoring.classes).frame_step is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            RECIPE + "[classes.dark]\n[classes.rust]\n",
            r"classes.rust: the engine instant@\w+ has no such class; it has",
        ),
        (RECIPE, r"no rule for the engine's class dark: add \[classes.dark\]"),
        (
            RECIPE + "action = 'ignore'\n",
            "classes.bright.action: Input should be 'reject' or 'record', got 'ignore'",
        ),
        (
            RECIPE.replace("0.5", "0", 1),
            "mm_per_px_across: Input should be greater than or equal to 0.0001, got 0",
        ),
        (RECIPE + "min_area_mm2 = inf\n", "classes.bright.min_area_mm2: Input should be a finite number"),
        (RECIPE.replace("0.5", "inf", 1), "mm_per_px_across: Input should be a finite number"),
        (RECIPE.replace("0.5", "1e308", 1), "mm_per_px_across: Input should be less than or equal to 1000"),
        (RECIPE + "treshold = 0.5\n", r"classes.bright.treshold: unknown key: did you mean threshold\? allowed"),
        (RECIPE + "[picture]\nmin_light = 20\n", r"picture.min_light: unknown key: did you mean min_light_grey\?"),
        (
            RECIPE + "[picture]\nmax_strip_grey = 300\n",
            "picture.max_strip_grey: Input should be less than or equal",
        ),
        (
            RECIPE + "[picture]\nmax_clipped_share = -1\n",
            "picture.max_clipped_share: Input should be greater than",
        ),
        (
            RECIPE + "[picture]\nmax_equal_pictures = 0\n",
            "picture.max_equal_pictures: Input should be greater than",
        ),
        (RECIPE + "[picture]\nbackground_grey = [9, 2]\n", "picture: background_grey: the first grey must not be"),
        (
            RECIPE + "[picture]\nmin_grain = 0.5\nmax_grain = 0.1\n",
            "picture: min_grain must not be above max_grain",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    """A class the engine lacks, a class without a rule, a wrong value."""
    with pytest.raises(ConfigError, match=said):
        recipe_over(tmp_path, text)


def test_a_recipe_sets_limits_of_pictures_or_leaves_them_to_be_learned(tmp_path: Path) -> None:
    """What `[picture]` sets holds from the first frame; `checks = false` switches everything off."""
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE + "[picture]\nmin_light_grey = 20\nbackground_grey = [0, 3]\nlearn_frames = 5\n")
    check = load_recipe(path).recipe.picture.start()
    assert check is not None
    assert check.limits == Limits(min_light_grey=20, min_background_grey=0, max_background_grey=3)
    path.write_text(RECIPE + "[picture]\nchecks = false\n")
    assert load_recipe(path).recipe.picture.start() is None


CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("line.toml")), ids=lambda path: path.parent.name)
def test_the_configs_that_come_with_the_project_load(path: Path, tmp_path: Path) -> None:
    """The example configs load, and the defaults in their comments are right."""
    assert load_recipe(load_config(path).line.recipe).recipe.classes
    shown = tmp_path / "line.toml"
    shown.write_text(re.sub(r"^# (\w+ = )", r"\1", path.read_text(), flags=re.MULTILINE))
    defaults = load_config(path).line.model_dump(exclude={"coil", "backend"})
    assert load_config(shown).line.model_dump(exclude={"coil", "backend"}).keys() == defaults.keys()
    assert load_config(shown).line.view == load_config(path).line.view
    assert load_config(shown).line.batch.max_wait_ms == load_config(path).line.batch.max_wait_ms


@pytest.mark.parametrize(("wanted", "frames"), [(None, 16), (4, 4), (16, 16), (64, 16)])
def test_a_batch_is_as_large_as_the_engine_takes_or_less(wanted: int | None, frames: int) -> None:
    """`max_frames` can only reduce it."""
    assert BatchSettings(max_frames=wanted).frames(16) == frames
