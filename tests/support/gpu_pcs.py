"""A PC with a GPU for tests: the stand-ins of tests/stand_in, in this process or in a child's environment."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

STAND_IN = Path(__file__).parents[1] / "stand_in"

_REPLACED = ("cuda", "tensorrt", "tensorrt_lean_libs")
_BOUND_TO_THEM = (
    "inspector.backends.tensorrt_engine",
    "inspector.backends.tensorrt_messages",
    "trainer.build.tensorrt_parser",
    "trainer.build.tensorrt_plan",
    "trainer.build.tensorrt_progress",
)
"""Modules that import them at their head."""


@contextmanager
def stand_in_gpu(**settings: str) -> Iterator[ModuleType]:
    """In this process `cuda` and `tensorrt` are the stand-ins; gives the runtime, for tests that count.

    Settings are the stand-ins' environment variables without STAND_IN_.
    """
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_replaced(name)}
    sys.path.insert(0, str(STAND_IN))
    try:
        with patch.dict(os.environ, _environment(settings)):
            from cuda.bindings import runtime

            yield runtime
    finally:
        sys.path.remove(str(STAND_IN))
        for name in [name for name in sys.modules if _is_replaced(name)]:
            del sys.modules[name]
        sys.modules.update(hidden)


def child_environment(**settings: str) -> dict[str, str]:
    """For a process that is to find the stand-ins."""
    return {**os.environ, "PYTHONPATH": python_path(STAND_IN), **_environment(settings)}


def python_path(first: Path) -> str:
    """That folder in front of what a child finds anyway."""
    return os.pathsep.join(filter(None, (str(first), os.environ.get("PYTHONPATH"))))


def _environment(settings: dict[str, str]) -> dict[str, str]:
    return {f"STAND_IN_{name}": value for name, value in settings.items()}


def _is_replaced(name: str) -> bool:
    return name.partition(".")[0] in _REPLACED or name in _BOUND_TO_THEM
