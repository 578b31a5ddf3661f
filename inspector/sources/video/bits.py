"""Reads the bit fields of H.264 and H.265 headers."""

from typing import Final

_LONGEST_CODE_BITS: Final = 32
"""Most leading zeros of an Exp-Golomb code, bits; the standards allow no more."""


class BitReader:
    """Reads bits of a NAL unit from its start, most significant first; raises ValueError past the end."""

    def __init__(self, unit: bytes) -> None:
        # The stream escapes 00 00 as 00 00 03, so that header fields never look like a start code.
        plain = unit.replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(plain, "big")
        self._left = 8 * len(plain)

    def u(self, bits: int) -> int:
        """Read an unsigned integer of fixed length."""
        if bits > self._left:
            raise ValueError("the header ends too early")
        self._left -= bits
        return (self._value >> self._left) & ((1 << bits) - 1)

    def ue(self) -> int:
        """Read an unsigned Exp-Golomb number."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > _LONGEST_CODE_BITS:
                raise ValueError("no Exp-Golomb number")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """Read a signed Exp-Golomb number."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)
