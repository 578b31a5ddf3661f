"""SIGTERM, Ctrl-C and a closed terminal (SIGHUP) as an event that a loop can poll.

A process then takes no more work, finishes what it holds and exits with 0.
"""

import contextlib
import ctypes
import os
import signal
from types import FrameType
from typing import Final, Self

_PR_SET_PDEATHSIG: Final = 1
"""From linux/prctl.h: the signal a process gets when its parent dies."""


class StopRequest:
    """Becomes true at the first of these signals; its descriptor then becomes readable. Main thread only."""

    def __init__(self) -> None:
        self._by: signal.Signals | None = None
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        """Install the handlers; an ignored SIGHUP (nohup) stays ignored."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the previous handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned
        os.close(self._event)

    def __bool__(self) -> bool:
        """Whether a stop was requested."""
        return self._by is not None

    @property
    def exit_code(self) -> int:
        """128 + the signal, as in shells; 0 without one."""
        return 0 if self._by is None else 128 + self._by

    def fileno(self) -> int:
        """Readable once a stop was requested."""
        return self._event

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self._by = self._by or signal.Signals(number)
        os.eventfd_write(self._event, 1)


def stop_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM when the parent dies, even if it is killed: no child is left behind."""
    with contextlib.suppress(AttributeError):  # a C library without prctl is not Linux
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
