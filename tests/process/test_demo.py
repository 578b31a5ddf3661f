"""What `make demo` does, and what a user does next with its engine: OpenVINO, real processes, whole frames."""

import csv
import json
import re
from pathlib import Path

import pytest

from tests.support.lines import LineUnderTest, Run
from tests.support.steel import real
from trainer.cli import main as trainer

DEMO = Path(__file__).parents[2] / "configs" / "demo"
COIL_FRAMES = 60


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo engine, built from the project's model."""
    out = tmp_path_factory.mktemp("engine") / "demo"
    assert trainer(["build-engine", str(DEMO / "model"), "--backend", "openvino", "--out", str(out)]) == 0
    return out


@pytest.fixture
def line(tmp_path: Path, engine: Path) -> LineUnderTest:
    line = LineUnderTest(tmp_path)
    text = (DEMO / "line.toml").read_text()
    (tmp_path / "recipe.toml").write_text((DEMO / "recipe.toml").read_text())
    line.config.write_text(text.replace('engine = "engine"', f'engine = "{engine}"'))
    return line


def test_a_simulated_coil_is_judged_right(line: LineUnderTest, tmp_path: Path) -> None:
    """On a coil with another seed than the training, nearly every frame is judged as labelled."""
    coil = tmp_path / "coil"
    arguments = ["simulate", "--out", str(coil), "--frames", str(COIL_FRAMES), "--seed", "977"]
    assert trainer([*arguments, "--defective-share", "0.3"]) == 0
    run = line.replay(coil / "train_images")
    assert run.code == 0, run.stderr
    with (coil / "train.csv").open() as rows:
        defective = {row["ImageId"] for row in csv.DictReader(rows)}
    wrong = [v["file"] for v in run.verdicts if (v["decision"] == "reject") != (v["file"] in defective)]
    assert run.summary["uninspected"] == 0
    assert len(wrong) <= 0.1 * COIL_FRAMES, wrong
    assert set(run.summary["defects"]) <= {"pits", "cracks", "scratches", "patches"}
    # The coil has a name, a plan, a verdict with its reasons, and a report.
    assert re.search(
        r"^coil     C-48213: (release|downgrade|hold), 15\.36 m, plan demo-steel@", run.stdout, re.MULTILINE
    )
    report = (run.out / "report-C-48213.html").read_text()
    assert "C-48213" in report
    assert "demo-steel@" in report


def replay_twice(line: LineUnderTest, source: Path, tmp_path: Path) -> Run:
    first = line.replay(source, out=tmp_path / "first")
    again = line.replay(source, "--golden", first.out, out=tmp_path / "again")
    assert (first.code, again.code) == (0, 0), again.stdout
    return first


@pytest.mark.shared
def test_real_frames_get_the_same_verdicts_each_time(line: LineUnderTest, tmp_path: Path) -> None:
    """Every real 256×1600 frame is inspected, and a second replay gives the same verdict."""
    severstal = real("severstal")
    if severstal is None:
        pytest.skip("no real frames on this machine")
    run = replay_twice(line, severstal / "test_images", tmp_path)
    assert run.summary["captured"] == len(list((severstal / "test_images").iterdir()))
    # The demo's picture limits fit the simulator: some real frames lie beyond them, and nothing else stops one.
    assert all(code.startswith("picture_") for code in run.summary["uninspected_codes"])


def test_the_model_says_what_it_is_for(engine: Path) -> None:
    """The card and the manifest of a model trained on simulated strip alone say so."""
    card = json.loads((DEMO / "model" / "card.json").read_text())
    assert "simulat" in json.dumps(card["intended_use"]) + json.dumps(card.get("known_weaknesses", ""))
    manifest = json.loads((engine / "manifest.json").read_text())
    assert manifest["quality"]["frames"] > 0
    assert manifest["speed"]["frames_per_second"] > 0
