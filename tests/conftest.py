"""For every test: folders made once for all workers, and a temporary folder that goes with the session.

`inspector` is imported before any test imports OpenVINO or ONNX Runtime by itself: neither reports to its maker.
"""

import os
import signal
import tempfile
from collections.abc import Iterator
from unittest.mock import patch

import pytest

import inspector  # noqa: F401
from tests.support.lines import ended_lines
from tests.support.once import Once, shared_root

# `nohup` and shells that run a job in the background have the signals ignored that tests send to their children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes what many tests read: trained networks, models, engines."""
    return Once(shared_root(tmp_path_factory))


@pytest.fixture(scope="session", autouse=True)
def children_leave_nothing_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a killed program leaves in its temporary folder lies in pytest's, which goes with the session."""
    tempfile.gettempdir()  # The tests' own process keeps its folder: PostgreSQL's user cannot enter pytest's.
    with patch.dict(os.environ, TMPDIR=str(tmp_path_factory.mktemp("t", numbered=False))):
        yield


@pytest.fixture(autouse=True)
def no_test_leaves_real_time_behind() -> Iterator[None]:
    """Libraries may give root's thread real-time priority; all later tests and their lines would inherit it."""
    yield
    policy = os.sched_getscheduler(0)
    assert policy not in (os.SCHED_FIFO, os.SCHED_RR), f"the test left the scheduling policy {policy}"


@pytest.fixture(autouse=True)
def lines_end_with_their_test() -> Iterator[None]:
    """A line that a test started and did not end is killed after it."""
    with ended_lines():
        yield
