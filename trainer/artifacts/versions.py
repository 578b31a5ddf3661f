"""Versions of installed libraries, read without importing them."""

from importlib import metadata


def library_versions(*names: str) -> dict[str, str]:
    """Distribution name → version, for those of `names` that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
