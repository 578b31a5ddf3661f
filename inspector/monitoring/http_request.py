"""Parses the head of an HTTP request, and refuses requests that are not addressed to this PC."""

import re
from collections.abc import Collection
from http import HTTPStatus
from typing import Final, NamedTuple

METHODS: Final = ("GET", "HEAD")

OWN_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Accepted Host headers. A web page can point its own domain name at this address (DNS rebinding) and make a
browser on this PC send requests here; their Host header then shows that name."""

_REQUEST: Final = re.compile(rb"([A-Z]{1,16}) ([!-~]{1,2000}) HTTP/1\.([01])")
_PORT: Final = re.compile(r":\d{1,5}$")


class Refused(Exception):  # noqa: N818  # an HTTP response, not a failure
    """A request that gets an error response."""

    def __init__(self, code: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.code = code


class Request(NamedTuple):
    """The head of a request."""

    method: str
    path: str
    """Without what follows a question mark."""
    length: int = 0
    """Bytes of the body."""
    kind: str = ""
    """Its content type, lower case, without parameters."""


def parse(head: bytes, methods: Collection[str] = METHODS) -> Request:
    """Read a request head that ends with an empty line. Raises Refused."""
    first, *lines = head[:-4].split(b"\r\n")
    request = _REQUEST.fullmatch(first)
    if request is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "not an HTTP/1.1 request")
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    hosts = [value for name, value in headers if name == b"host"]
    # HTTP/1.0 has no Host header; browsers do not use HTTP/1.0.
    if len(hosts) > 1 or (not hosts and request[3] == b"1"):
        raise Refused(HTTPStatus.BAD_REQUEST, "a request has one Host header")
    if hosts and _PORT.sub("", hosts[0].decode("latin-1").lower()) not in OWN_NAMES:
        raise Refused(HTTPStatus.FORBIDDEN, f"only {', '.join(sorted(OWN_NAMES))} may be asked")
    method, path = request[1].decode(), request[2].decode().partition("?")[0]
    if method not in methods:
        may = (
            "nothing can be changed here: use GET" if set(methods) <= set(METHODS) else f"use {', '.join(methods)}"
        )
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, may)
    if method in METHODS:
        return Request(method, path)
    return Request(method, path, _length(headers), _kind(headers))


def _length(headers: list[tuple[bytes, bytes]]) -> int:
    lengths = [value for name, value in headers if name == b"content-length"]
    if any(name == b"transfer-encoding" for name, _ in headers) or len(lengths) > 1:
        raise Refused(HTTPStatus.BAD_REQUEST, "a body comes in one piece, with one Content-Length")
    if lengths and not re.fullmatch(rb"\d{1,9}", lengths[0]):
        raise Refused(HTTPStatus.BAD_REQUEST, "Content-Length is a number")
    return int(lengths[0]) if lengths else 0


def _kind(headers: list[tuple[bytes, bytes]]) -> str:
    # A browser adds Origin to every request that a page sends by POST; programs on this PC do not.
    if any(name == b"origin" for name, _ in headers):
        raise Refused(HTTPStatus.FORBIDDEN, "web pages may not give orders")
    kinds = [value for name, value in headers if name == b"content-type"]
    return kinds[0].partition(b";")[0].strip().lower().decode("latin-1") if kinds else ""
