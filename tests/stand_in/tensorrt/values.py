"""Enumerations and plain values."""

from enum import Enum


class Misuse(Exception):
    """A call that the real library answers with False, None or undefined behaviour, and goes on."""


class _Flag(Enum):
    """As pybind11's enumerations: `int()` gives the bit."""

    def __int__(self):
        return self.value


class BuilderFlag(_Flag):
    TF32 = 6
    VERSION_COMPATIBLE = 12
    EXCLUDE_LEAN_RUNTIME = 13


class NetworkDefinitionCreationFlag(_Flag):
    STRONGLY_TYPED = 0


class HardwareCompatibilityLevel(_Flag):
    NONE = 0
    AMPERE_PLUS = 1
    SAME_COMPUTE_CAPABILITY = 2


class ExecutionContextAllocationStrategy(_Flag):
    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class DataType(_Flag):
    FLOAT = 0
    HALF = 1
    UINT8 = 5


class ErrorCodeTRT(_Flag):
    SUCCESS = 0
    UNSPECIFIED_ERROR = 1
    INTERNAL_ERROR = 2
    INVALID_ARGUMENT = 3
    FAILED_EXECUTION = 7


class Dims:
    """Behaves like a tuple."""

    def __init__(self, shape) -> None:
        self._values = tuple(int(each) for each in shape)

    def __getitem__(self, arg0):
        return self._values[arg0]

    def __len__(self):
        return len(self._values)

    def __eq__(self, other):
        return self._values == tuple(other)

    __hash__ = None


class IHostMemory(bytes):
    """The library's memory; the real one has only the buffer protocol, so nothing else may be used."""
