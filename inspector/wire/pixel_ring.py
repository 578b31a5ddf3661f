"""Frames in memory that ingest and workers share; only a slot number travels on the link.

A kernel socket would copy each frame twice, which costs more than the rest of its way through the line. The memory
is a file in the links folder (on tmpfs), open to the users of the line's sockets only. A slot is reused when the
worker has released it or when its frame's deadline has passed. A hung worker may still read it then, but its
result is too late to count.
"""

import math
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np

from inspector.errors import WireError, WorkError
from inspector.folders import make_own_folder, share_with_group
from inspector.values import Pixels

_PAGE: Final = mmap.PAGESIZE


class PixelRing:
    """One camera's slots, all of one size. ingest calls `create`, a worker calls `open`."""

    def __init__(self, path: Path, memory: mmap.mmap, slot_bytes: int, owner: bool) -> None:
        self.path = path
        self.slot_bytes = slot_bytes
        self.slots = len(memory) // stride(slot_bytes)
        self._bytes = np.frombuffer(memory, np.uint8).reshape(self.slots, -1)
        self._owner = owner

    @classmethod
    def create(cls, path: Path, slot_bytes: int, slots: int) -> Self:
        """Create a ring, and replace one that a killed ingest left. Raises WorkError when memory is short."""
        size = slots * stride(slot_bytes)
        make_own_folder(path.parent)
        path.unlink(missing_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        share_with_group(path)
        try:
            # Allocate now: missing memory must fail here, not as SIGBUS in the middle of a coil.
            os.posix_fallocate(file, 0, size)
            return cls(path, mmap.mmap(file, size), slot_bytes, owner=True)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise WorkError(
                f"no {size / 1e6:.0f} MB of shared memory for frames of a camera ({error.strerror}): set `links` "
                "in the config to a folder that has room; one on a disk works, and costs speed"
            ) from None
        finally:
            os.close(file)

    @classmethod
    def open(cls, path: Path, slot_bytes: int) -> Self:
        """Open a ring that ingest created; raises WireError when it is missing or has other slots."""
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise WireError(f"{path}: shared memory of the frames: {error.strerror}") from None
        try:
            size = os.fstat(file).st_size
            if slot_bytes < 1 or size == 0 or size % stride(slot_bytes):
                raise WireError(f"{path}: {size} bytes are not a ring of slots of {slot_bytes} bytes")
            # Writable, because engines accept only writable memory; none of them writes to it.
            return cls(path, mmap.mmap(file, size), slot_bytes, owner=False)
        finally:
            os.close(file)

    def put(self, slot: int, pixels: Pixels) -> None:
        """Copy a frame of at most `slot_bytes` into its slot."""
        np.copyto(self._bytes[slot, : pixels.size], pixels.reshape(-1))

    def view(self, slot: int, height: int, width: int) -> Pixels:
        """The frame in a slot, uint8 [H, W], not copied; raises WireError when slot or size is impossible."""
        if not 0 <= slot < self.slots or height < 1 or width < 1 or height * width > self.slot_bytes:
            raise WireError(
                f"slot {slot} for {height}×{width} px: the ring has {self.slots} of {self.slot_bytes} B"
            )
        return self._bytes[slot, : height * width].reshape(height, width)

    def close(self) -> None:
        """Remove ingest's file; the memory is freed when its last frame is released."""
        if self._owner:
            self.path.unlink(missing_ok=True)


def side_by_side(planes: Sequence[Pixels]) -> Pixels | None:
    """Planes of one size that follow each other in one ring, as uint8 [N, H, W], not copied; else None."""
    first = planes[0]
    memory, shape, size = first.base, first.shape, first.size
    if not isinstance(memory, np.ndarray) or memory.ndim != 1:
        return None
    start = _address(first)
    for number, plane in enumerate(planes):
        # A tile of a wider frame is not contiguous.
        if plane.base is not memory or plane.shape != shape or not plane.flags.c_contiguous:
            return None
        if _address(plane) != start + number * size:
            return None
    start -= _address(memory)
    return memory[start : start + len(planes) * size].reshape(-1, *shape)


def _address(pixels: Pixels) -> int:
    return int(pixels.__array_interface__["data"][0])


def page_aligned(shape: tuple[int, ...]) -> Pixels:
    """Memory that begins on a page, as slots do.

    numpy's begins 16 bytes later, and AMD's Zen 3 copies between such offsets within a page at a tenth of its
    speed.
    """
    return np.frombuffer(mmap.mmap(-1, math.prod(shape)), np.uint8).reshape(shape)


def stride(slot_bytes: int) -> int:
    """Bytes from one slot to the next: slots begin on a page, because engines copy faster from aligned memory."""
    return -(-slot_bytes // _PAGE) * _PAGE
