"""How far long work has come: a bar on a terminal, a plain line now and then elsewhere."""

import sys
from collections.abc import Iterable
from typing import Final, TypeVar

from tqdm import tqdm

TERMINAL_DELAY_S: Final = 1.0
PLAIN_INTERVAL_S: Final = 15.0
"""Work that is done sooner shows nothing."""
_BAR: Final = "{l_bar}{bar}{r_bar}"
_PLAIN: Final = "{desc}: {n_fmt}/{total_fmt} {unit}s, {elapsed} gone, {remaining} to go\n"

T = TypeVar("T")


def bar(items: Iterable[T], doing: str, *, total: int, unit: str = "frame", show: bool = True) -> Iterable[T]:
    """`items` as they are, shown as they are taken."""
    terminal = sys.stderr.isatty()
    every_s = 0.1 if terminal else PLAIN_INTERVAL_S
    return tqdm(
        items,
        desc=doing,
        total=total,
        unit=unit,
        disable=not show,
        delay=TERMINAL_DELAY_S if terminal else PLAIN_INTERVAL_S,
        mininterval=every_s,
        maxinterval=max(every_s, 10.0),
        bar_format=_BAR if terminal else _PLAIN,
    )
