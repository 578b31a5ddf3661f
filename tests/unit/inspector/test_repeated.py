"""The limiter of log messages that repeat."""

from inspector.repeated import Repeated


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_the_first_is_reported_at_once_and_the_others_once_an_interval_with_their_count() -> None:
    """Nothing is reported twice, and nothing is left out of the counts."""
    clock = Clock()
    repeated = Repeated(60.0, clock)
    assert repeated.due() == 1
    reported = []
    for _ in range(1000):
        clock.now_s += 0.1
        if (count := repeated.due()) is not None:
            reported.append((round(clock.now_s - 1000.0, 1), count))
    assert [at_s for at_s, _ in reported] == [60.0] or [at_s for at_s, _ in reported] == [60.1]
    assert 1 + sum(count for _, count in reported) + repeated.rest() == 1001
    assert repeated.rest() == 0


def test_what_happens_after_a_quiet_time_is_reported_at_once() -> None:
    """The report includes the count of unreported ones."""
    clock = Clock()
    repeated = Repeated(60.0, clock)
    assert [repeated.due(), repeated.due(), repeated.due()] == [1, None, None]
    clock.now_s += 3600.0
    assert repeated.due() == 3
    assert repeated.due() is None


def test_the_end_reports_what_is_left_and_only_that() -> None:
    """A caller that closes logs nothing where all was reported."""
    repeated = Repeated(60.0, Clock())
    assert repeated.rest() == 0
    assert repeated.due() == 1
    assert repeated.rest() == 0
    assert repeated.due() is None
    assert repeated.rest() == 1
    assert repeated.rest() == 0
