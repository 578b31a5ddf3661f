"""The watchdog's food: progress, or the sight of an empty table; never time alone."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.runtime.notify import Notifier, NotifyListener, Pulse

WATCHDOG_S = 0.08


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NotifyListener]:
    """systemd's end of the notification socket."""
    ear = NotifyListener(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(ear.address))
    monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG_S * 1e6)))
    yield ear
    ear.close()


@pytest.fixture
def pulse(listener: NotifyListener) -> Iterator[Pulse]:
    """A stage's end."""
    notifier = Notifier()
    yield Pulse(notifier, "frames")
    notifier.close()


def fed(pulse: Pulse, ear: NotifyListener, done: int, *, pending: bool) -> bool:
    """Whether a turn at the next feeding time feeds the watchdog."""
    time.sleep(WATCHDOG_S / 2)
    pulse.turn(done, pending=pending, say=lambda: "at work")
    return "WATCHDOG" in ear.receive()


def test_work_that_does_not_move_starves_the_watchdog(listener: NotifyListener, pulse: Pulse) -> None:
    """Without an answer to a batch the loop does not feed the watchdog; the first answer feeds it again."""
    assert fed(pulse, listener, 7, pending=True), "progress since the start"
    assert [fed(pulse, listener, 7, pending=True) for _ in range(3)] == [False] * 3
    assert fed(pulse, listener, 8, pending=True)


def test_an_empty_table_is_life(listener: NotifyListener, pulse: Pulse) -> None:
    """With nothing done and nothing pending the watchdog is fed."""
    assert all(fed(pulse, listener, 0, pending=False) for _ in range(3))


def test_a_busy_loop_feeds_seldom(listener: NotifyListener, pulse: Pulse) -> None:
    """The watchdog is not fed for every frame."""
    meals = 0
    for done in range(200):
        pulse.turn(done, pending=True, say=lambda: "at work")
        meals += "WATCHDOG" in listener.receive()
    assert 1 <= meals < 100


def test_one_that_is_held_up_lives_and_says_by_whom(listener: NotifyListener, pulse: Pulse) -> None:
    """While decide is down, a restart of ingest would lose its unsent announcements."""
    pulse.held_up("decide")
    told = listener.receive()
    assert told["WATCHDOG"] == "1"
    assert told["STATUS"].endswith("waiting: decide takes no more messages")


def test_without_a_watchdog_only_the_status_is_told(
    listener: NotifyListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without WatchdogSec only the status is sent."""
    monkeypatch.delenv("WATCHDOG_USEC")
    notifier = Notifier()
    Pulse(notifier, "frames").turn(1, pending=False, say=lambda: "at work")
    notifier.close()
    assert listener.receive().keys() == {"STATUS"}


def test_a_listener_that_has_gone_stops_nothing(listener: NotifyListener, pulse: Pulse) -> None:
    """For example when systemd re-executes itself."""
    Path(listener.address).unlink()
    pulse.turn(1, pending=False, say=lambda: "at work")
