"""Log lines that repeat."""

from inspector.repeated import Repeated


def test_the_first_is_reported_and_then_one_an_interval_with_the_count():
    """A fault that comes a thousand times a second is two lines a minute apart."""
    now_s = 0.0
    repeated = Repeated(60.0, lambda: now_s)
    assert repeated.due() == 1
    assert [repeated.due() for _ in range(5)] == [None] * 5
    now_s = 61.0
    assert repeated.due() == 6
    assert repeated.due() is None
    assert (repeated.rest(), repeated.rest()) == (1, 0)
