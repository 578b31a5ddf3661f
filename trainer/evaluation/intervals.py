"""How far a share counted on few frames may lie from the truth."""

import math
from typing import Any, Final

INTERVAL: Final = "Wilson, 95 %"
"""Named beside every figure that has one."""
_Z: Final = 1.959963984540054
"""97.5 % quantile of the normal distribution: 2.5 % are left out on either side."""


def wilson(count: int, of: int) -> tuple[float, float] | None:
    """95 % score interval of the share `count` / `of`; None where there was nothing to count.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209. Unlike count ± 2σ it holds at 0 and at 1, where good
    models live: 0 escapes of 40 defective frames still leave room for 8.8 %.
    """
    if of == 0:
        return None
    share, spread = count / of, _Z * _Z / of
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if count == 0 else max(0.0, centre - half)
    high = 1.0 if count == of else min(1.0, centre + half)
    return low, high


def counted(count: int, of: int) -> dict[str, Any]:
    """A share with what it was counted on, JSON values; share and interval are None over nothing."""
    interval = wilson(count, of)
    return {
        "count": count,
        "of": of,
        "share": count / of if of else None,
        "interval": None if interval is None else list(interval),
    }
