"""Base classes that a program derives from. pybind11 needs their __init__ called; here it is checked, too."""

from .values import Misuse, _Flag


class _Derived:
    def __init__(self) -> None:
        self._made = True


def checked(callback, kind):
    """The callback, when it is one; raises Misuse for one whose base was not initialised."""
    if not isinstance(callback, kind) or not getattr(callback, "_made", False):
        raise Misuse(f"{type(callback).__name__} is no {kind.__name__} with its base initialised")
    return callback


class ILogger(_Derived):
    class Severity(_Flag):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def log(self, severity, msg) -> None:
        raise NotImplementedError


for _name, _value in ILogger.Severity.__members__.items():
    setattr(ILogger, _name, _value)


class IErrorRecorder(_Derived):
    def clear(self) -> None:
        raise NotImplementedError

    def get_error_code(self, arg0) -> None:
        raise NotImplementedError

    def get_error_desc(self, arg0) -> None:
        raise NotImplementedError

    def has_overflowed(self) -> None:
        raise NotImplementedError

    def num_errors(self):
        return self.get_num_errors()

    def report_error(self, arg0, arg1) -> None:
        raise NotImplementedError


class IProgressMonitor(_Derived):
    def phase_start(self, phase_name, parent_phase, num_steps) -> None:
        raise NotImplementedError

    def step_complete(self, phase_name, step) -> None:
        raise NotImplementedError

    def phase_finish(self, phase_name) -> None:
        raise NotImplementedError


class Telling:
    """Says what goes wrong the way the library does: to the recorder where one is set, to the logger otherwise."""

    def __init__(self, logger) -> None:
        self.logger = checked(logger, ILogger)
        self.error_recorder = None

    def fail(self, code, words) -> None:
        if self.error_recorder is not None:
            checked(self.error_recorder, IErrorRecorder).report_error(code, words)
        else:
            self.logger.log(ILogger.Severity.ERROR, f"[stand_in.cpp::fail::1] Error Code {code.value}: {words}")
