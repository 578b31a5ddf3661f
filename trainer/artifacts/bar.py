"""Progress of long work: a bar on a terminal, an occasional plain line elsewhere."""

import sys
from collections.abc import Iterable
from typing import Any, Final, NoReturn, TypeVar

from tqdm import tqdm

TERMINAL_DELAY_S: Final = 1.0
PLAIN_INTERVAL_S: Final = 15.0
"""Delay before the first output, on a terminal and elsewhere, seconds; shorter work shows nothing. Elsewhere it is
also the time between two lines."""
_BAR: Final = "{l_bar}{bar}{r_bar}"
_PLAIN: Final = "{desc}: {n_fmt}/{total_fmt} {unit}s, {elapsed} gone, {remaining} to go\n"

_UNCOUNTED: Final = "{desc}: {n_fmt} {unit}s, {rate_fmt}"

T = TypeVar("T")


def bar(items: Iterable[T], doing: str, *, total: int, unit: str = "frame", show: bool = True) -> Iterable[T]:
    """Yield `items` unchanged and show the progress; `total` 0: nobody knows how many there are."""
    return tqdm(items, **_look(doing, total, unit, show=show))


def phase_bar(doing: str, *, total: int, place: int, show: bool = True) -> "tqdm[NoReturn]":
    """A bar for a phase whose steps the caller counts, `place` lines below the first bar.

    On a terminal the bar disappears when the phase ends.
    """
    terminal = sys.stderr.isatty()
    look = _look(doing, total, "step", show=show)
    return tqdm(**look, position=place if terminal else 0, leave=not terminal)


def _look(doing: str, total: int, unit: str, *, show: bool) -> dict[str, Any]:
    terminal = sys.stderr.isatty()
    every_s = 0.1 if terminal else PLAIN_INTERVAL_S
    return {
        "desc": doing,
        "total": total or None,
        "unit": unit,
        "disable": not show,
        "delay": TERMINAL_DELAY_S if terminal else PLAIN_INTERVAL_S,
        "mininterval": every_s,
        "maxinterval": max(every_s, 10.0),
        "bar_format": (_BAR if terminal else _PLAIN) if total else _UNCOUNTED,
    }
