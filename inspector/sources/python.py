"""Sources that users write: the config names a class, which is imported when the source is opened."""

from importlib import import_module
from typing import Final

from inspector.config.sources import PythonSettings
from inspector.errors import InspectorError, SourceError
from inspector.sources.base import Source, WhenBehind

MEMBERS: Final = ("__enter__", "__exit__", "captures", "notes", "sizes", "total", "when_behind")
"""What a source has."""


def load_source(settings: PythonSettings) -> Source:
    """Import the class and create the source. Raises SourceError if that fails or the source is incomplete."""
    name, _, attribute = settings.factory.partition(":")
    try:
        factory = getattr(import_module(name), attribute)
        source: Source = factory(**settings.options)
    except InspectorError:
        raise
    except Exception as error:
        raise SourceError(
            f"factory {settings.factory}: {type(error).__name__}: {error}: Python must find the module here "
            "(PYTHONPATH, or pip install), and the class must accept the options"
        ) from error
    missing = [member for member in MEMBERS if not hasattr(source, member)]
    if missing:
        raise SourceError(f"factory {settings.factory}: lacks {', '.join(missing)}: see inspector.api.Source")
    if source.when_behind not in list(WhenBehind):
        allowed = ", ".join(WhenBehind)
        raise SourceError(f"factory {settings.factory}: when_behind is {source.when_behind!r}: allowed: {allowed}")
    return source
