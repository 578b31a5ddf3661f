"""Loads Aravis, the library for GenICam cameras, through GObject introspection.

Both are Debian packages. Debian's `gi` works in a virtual environment of the same Python version, so it is loaded
from Debian's folder; pip would have to compile it.
"""

import importlib.util
import sys
import threading
from functools import cache
from importlib.machinery import PathFinder
from typing import Any, Final

from inspector.errors import SourceError

DEBIAN_PACKAGES: Final = "/usr/lib/python3/dist-packages"

INSTALL: Final = "apt install gir1.2-aravis-0.8 python3-gi"


_loading: Final = threading.Lock()


@cache
def aravis() -> Any:
    """Return the Aravis namespace; raises SourceError with the command that installs it."""
    with _loading:
        try:
            _load_gi()
            import gi

            gi.require_version("Aravis", "0.8")
            from gi.repository import Aravis
        except (ImportError, ValueError) as error:
            raise SourceError(f"GenICam cameras need Aravis: {INSTALL} ({error})") from None
        return Aravis


def _load_gi() -> None:
    """Import `gi` from this environment or from Debian, without Debian's other packages."""
    if "gi" in sys.modules or importlib.util.find_spec("gi") is not None:
        return
    found = PathFinder.find_spec("gi", [DEBIAN_PACKAGES])
    if found is None or found.loader is None:
        raise ImportError("python3-gi is not installed")
    module = importlib.util.module_from_spec(found)
    sys.modules["gi"] = module
    try:
        found.loader.exec_module(module)
    except ImportError as error:
        for name in [each for each in sys.modules if each == "gi" or each.startswith("gi.")]:
            del sys.modules[name]
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise ImportError(f"Debian's python3-gi does not fit this Python {version}: {error}") from None


def glib_error() -> type[Exception]:
    """Return the exception class of Aravis' calls; its `message` says what went wrong."""
    aravis()
    from gi.repository import GLib

    error: type[Exception] = GLib.Error
    return error
