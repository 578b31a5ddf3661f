"""Corrections of asyncua's decoder: what a message decodes to is bounded by the message's own length.

Version 2.1 believes lengths: an array of two thousand million empty values has nine bytes, a text with a length
below zero moves the reader backwards, and dimensions fill an array up to a million elements. Each of them takes
the memory of the PC, or runs for minutes, and some before any login.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua import ua_binary

_MARK: Final = "_bounded"
_BOUNDED: Final = ("_create_uatype_array_deserializer", "_create_list_deserializer")

_Create = Callable[[Any], Callable[[Any], Any]]
_Reshape = Callable[[list[Any], list[int]], list[Any]]


def bound_decoder() -> None:
    """Put the corrections in place, once for the process."""
    if hasattr(ua_binary, _MARK):
        return
    setattr(ua_binary, _MARK, True)
    Buffer.read = _forwards(Buffer.read)
    for name in _BOUNDED:
        setattr(ua_binary, name, _no_longer_than_message(getattr(ua_binary, name)))
    ua_binary._reshape = _as_declared(ua_binary._reshape)  # noqa: SLF001  # the library has no setting for it


def _forwards(read: Callable[[Buffer, int], bytes]) -> Callable[[Buffer, int], bytes]:
    def forwards(self: Buffer, size: int) -> bytes:
        if size < 0:
            raise NotEnoughData(f"a length of {size}")
        return read(self, size)

    return forwards


def _no_longer_than_message(create: _Create) -> _Create:
    @functools.cache
    def created(kind: Any) -> Callable[[Any], Any]:
        deserialize = create(kind)

        def bounded(data: Any) -> Any:
            length = ua_binary.Primitives.Int32.unpack(data.copy(4))
            # A value has one byte at least, except an empty one, which has none.
            if length > len(data) or (kind is ua.VariantType.Null and length > 0):
                raise NotEnoughData(f"an array of {length} elements in {len(data)} bytes")
            return deserialize(data)

        return bounded

    return created


def _as_declared(reshape: _Reshape) -> _Reshape:
    def declared(flat: list[Any], dimensions: list[int]) -> list[Any]:
        if min(dimensions, default=-1) < 0 or math.prod(dimensions) != len(flat):
            raise ua.UaError(f"dimensions that do not fit {len(flat)} elements")
        return reshape(flat, dimensions) if flat else flat

    return declared
