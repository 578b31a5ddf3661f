"""Optional libraries: a missing one gives a one-line error instead of a traceback."""

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
    "fastapi": "serve",
    "uvicorn": "serve",
    "websockets": "serve",
    "argon2": "serve",
    "reportlab": "pdf",
    "paho": "mqtt",
    "asyncua": "opcua",
    "ray": "cluster",
}
"""Library → the extra that installs it."""


@contextmanager
def needs_extra(what: str, extras: Mapping[str, str] = EXTRAS) -> Iterator[None]:
    """Turn a missing library inside the block into an InputError that names the install command."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in extras:
            raise
        raise InputError(
            f"{what} needs {missing}, which is not installed: pip install 'strip-inspector[{extras[missing]}]'"
        ) from None
