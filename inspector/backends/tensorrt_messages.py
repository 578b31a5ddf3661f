"""What TensorRT says: its log goes to ours, its errors are kept until someone asks what went wrong."""

import threading
from typing import Final, SupportsInt

import structlog
import tensorrt as trt

log = structlog.get_logger()

_KEPT_ERRORS: Final = 32
"""The first ones tell the cause; a library that fails in a loop must not fill memory."""


class TensorRtLog(trt.ILogger):
    """TensorRT's logger; `lines` keeps everything, for a build's log file, when asked to."""

    def __init__(self, *, keep: bool = False) -> None:
        trt.ILogger.__init__(self)
        self.lines: list[str] | None = [] if keep else None
        self.first_error: str | None = None

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """Called by TensorRT, from any of its threads."""
        if self.lines is not None:
            self.lines.append(f"{severity.name}: {msg}")
        if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
            self.first_error = self.first_error or " ".join(msg.split())
            log.error("tensorrt", said=msg)
        elif severity == trt.ILogger.WARNING:
            log.warning("tensorrt", said=msg)
        else:
            log.debug("tensorrt", said=msg)


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

    def num_errors(self) -> int:
        """How many are kept."""
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
