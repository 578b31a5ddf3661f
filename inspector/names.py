"""Names that are not UTF-8: Linux allows them, but JSON, TOML and databases cannot hold them."""


def printable(name: str) -> str:
    """Return a printable name: bytes that are not UTF-8 become question marks."""
    return name.encode("utf-8", "replace").decode("utf-8")
