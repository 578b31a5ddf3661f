"""The whole loop on a simulated mill: its scratches change their look, and 50 corrections teach that."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.pages import PageUnderTest, running
from tests.support.weeks import frame, write_labelled

CORRECTIONS = 50

TRAIN_OPTIONS = (
    *("--widths", "8,16", "--stem-stride", "2", "--batch", "8", "--lr", "0.01", "--ema", "0.9"),
    *("--threads", "1", "--precision", "fp32", "--device", "cpu"),
)


def trainer(*arguments: object, code: int = 0) -> str:
    command = [sys.executable, "-m", "trainer.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def make_engine(folder: Path, name: str) -> Path:
    """From a finished run to an engine."""
    trainer("export", folder / f"run-{name}" / "best.ckpt", "--out", folder / f"model-{name}")
    engine = folder / f"engine-{name}"
    trainer("build-engine", folder / f"model-{name}", "--precision", "fp32", "--out", engine)
    return engine


def run_length(mask: np.ndarray) -> list[list[int]]:
    """A mask as the page's browser sends it."""
    flat = np.concatenate(([0], mask.ravel() > 0, [0])).astype(np.int8)
    edges = np.flatnonzero(np.diff(flat)).reshape(-1, 2)
    return [[1, int(start), int(end - start)] for start, end in edges]


def correct(page: PageUnderTest) -> dict[str, int]:
    """Review the waiting frames as a person would who sees their defects; returns the number of each answer."""
    counts = {"accept": 0, "redraw": 0}
    with page.client("kim") as client:
        while sum(counts.values()) < CORRECTIONS:
            found: list[dict[str, Any]] = page.wait(
                lambda: client.get("/api/review", params={"count": 20}).json()["frames"], "frames to review"
            )
            for each in found[: CORRECTIONS - sum(counts.values())]:
                truth = frame(2, each["frame_id"])[1]
                given: dict[str, Any] = {"answer": "accept"}
                if truth.any():
                    given = {"answer": "redraw", "mask": run_length(truth)}
                done = client.post(f"/api/review/{each['id']}", json={"why": "week 2", **given})
                assert done.status_code == 201, done.text
                counts[given["answer"]] += 1
    return counts


@pytest.mark.slow
def test_fifty_corrections_bring_escapes_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From week 1's engine through the page's queue to a promoted engine; each step is a command, and what the old
    engine found stays found."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    old = write_labelled(tmp_path / "week-1", (1,), 80, seed=1)
    held_out = write_labelled(tmp_path / "held-out", (2,), 60, seed=3)
    golden = write_labelled(tmp_path / "golden", (1,), 40, seed=4)
    trainer("split", old, "--val", "0.2", "--out", tmp_path / "split.json")
    trainer("train", "--data", old, "--split", tmp_path / "split.json", "--out", tmp_path / "run-1",
            "--epochs", "25", *TRAIN_OPTIONS)  # fmt: skip
    first = make_engine(tmp_path, "1")

    source = 'type = "python"\nfactory = "tests.support.weeks:Mill"\noptions = {week = 2, frames_per_second = 9}\n'
    page = PageUnderTest(tmp_path / "line", kind="scratch", source=source)
    text = page.config.read_text().replace("engine = 'engine'", f"engine = {json.dumps(str(first))}")
    page.config.write_text(f"{text}[collect]\nrandom_accepts = 100000\nrandom_rejects = 100000\n")
    page.add("kim", "quality")
    with running(page):
        answers = correct(page)
        exported = page.command("dataset", "export", "--out", str(tmp_path / "week-2"))
        assert exported.returncode == 0, exported.stderr
        trainer("combine", old, tmp_path / "week-2", "--split", tmp_path / "split.json", "--val", "0.2",
                "--out", tmp_path / "both")  # fmt: skip
        trainer("train", "--data", tmp_path / "both", "--split", tmp_path / "both" / "split.json",
                "--init", tmp_path / "run-1", "--out", tmp_path / "run-2", "--epochs", "30",
                *TRAIN_OPTIONS)  # fmt: skip
        second = make_engine(tmp_path, "2")
        rules = ["--recipe", page.folder / "recipe.toml"]
        flattered = trainer("promote-check", second, first, "--frozen", tmp_path / "both", *rules,
                            "--out", tmp_path / "flattered.json", code=3)  # fmt: skip
        assert "the candidate was trained on" in flattered
        trainer("promote-check", second, first, "--frozen", held_out, "--out", tmp_path / "own.json")
        refused = page.command("promote", str(second), "--check", str(tmp_path / "own.json"))
        assert (refused.returncode, "check again with --recipe" in refused.stderr) == (2, True)
        told = trainer("promote-check", second, first, "--frozen", held_out, "--golden", golden, *rules,
                       "--out", tmp_path / "check.json")  # fmt: skip
        print(told)
        promoted = page.command("promote", str(second), "--check", str(tmp_path / "check.json"))
        assert promoted.returncode == 0, promoted.stderr
        check = json.loads((tmp_path / "check.json").read_text())
        with page.client("kim") as client:

            def running_engine() -> str:
                return str(client.get("/api/state").json()["line"]["worker"]["engine"])

            page.wait(lambda: running_engine() == check["candidate"], "the promoted engine answers")
            events = client.get("/api/events").json()
    assert any("replaces" in event["text"] for event in events)
    assert sum(answers.values()) == CORRECTIONS
    before, after = check["frozen"]["current"], check["frozen"]["candidate"]
    assert before["escapes"] >= 0.25 * check["frozen"]["defective_frames"], "week 2 is no news to the first engine"
    assert after["escapes"] <= 0.3 * before["escapes"]
    card = json.loads((second / "card.json").read_text())
    (learned,) = card["data"]["corrections"]
    assert learned["frames"] == CORRECTIONS
    assert learned["trained"] + learned["chose"] >= 0.9 * CORRECTIONS
    assert "learned from" in (second / "card.md").read_text()
