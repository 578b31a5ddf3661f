"""Progress where nobody sits at a terminal."""

import time

import pytest

from trainer.artifacts import bar as module
from trainer.artifacts.bar import bar


def test_a_log_gets_a_plain_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole lines without control characters, far fewer than items, with how much is done."""
    monkeypatch.setattr(module, "PLAIN_INTERVAL_S", 0.2)
    for _ in bar(range(100), "reading", total=100):
        time.sleep(0.01)
    lines = capsys.readouterr().err.replace("\r", "").splitlines()
    lines = [line for line in lines if line]
    assert 2 <= len(lines) <= 12
    assert all(line.startswith("reading: ") and "/100 frames, " in line for line in lines)


def test_short_or_quiet_work_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short or quiet work prints nothing."""
    assert list(bar(range(3), "reading", total=3)) == [0, 1, 2]
    monkeypatch.setattr(module, "PLAIN_INTERVAL_S", 0.0)
    assert list(bar(range(2), "reading", total=2, show=False)) == [0, 1]
    assert capsys.readouterr().err == ""
