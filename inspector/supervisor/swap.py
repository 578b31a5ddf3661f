"""Swaps the engine of a running line: a second worker takes over after it passes its golden frames."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from inspector.supervisor.children import Child, Children
from inspector.supervisor.control import Control, Order
from inspector.supervisor.table import WORKER

DRAIN_S: Final = 10.0
"""How long the old worker may take to finish its frames, seconds. After that it is killed, and its frames end
at their deadlines."""

log = structlog.get_logger()


@dataclass(slots=True)
class Swap:
    """A swap in progress."""

    order: Order
    old: list[Child]
    new: Child
    began_s: float
    ready_s: float | None = None


def _is_folder(name: str) -> bool:
    """Whether the name is the absolute path of a folder; False for an invalid name, such as one with NUL."""
    try:
        return Path(name).is_absolute() and Path(name).is_dir()
    except (OSError, ValueError):
        return False


class Swaps:
    """Carries out the orders of `inspector swap`, one at a time. The line's loop calls `turn`."""

    def __init__(self, children: Children, path: Path, start_timeout_s: float) -> None:
        self._children, self._start_timeout_s = children, start_timeout_s
        self._control = Control(path)
        self._swap: Swap | None = None
        if self._control.open:
            children.watch(self._control, self._take)

    def _take(self) -> None:
        order = self._control.take()
        if order is None:
            return
        engine = order.wanted.get("engine")
        if self._swap is not None:
            order.refuse("another swap is in progress: try again after it")
        elif not isinstance(engine, str) or not _is_folder(engine):
            order.refuse("the order must give the absolute path of an engine folder")
        else:
            self._begin(order, Path(engine))

    def _begin(self, order: Order, engine: Path) -> None:
        old = self._children.of(WORKER)
        try:
            new = self._children.start(WORKER, engine=engine)
        except OSError as error:
            order.refuse(f"its worker cannot be started: {error.strerror}")
            return
        new.vital = False
        self._swap = Swap(order, old, new, time.monotonic())

    def turn(self) -> None:
        """Advance the swap in progress, if any."""
        swap = self._swap
        if swap is None:
            return
        now_s = time.monotonic()
        if swap.ready_s is None:
            self._await_ready(swap, now_s)
        else:
            self._await_drained(swap, swap.ready_s, now_s)

    def _await_ready(self, swap: Swap, now_s: float) -> None:
        if swap.new.ready and not swap.new.ended:
            swap.ready_s = now_s
            swap.new.vital = True
            for child in swap.old:
                child.vital = False
                child.terminate()
            swap.order.note(f"the new worker passed its golden frames after {now_s - swap.began_s:.1f} s")
        elif swap.new.ended:
            self._refuse(swap, swap.new.last_words)
        elif now_s - swap.began_s > self._start_timeout_s:
            self._refuse(swap, f"its worker was not ready within {self._start_timeout_s:.0f} s")

    def _refuse(self, swap: Swap, reason: str) -> None:
        self._children.forget(swap.new)
        self._swap = None
        log.error("engine not swapped: the line keeps the old one", reason=reason)
        swap.order.refuse(reason)

    def _await_drained(self, swap: Swap, ready_s: float, now_s: float) -> None:
        if not all(child.ended for child in swap.old) and now_s - ready_s < DRAIN_S:
            return
        ends = [child.died() if child.ended else "the old worker did not stop: killed" for child in swap.old]
        bad = [end for end in ends if end is not None]
        for child in swap.old:
            self._children.forget(child)
        self._swap = None
        if bad:
            log.error("engine swapped, but the old worker failed while stopping", how="; ".join(bad))
        swap.order.answer(
            ready_s=round(ready_s - swap.began_s, 3), drained_s=round(now_s - ready_s, 3), old_worker=bad
        )

    def close(self) -> None:
        """Take no more orders, and refuse a swap in progress, because the line ends."""
        if self._control.open:
            self._children.unwatch(self._control)
        self._control.close()
        if self._swap is not None:
            self._swap.order.refuse("the line ended before the engine was swapped")
            self._swap = None
