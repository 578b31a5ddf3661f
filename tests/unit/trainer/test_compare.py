"""`trainer compare`: verdicts of a replay against the labels of its frames."""

import json
from pathlib import Path

import msgspec
import pytest

from inspector.config.recipe import load_recipe
from inspector.values import Decision, Verdict
from tests.support.labelled import write_label_maps
from trainer.cli import main
from trainer.data.formats import open_dataset


def verdicts(data: Path, run: Path, wrong: set[int], uninspected: set[int], recipe: str = "r@1") -> list[bool]:
    """Write what an engine says that errs on the `wrong` frames; returns which frames are defective."""
    dataset = open_dataset(data)
    run.mkdir()
    truth, lines = [], []
    for n, name in enumerate(dataset.names):
        height, width = dataset.frame(name).shape
        truth.append(bool(dataset.label(name, (height, width)).any()))
        decision = Decision.REJECT if truth[n] != (n in wrong) else Decision.ACCEPT
        if n in uninspected:
            decision = Decision.UNINSPECTED
        reasons = () if decision is Decision.ACCEPT else ("why",)
        one = Verdict("top", n, 1, 0.0, None, decision, reasons, (), recipe, "e@1", {}, name)
        lines.append(msgspec.json.encode(one) + b"\n")
    (run / "verdicts.jsonl").write_bytes(b"".join(lines))
    return truth


def test_counts_what_was_missed_and_rejected_wrongly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames by truth and verdict, with names; a frame that was not inspected is neither found nor missed."""
    data, run = write_label_maps(tmp_path / "d"), tmp_path / "run"
    truth = verdicts(data, run, set(), set())
    defective = [n for n, bad in enumerate(truth) if bad]
    sound = [n for n, bad in enumerate(truth) if not bad]
    names = open_dataset(data).names
    (run / "verdicts.jsonl").unlink()
    run.rmdir()
    verdicts(data, run, {defective[0], defective[3], sound[1]}, {defective[5]})
    assert main(["compare", str(run), "--data", str(data)]) == 0
    total = len(defective) - 1
    found = f"{total - 2} of {total} defective frames found, 1 of {len(sound)} sound ones rejected"
    assert capsys.readouterr().out.splitlines() == [
        f"truth    {found}, 1 not inspected",
        f"         missed defects (escape): {names[defective[0]]}, {names[defective[3]]}",
        f"         false rejects (overkill): {names[sound[1]]}",
    ]


def test_a_kind_that_is_only_recorded_is_no_miss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the run's recipe records a kind, frames that show no other kind are sound."""
    data, run = write_label_maps(tmp_path / "d"), tmp_path / "run"
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "r"\nmm_per_px_across = 1.0\nmm_per_px_along = 1.0\n'
        '[classes.pit]\naction = "record"\n[classes.streak]\naction = "reject"\n'
    )
    truth = verdicts(data, run, set(), set(), load_recipe(recipe).identity)
    (run / "line.json").write_text(
        json.dumps(
            {
                "name": "l",
                "engine": str(tmp_path / "none"),
                "recipe": str(recipe),
                "cameras": {"top": {"type": "simulator"}},
            }
        )
    )
    assert main(["compare", str(run), "--data", str(data), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["defective"] < sum(truth)
    assert found["missed"] == []
    assert len(found["false_rejects"]) == sum(truth) - found["defective"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: (run / "verdicts.jsonl").unlink(), "name the folder of a replay"),
        (lambda run: (run / "verdicts.jsonl").write_bytes(b""), "holds no verdict"),
        (lambda run: (run / "verdicts.jsonl").write_bytes(b"{}\n"), "a line is not a verdict"),
        (
            lambda run: (run / "verdicts.jsonl").write_bytes(
                (run / "verdicts.jsonl").read_bytes().replace(b'"file":"', b'"file":"other-')
            ),
            "name the data set that was replayed",
        ),
    ],
)
def test_other_verdicts_are_refused(
    tmp_path: Path, spoil: object, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No verdicts, none that can be read, or those of other frames: one line says what to name."""
    data, run = write_label_maps(tmp_path / "d"), tmp_path / "run"
    verdicts(data, run, set(), set())
    assert callable(spoil)
    spoil(run)
    assert main(["compare", str(run), "--data", str(data)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
