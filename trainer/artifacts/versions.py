"""Which libraries made something: their versions, without importing them."""

from importlib import metadata


def library_versions(*names: str) -> dict[str, str]:
    """Distribution name → version of those that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
