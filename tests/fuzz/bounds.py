"""How long and how large a fuzz test may get."""

import faulthandler
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("INSPECTOR_TEST_FUZZ_EXAMPLES", "0"))
"""Number of inputs for each test, different each time, for long runs. By default few and always the same, so that
a push does not fail for an older fault."""

FEW = 100

fuzz = settings(
    max_examples=EXAMPLES or FEW,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

LONGEST_S = 300 * (1 + EXAMPLES // FEW)
"""A test that runs longer hangs: its stack is printed and the run ends. Each takes seconds."""

MOST_BYTES = 1_500 * 2**20
"""Resident at the most: one picture of the largest size that is decoded, in colour, with its copies."""


@contextmanager
def bounds() -> Iterator[None]:
    """No hang, and no memory that grows with what the input claims to be."""
    before = _peak_bytes()
    faulthandler.dump_traceback_later(LONGEST_S, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
    assert _peak_bytes() <= max(before, MOST_BYTES), "memory grows with the input"


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
