"""A little of `guided.py` on every push: the same inputs each time, with bounds on memory and time."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.bounds import EXAMPLES, MOST_BYTES

pytest.importorskip("atheris", reason="guided fuzzing: no atheris for this Python")

RUNS = EXAMPLES or 1_000
MORE_RUNS = 2 * RUNS
"""Inputs tried: they take seconds, and so does the start of each target."""
LONGEST_INPUT_S = 10
TARGETS = (
    "wire",
    "line.toml",
    "recipe.toml",
    "manifest.json",
    "golden.npz",
    "picture",
    "recording.json",
    "frames.jsonl",
    "verdicts.jsonl",
)


def guided(name: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.guided", name, *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("runs", [RUNS, pytest.param(MORE_RUNS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", TARGETS)
def test_guided(name: str, runs: int, tmp_path: Path) -> None:
    """Nothing but a refusal in one line, no input that takes seconds, no memory that grows."""
    seed = "0" if EXAMPLES else "1"  # 0 is another one each time
    done = guided(
        name,
        tmp_path,
        f"-runs={runs}",
        f"-seed={seed}",
        f"-timeout={LONGEST_INPUT_S}",
        f"-rss_limit_mb={MOST_BYTES >> 20}",
        "-max_len=4096",
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    # libFuzzer counts what it ran of the corpus before, too.
    ran = re.search(r"Done (\d+) runs", done.stderr)
    assert ran is not None, done.stderr[-3_000:]
    assert int(ran[1]) >= runs
    assert not list(tmp_path.glob("crash-*"))
