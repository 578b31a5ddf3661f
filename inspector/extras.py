"""The libraries only a service needs: their absence is one clear line, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from inspector.errors import InputError

INSTALL: Final = "pip install 'strip-inspector[service]'"

_SERVICE_MODULES: Final = frozenset({"pymodbus", "prometheus_client"})


@contextmanager
def needs_service_extra(what: str) -> Iterator[None]:
    """Turn a missing library inside the block into an InputError that names the install command."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _SERVICE_MODULES:
            raise
        raise InputError(f"{what} needs {missing}, which is not installed: {INSTALL}") from None
