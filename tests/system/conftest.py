"""One container a module: installed from the wheel, driven by a simulated and a network camera."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.container import Container, debian, mount, release
from tests.system.service import STATE, Service

TESTS = Path(__file__).parents[1]

STATE_BYTES = "2G"
"""At the most; nothing of it is taken before it is written."""

_figures: list[tuple[str, str]] = []


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """What a user downloads, as the container sees it."""
    debian()
    source, wheels = release(tmp_path_factory.mktemp("release"))
    return {source: "/mnt/release", wheels: "/mnt/wheels", TESTS: "/mnt/tests"}


@pytest.fixture(scope="module")
def service(installation: dict[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A booted PC with nothing installed; its results are on a separate small disk."""
    folder = tmp_path_factory.mktemp("pc")
    state = folder / "state"
    state.mkdir()
    mount("tmpfs", f"size={STATE_BYTES}", state)
    container = Container(debian(), folder / "box", installation, {state: STATE})
    try:
        container.boot()
        yield Service(container, state)
    finally:
        container.remove()
        subprocess.run(["umount", "--lazy", str(state)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def measured() -> Iterator[dict[str, str]]:
    """Measured times, printed at the end as rows of the table in docs/faults.md."""
    found: dict[str, str] = {}
    yield found
    _figures.extend(found.items())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _figures:
        terminalreporter.section("times measured")
        for what, figure in _figures:
            terminalreporter.write_line(f"{what:60s} {figure}")
