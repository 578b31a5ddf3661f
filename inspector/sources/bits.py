"""Reads the bit fields of H.264 and H.265 headers."""

from typing import Final

_LONGEST_CODE_BITS: Final = 32
"""Leading zeros of an Exp-Golomb code, bits: the standards allow no more."""


class BitReader:
    """Bits of a NAL unit from its start, most significant first; raises ValueError behind the end."""

    def __init__(self, unit: bytes) -> None:
        # 00 00 03 stands for 00 00: otherwise header fields could look like a start code.
        plain = unit.replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(plain, "big")
        self._left = 8 * len(plain)

    def u(self, bits: int) -> int:
        """An unsigned number of fixed length."""
        if bits > self._left:
            raise ValueError("the header ends too early")
        self._left -= bits
        return (self._value >> self._left) & ((1 << bits) - 1)

    def ue(self) -> int:
        """An unsigned Exp-Golomb number."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > _LONGEST_CODE_BITS:
                raise ValueError("no Exp-Golomb number")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """A signed Exp-Golomb number."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)
