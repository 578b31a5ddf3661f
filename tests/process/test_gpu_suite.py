"""`make test-gpu` on a PC with a GPU (here the stand-in): its tests run, and skip what is not installed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.gpu_pcs import child_environment

ROOT = Path(__file__).parents[2]


def test_the_gpu_suite_finds_the_gpu_and_says_what_is_missing() -> None:
    """A bad plan is refused in separate processes; without NVRTC the plumbing tests skip and say why."""
    command = [sys.executable, "-m", "pytest", "-rs", "-m", "gpu", "-p", "no:cacheprovider", "-k", "not lean"]
    files = ["tests/gpu/test_plumbing.py", "tests/gpu/test_refusals.py"]
    done = subprocess.run(
        [*command, *files], cwd=ROOT, env=child_environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout
    assert "4 passed, 5 skipped" in done.stdout
    assert set(re.findall(r"^SKIPPED .*: (.*)$", done.stdout, re.MULTILINE)) == {"no NVRTC"}


NOT_ON_A_GPU_MACHINE = "openvino av nncf pymodbus sqlalchemy cryptography psycopg"


def bare_environment() -> dict[str, str]:
    """The environment of a Python without those packages and without a GPU."""
    without = {"PYTHONPATH": str(ROOT / "tests" / "without"), "WITHOUT": NOT_ON_A_GPU_MACHINE}
    return {**os.environ, **without, "CUDA_VISIBLE_DEVICES": "", "PYTHON": sys.executable}


def test_the_gpu_suite_needs_only_what_a_gpu_machine_has() -> None:
    """Collected and skipped without the CPU engine, FFmpeg, the service's and the quantiser's libraries."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "tests/gpu"]
    done = subprocess.run(command, cwd=ROOT, env=bare_environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert re.search(r"=+ \d+ skipped in ", done.stdout), done.stdout
    assert not re.search(r"passed|failed|error", done.stdout.splitlines()[-1])


def test_a_slot_records_every_step_as_it_goes(tmp_path: Path) -> None:
    """`slot.sh` without a GPU: each step says in one line of JSON that it was skipped, and why."""
    command = [str(ROOT / "tests/gpu/slot.sh"), str(tmp_path), "--steps", "pc,plumbing,memcheck,illegal,train"]
    done = subprocess.run(command, env=bare_environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in (tmp_path / "figures.jsonl").read_text().splitlines()]
    assert lines[0]["what"] == "pc"
    steps = {line["name"]: line for line in lines[1:]}
    assert list(steps) == ["plumbing", "memcheck", "illegal", "train"]
    assert {step["result"] for step in steps.values()} == {"skipped"}
    assert all("no GPU" in why for why in steps["plumbing"]["why"])
    assert steps["train"]["why"] == "no --neu-seg"
    assert '"name": "illegal"' in (tmp_path / "slot.log").read_text()


def test_a_slot_whose_time_is_up_keeps_what_it_had(tmp_path: Path) -> None:
    """A step that runs too long is killed with its children; earlier figures are kept."""
    command = [str(ROOT / "tests/gpu/slot.sh"), str(tmp_path), "--steps", "pc,plumbing", "--minutes", "0.01"]
    done = subprocess.run(command, env=bare_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [json.loads(line) for line in (tmp_path / "figures.jsonl").read_text().splitlines()]
    assert [line["what"] for line in lines] == ["pc", "step"]
    assert lines[1]["result"] == "out of time"
