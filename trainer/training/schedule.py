"""The learning rate as a pure function of the finished share of the run, so that a resume needs no state."""

import math
from collections.abc import Callable
from typing import Final

WARM_UP: Final = 0.15
"""Share of the run in which the rate rises."""
START_FACTOR: Final = 1 / 25
END_FACTOR: Final = 1 / 10_000
"""Rate at the start and the end, as a factor of the peak; the defaults of Smith & Topin's one-cycle policy in
torch."""


def one_cycle(done: float) -> float:
    """Factor of the peak rate, 0..1, at the finished share `done` (0..1) of the run; cosine both ways."""
    done = min(max(done, 0.0), 1.0)
    if done < WARM_UP:
        return _cosine(START_FACTOR, 1.0, done / WARM_UP)
    return _cosine(1.0, END_FACTOR, (done - WARM_UP) / (1.0 - WARM_UP))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0


def constant(done: float) -> float:  # noqa: ARG001 (every schedule has the same signature)
    """Factor 1: the peak rate from start to end."""
    return 1.0


SCHEDULES: Final[dict[str, Callable[[float], float]]] = {"one-cycle": one_cycle, "constant": constant}
"""Name → factor of the peak rate at the finished share `done` (0..1) of the run."""
