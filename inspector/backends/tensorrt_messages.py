"""What TensorRT says: its log goes to ours, its errors are kept for the message of the call that fails."""

import ctypes
import threading
from collections.abc import Callable
from typing import Final, SupportsInt, TypeVar

import structlog
import tensorrt as trt

from inspector.errors import DeviceError

Made = TypeVar("Made")

log = structlog.get_logger()

_KEPT_ERRORS: Final = 32
"""The first ones tell the cause; a library that fails in a loop must not fill memory."""


_LEVELS: Final = {
    trt.ILogger.INTERNAL_ERROR: "error",
    trt.ILogger.ERROR: "error",
    trt.ILogger.WARNING: "warning",
}


class TensorRtLog(trt.ILogger):
    """TensorRT's logger. VERBOSE, thousands of lines a build, is dropped.

    With `keep` what it says goes to `lines`, for a build's log file, and to our log as debug only: a build that
    fails has its reason in its one line.
    """

    def __init__(self, *, keep: bool = False) -> None:
        trt.ILogger.__init__(self)
        self.lines: list[str] | None = [] if keep else None
        self.first_error: str | None = None

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """Called by TensorRT, from any of its threads."""
        if severity == trt.ILogger.VERBOSE:
            return
        level = _LEVELS.get(severity, "debug")
        if level == "error":
            self.first_error = self.first_error or " ".join(msg.split())
        if self.lines is not None:
            self.lines.append(f"{severity.name}: {msg}")
            level = "debug"
        getattr(log, level)("tensorrt", said=msg)


class TensorRtErrors(trt.IErrorRecorder):
    """TensorRT's error recorder: thread-safe, as it is called from wherever an error happens."""

    def __init__(self) -> None:
        trt.IErrorRecorder.__init__(self)
        self._lock = threading.Lock()
        self._errors: list[tuple[trt.ErrorCodeTRT, str]] = []
        self._overflowed = False

    def told(self) -> str:
        """The first error on one line: what to say where TensorRT only returned nothing."""
        with self._lock:
            if not self._errors:
                return "TensorRT gave no reason"
            code, text = self._errors[0]
            more = f" (and {len(self._errors) - 1} more)" if len(self._errors) > 1 else ""
        return f"{code.name}: {' '.join(text.split())}{more}"

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._errors.clear()
            self._overflowed = False

    def get_num_errors(self) -> int:
        """How many are kept. The bindings look for this name; `num_errors` of the base class calls it."""
        return len(self._errors)

    def get_error_code(self, arg0: SupportsInt) -> trt.ErrorCodeTRT:
        """Of one of them."""
        return self._errors[int(arg0)][0]

    def get_error_desc(self, arg0: SupportsInt) -> str:
        """Of one of them."""
        return self._errors[int(arg0)][1]

    def has_overflowed(self) -> bool:
        """Whether some were not kept."""
        return self._overflowed

    def report_error(self, arg0: trt.ErrorCodeTRT, arg1: str) -> bool:
        """Called by TensorRT; returns whether it must stop, which is left to its own return values."""
        with self._lock:
            if len(self._errors) < _KEPT_ERRORS:
                self._errors.append((arg0, arg1))
            else:
                self._overflowed = True
        return False


def start(make: Callable[[trt.ILogger], Made], said: TensorRtLog) -> Made:
    """A runtime or builder; raises DeviceError where the library makes none, for want of a driver or memory.

    Then the bindings raise TypeError, or hand out an object whose next call ends the process: the log alone tells.
    """
    made: Made | None = None
    reason: str | None = None
    try:
        made = make(said)
    except TypeError as error:
        reason = str(error)
    reason = said.first_error or reason
    if made is None or reason is not None:
        # Never freed: that, too, would end the process.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))
        raise DeviceError(f"TensorRT {trt.__version__} does not start ({reason})")
    return made
