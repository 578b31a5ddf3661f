"""Parses the head of an HTTP request, and refuses requests that are not addressed to this PC."""

import re
from http import HTTPStatus
from typing import Final

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


def parse(head: bytes) -> tuple[str, str]:
    """Method and path of a request head that ends with an empty line. Raises Refused."""
    first, *headers = head[:-4].split(b"\r\n")
    request = _REQUEST.fullmatch(first)
    if request is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "not an HTTP/1.1 request")
    hosts = [line.partition(b":")[2].strip() for line in headers if line.partition(b":")[0].lower() == b"host"]
    # HTTP/1.0 has no Host header; browsers do not use HTTP/1.0.
    if len(hosts) > 1 or (not hosts and request[3] == b"1"):
        raise Refused(HTTPStatus.BAD_REQUEST, "a request has one Host header")
    if hosts and _PORT.sub("", hosts[0].decode("latin-1").lower()) not in OWN_NAMES:
        raise Refused(HTTPStatus.FORBIDDEN, f"only {', '.join(sorted(OWN_NAMES))} may be asked")
    method, path = request[1].decode(), request[2].decode().partition("?")[0]
    if method not in METHODS:
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "nothing can be changed here: use GET")
    return method, path
