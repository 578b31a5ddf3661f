"""`make test-gpu` where there is a GPU, here the stand-in: its tests run, and skip what is not installed."""

import re
import subprocess
import sys
from pathlib import Path

from gpu_pcs import child_environment

ROOT = Path(__file__).parents[2]


def test_the_gpu_suite_finds_the_gpu_and_says_what_is_missing():
    """A bad plan is refused for real in processes of its own; without NVRTC the plumbing skips with a word."""
    command = [sys.executable, "-m", "pytest", "-rs", "-m", "gpu", "-p", "no:cacheprovider", "-k", "not lean"]
    files = ["tests/gpu/test_plumbing.py", "tests/gpu/test_refusals.py"]
    done = subprocess.run(
        [*command, *files], cwd=ROOT, env=child_environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout
    assert "4 passed, 5 skipped" in done.stdout
    assert set(re.findall(r"^SKIPPED .*: (.*)$", done.stdout, re.MULTILINE)) == {"no NVRTC"}
