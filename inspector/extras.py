"""Libraries that only some installations have: their absence is one clear line, never a traceback."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from inspector.errors import InputError

EXTRAS: Final = {
    "sqlalchemy": "service",
    "cryptography": "service",
    "pymodbus": "service",
    "prometheus_client": "service",
    "psycopg": "postgres",
    "pyarrow": "parquet",
}
"""Library → the extra that brings it."""


@contextmanager
def needs_extra(what: str, extras: Mapping[str, str] = EXTRAS) -> Iterator[None]:
    """Turn a library that is missing inside the block into an InputError that names the install command."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in extras:
            raise
        raise InputError(
            f"{what} needs {missing}, which is not installed: pip install 'strip-inspector[{extras[missing]}]'"
        ) from None
