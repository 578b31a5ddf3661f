"""Every error this package raises on purpose.

InspectorError            what happened, to what, and what to do next, in one line
├── InputError            wrong usage, config or input                     exit code 2
│   ├── ConfigError       a line's config or a recipe
│   ├── EngineError       an engine folder that must not be opened
│   └── SourceError       a folder, video, recording or camera that cannot be opened
├── WorkError             the work itself failed                           exit code 1
│   └── DeviceError       a GPU that cannot go on: the process that used it must end
└── WireError             a message that must be refused (counted and logged, never fatal)
"""

from typing import Final

EXIT_INTERRUPTED: Final = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as in shells."""


class InspectorError(Exception):
    """Base of all errors raised on purpose; its text is one line meant for the user."""

    exit_code = 1


class InputError(InspectorError):
    """Wrong usage, config or input: nothing was started."""

    exit_code = 2


class ConfigError(InputError):
    """A config or recipe with a wrong key or value; names file, key and what is allowed."""


class EngineError(InputError):
    """An engine folder whose manifest, hashes, backend or golden frames do not check out."""


class SourceError(InputError):
    """A source that cannot be opened at all. A single unreadable frame is a fault, not an error."""


class WorkError(InspectorError):
    """The work failed after it had started."""


class DeviceError(WorkError):
    """CUDA or an engine on it failed. What the device holds is lost; only a new process can use it again."""


class WireError(InspectorError):
    """A message that must be refused: another wire version, malformed, or not valid for this line."""
