"""Forwards TensorRT's log to ours, and keeps its errors for the message of the call that failed."""

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
"""Most errors kept. The first ones show the cause; a library that fails in a loop must not fill memory."""


_LEVELS: Final = {
    trt.ILogger.INTERNAL_ERROR: "error",
    trt.ILogger.ERROR: "error",
    trt.ILogger.WARNING: "warning",
}


class TensorRtLog(trt.ILogger):
    """TensorRT's logger. It drops VERBOSE messages, thousands of lines per build.

    With `keep`, messages go to `lines` for a build's log file, and to our log only as debug: a failed build
    reports its reason in one line.
    """

    def __init__(self, *, keep: bool = False) -> None:
        trt.ILogger.__init__(self)
        self.lines: list[str] | None = [] if keep else None
        self.first_error: str | None = None

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """Log a message. TensorRT calls this from any of its threads."""
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
    """TensorRT's error recorder. It is thread-safe, because errors occur in any thread."""

    def __init__(self) -> None:
        trt.IErrorRecorder.__init__(self)
        self._lock = threading.Lock()
        self._errors: list[tuple[trt.ErrorCodeTRT, str]] = []
        self._overflowed = False

    def told(self) -> str:
        """Return the first error on one line, for a call that only returned None."""
        with self._lock:
            if not self._errors:
                return "TensorRT gave no reason"
            code, text = self._errors[0]
            more = f" (and {len(self._errors) - 1} more)" if len(self._errors) > 1 else ""
        return f"{code.name}: {' '.join(text.split())}{more}"

    def clear(self) -> None:
        """Discard all errors."""
        with self._lock:
            self._errors.clear()
            self._overflowed = False

    def get_num_errors(self) -> int:
        """Return the number of kept errors. The bindings call it by this name, through `num_errors`."""
        return len(self._errors)

    def get_error_code(self, arg0: SupportsInt) -> trt.ErrorCodeTRT:
        """Return the code of one error."""
        return self._errors[int(arg0)][0]

    def get_error_desc(self, arg0: SupportsInt) -> str:
        """Return the text of one error."""
        return self._errors[int(arg0)][1]

    def has_overflowed(self) -> bool:
        """Return whether errors were dropped."""
        return self._overflowed

    def report_error(self, arg0: trt.ErrorCodeTRT, arg1: str) -> bool:
        """Keep an error. Returns False: TensorRT's own return values decide whether it stops."""
        with self._lock:
            if len(self._errors) < _KEPT_ERRORS:
                self._errors.append((arg0, arg1))
            else:
                self._overflowed = True
        return False


def start(make: Callable[[trt.ILogger], Made], said: TensorRtLog) -> Made:
    """Create a runtime or builder; raises DeviceError when the library cannot, without a driver or memory.

    The bindings then raise TypeError, or return an object whose next call ends the process. Only the log shows
    that.
    """
    made: Made | None = None
    reason: str | None = None
    try:
        made = make(said)
    except TypeError as error:
        reason = str(error)
    reason = said.first_error or reason
    if made is None or reason is not None:
        # Never freed, because that would also end the process.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))
        raise DeviceError(f"TensorRT {trt.__version__} does not start ({reason})")
    return made
