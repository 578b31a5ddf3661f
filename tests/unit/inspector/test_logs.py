"""Log lines that nobody reads hold up nothing."""

import os
import subprocess
import sys
import time

TALK = """
import sys, time
from inspector.logs import configure, STDERR
import structlog
configure("test")
log = structlog.get_logger()
began = time.monotonic()
for number in range(int(sys.argv[1])):
    log.warning("x" * 200, number=number)
print(f"{time.monotonic() - began:.2f}", flush=True)
"""


def talk(lines: int, stderr: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", TALK, str(lines)], stdout=subprocess.PIPE, stderr=stderr)


def test_a_reader_that_hangs_delays_no_line() -> None:
    """With a full pipe, lines wait and are then dropped."""
    with talk(5_000, subprocess.PIPE) as process:
        assert float(process.stdout.readline()) < 5.0
        assert process.wait(10) == 0


def test_a_reader_that_has_left_ends_nothing() -> None:
    """`inspector run | head` does not end the line."""
    read, write = os.pipe()
    with talk(500, write) as process:
        os.close(write)
        os.close(read)
        assert float(process.stdout.readline()) < 5.0
        assert process.wait(10) == 0


def test_a_full_disk_ends_nothing() -> None:
    """The log is lost; the verdicts are not."""
    full = os.open("/dev/full", os.O_WRONLY)
    with talk(500, full) as process:
        os.close(full)
        assert process.wait(20) == 0


def test_lines_that_were_left_out_are_counted() -> None:
    """The number of dropped lines is reported once somebody reads again."""
    with talk(5_000, subprocess.PIPE) as process:
        time.sleep(0.5)
        text = process.stderr.read().decode()
    written = text.count('"number"')
    if written < 5_000:
        assert f"{5_000 - written} log lines dropped: the reader of stderr is too slow" in text
