"""One process of a kind in one folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from inspector.errors import ConfigError
from inspector.runtime.lock import hold_place

HOLD = """
import sys, time
from pathlib import Path
from inspector.errors import ConfigError
from inspector.runtime.lock import hold_place
try:
    with hold_place("decide", Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(60)
except ConfigError as error:
    print(error, flush=True)
"""


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)


def test_of_two_that_start_at_once_one_stays(tmp_path: Path) -> None:
    """The other one names the running process."""
    with start(tmp_path) as first, start(tmp_path) as second:
        both = [first, second]
        said = [process.stdout.readline().strip() for process in both]
        for process in both:
            process.kill()
    assert sorted(line == "held" for line in said) == [False, True]
    (other,) = [line for line in said if line != "held"]
    assert other.startswith(f"{tmp_path}: another decide uses it (pid ")


def test_a_killed_process_leaves_the_place_free(tmp_path: Path) -> None:
    """The kernel releases the lock, even if the file remains."""
    with start(tmp_path) as process:
        assert process.stdout.readline().strip() == "held"
        with pytest.raises(ConfigError, match=f"pid {process.pid}"), hold_place("decide", tmp_path):
            pass
        process.kill()
    with hold_place("decide", tmp_path), hold_place("ingest-top", tmp_path):
        pass
