"""Mistakes in `[strip]` and `[plans]`: one line each, with the key."""

from pathlib import Path

import pytest

from inspector.config.line import load_config
from inspector.config.strip import StripSettings, has_counter
from inspector.errors import ConfigError
from inspector.strip.views import look_at_cameras
from tests.support.lines import LineUnderTest

HEAD = 'name = "x"\nengine = "engine"\nrecipe = "recipe.toml"\n[cameras.top]\ntype = "simulator"\n[strip]\n'
GENICAM = '[cameras.g]\ntype = "genicam"\ndevice = "x"\nframes_per_second = 9\n'
MODBUS = '[strip.position]\ntype = "modbus"\nhost = "plc"\n'
REGISTERS = '[strip.coil_registers]\nhost = "plc"\nfirst_register = 1\n'
ID = 'fields = [{ name = "id", type = "text", length = 4 }]\n'
LEVEL2 = (
    '[strip.level2]\nconnect = "10.0.0.1:7100"\nheader = [{ name = "type", type = "text", length = 4 }]\n'
    '[strip.level2.telegrams.coil_start]\ncode = "S"\n'
)
RECIPE = 'name = "r"\nmm_per_px_across = 0.5\nmm_per_px_along = 0.5\n[classes.pits]\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("standstill_mm_s = 9000\n", "needs standstill_mm_s < threading_mm_s"),
        ("[strip.cameras.left]\n", "strip.cameras.left: no such camera; there is top"),
        (MODBUS, "needs counter_register or speed_register"),
        (MODBUS + "counter_register = 1\nmm_per_count = 0\n", "must not be 0"),
        (MODBUS + "counter_register = 0\nspeed_register = 500\n", "Modbus reads 125 at most"),
        (MODBUS + "counter_register = 65535\n", "65535 is the last one"),
        ('[strip.position]\ntype = "udp"\naddress = "x:99999"\n', "the port must be 1 to 65535"),
        (2 * '[[strip.rolls]]\nname = "r"\ndiameter_mm = 600\n', "r of one stand and side is there twice"),
        ('[strip.position]\ntype = "udp"\naddress = "7200"\n', "strip.position.address"),
        ('[strip.position]\ntype = "udp"\naddress = "x:1"\npattern = "("\n', "not a regular expression"),
        ('[strip.position]\ntype = "udp"\naddress = "x:1"\npattern = "(a)"\n', "needs a group"),
        ('[strip.position]\ntype = "laser"\n', "strip.position"),
        ('[strip.position]\ntype = "camera"\n', "strip.position.camera.camera"),
        ('[strip.position]\ntype = "camera"\ncamera = "left"\n', "no camera left; there is top"),
        ('[strip.position]\ntype = "camera"\ncamera = "top"\n', "cameras.top carry no count: a source of type"),
        ('[strip.position]\ntype = "camera"\ncamera = "g"\n' + GENICAM, "cameras.g has no encoder_chunk"),
        ('[strip.position]\ntype = "camera"\ncamera = "top"\nmm_per_count = 0\n', "must not be 0"),
        ("http_port = 0\n", "strip.http_port"),
        ('[strip.cameras.top]\nedges = "grey"\n', "strip.cameras.top.edges"),
        ("[strip.cameras.top]\nmm_per_px_across = -1\n", "strip.cameras.top.mm_per_px_across"),
        ('[strip.cameras.top]\nside = "left"\n', "strip.cameras.top.side"),
        ('[[strip.rolls]]\nname = "r"\ndiameter_mm = 3\n', "strip.rolls.0.diameter_mm"),
        (LEVEL2 + 'fields = [{ name = "grade", type = "text", length = 4 }]\n', "needs a field `id`"),
        (LEVEL2 + 'fields = [{ name = "id", type = "text" }]\n', "needs a length"),
        (LEVEL2 + 'fields = [{ name = "id", type = "text", length = 4 }, { name = "colour", type = "uint8" }]\n',
         "no field colour"),
        (LEVEL2 + 'fields = [{ name = "id", type = "text", length = 4 }, { name = "width_mm", type = "text", '
         "length = 5 }]\n", "width_mm is a number"),
        (LEVEL2 + ID + '[strip.level2.telegrams.alive]\ncode = "S"\n', "two have the same code"),
        (LEVEL2.replace('connect = "10.0.0.1:7100"', "") + ID, "give connect or listen"),
        (REGISTERS + 'fields = [{ name = "counter", type = "uint16" }]\n', "needs a field `id`"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_key(tmp_path: Path, text: str, why: str) -> None:
    """The mistake is found before anything is started."""
    path = tmp_path / "line.toml"
    path.write_text(HEAD + text)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert why in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (None, "cannot be read"),
        (RECIPE.replace("0.5", "0.4"), "the cameras do not move with the plan"),
        (RECIPE + "[picture]\nchecks = false\n", "picture: must be as in"),
        (RECIPE + '[coil]\n[[coil.rules]]\nclass = "dents"\nverdict = "hold"\nmax_per_m = 1\n', "no class dents"),
    ],
)
def test_a_plan_that_does_not_fit_stops_the_start(tmp_path: Path, plan: str | None, why: str) -> None:
    """A missing file, another scale, other picture limits, an unknown class."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    if plan is not None:
        (tmp_path / "plan.toml").write_text(plan)
    path = tmp_path / "line.toml"
    path.write_text(HEAD.replace("[strip]", '[plans.other]\nrecipe = "plan.toml"\n[strip]'))
    with pytest.raises(ConfigError, match=why):
        load_config(path).plans()


def test_a_plan_without_a_rule_for_a_class_is_refused_by_the_engine(tmp_path: Path) -> None:
    """A forgotten class would be an escape by oversight, in a plan as in the recipe."""
    from inspector.core.rules import EngineClasses

    (tmp_path / "recipe.toml").write_text(RECIPE + "[classes.cracks]\n")
    (tmp_path / "plan.toml").write_text(RECIPE)
    path = tmp_path / "line.toml"
    path.write_text(HEAD.replace("[strip]", '[plans.other]\nrecipe = "plan.toml"\n[strip]'))
    engine = EngineClasses("e@1", ("normal", "pits", "cracks"), (1.0, 0.5, 0.5), (0, 1, 1))
    with pytest.raises(ConfigError, match=r"plan\.toml: classes: no rule for the engine's class cracks"):
        load_config(path).plans().bind(engine)


def test_a_gap_between_cameras_is_one_line_at_the_door(tmp_path: Path) -> None:
    """The line would inspect the rest; a calibration that cannot be used would stop it."""
    line = LineUnderTest(tmp_path)
    line.write_config(
        '\n[cameras.right]\ntype = "simulator"\n[strip]\n'
        '[strip.cameras.right]\noffset_across_mm = 94\nedges = "dark"\n',
        type="simulator",
    )
    assert look_at_cameras(load_config(line.config)) == (
        "top (top) 0 to 64 mm; right (top) 94 to 158 mm, finds edges; "
        "NO CAMERA SEES the top from 64 to 94 mm across: see offset_across_mm in strip.cameras"
    )
    line.config.write_text(line.config.read_text().replace("= 94", "= 60"))
    assert "NO CAMERA" not in look_at_cameras(load_config(line.config))
    line.config.write_text(line.config.read_text() + 'calibration = "line.toml"\n')
    with pytest.raises(ConfigError, match=r"line\.toml: not a calibration of a camera"):
        look_at_cameras(load_config(line.config))


@pytest.mark.parametrize(
    ("position", "counts"),
    [
        ({"type": "modbus", "host": "plc", "counter_register": 0, "speed_register": 2}, True),
        ({"type": "modbus", "host": "plc", "speed_register": 2}, False),
        ({"type": "udp", "address": "0.0.0.0:7200"}, True),
        ({"type": "udp", "address": "0.0.0.0:7200", "pattern": r"(?P<speed>[\d.]+)"}, False),
        ({"type": "camera", "camera": "top"}, True),
    ],
)
def test_a_speed_alone_is_no_counter(position: dict[str, object], counts: bool) -> None:
    """Its positions drift, and a gate would find other steel."""
    settings = StripSettings.model_validate({"position": position})
    assert settings.position is not None
    assert has_counter(settings.position) is counts
