"""Confidence intervals of shares that are counted on few frames."""

import math
from collections.abc import Mapping
from typing import Any, Final

INTERVAL: Final = "Wilson, 95 %"
"""Name of the interval, stored beside the figures that have one."""
_Z: Final = 1.959963984540054
"""97.5 % quantile of the normal distribution, which leaves out 2.5 % on either side."""


def wilson(count: int, of: int) -> tuple[float, float] | None:
    """95 % score interval of the share `count` / `of`; None if `of` is 0.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209. Unlike count ± 2σ it is valid at 0 and at 1, near
    which good models are: after 0 escapes of 40 defective frames the share may still be 8.8 %.
    """
    if of == 0:
        return None
    share, spread = count / of, _Z * _Z / of
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    # At the ends the formula gives 0 and 1 except for rounding.
    low = 0.0 if count == 0 else max(0.0, centre - half)
    high = 1.0 if count == of else min(1.0, centre + half)
    return low, high


def counted(count: int, of: int) -> dict[str, Any]:
    """A share with its counts, as JSON values; share and interval are None if `of` is 0."""
    interval = wilson(count, of)
    return {
        "count": count,
        "of": of,
        "share": count / of if of else None,
        "interval": None if interval is None else list(interval),
    }


def measured(figures: Mapping[str, Any], key: str) -> float | None:
    """A figure of `trainer evaluate --json`; None for an escape or overkill of no frame, which JSON gives as 0."""
    if f"{key}_interval" in figures and figures[f"{key}_interval"] is None:
        return None
    return float(figures[key])


def share_text(figures: Mapping[str, Any], key: str) -> str:
    """The figure in per cent, or that there is no frame to measure it on."""
    value = measured(figures, key)
    return "not measured (no such frame)" if value is None else f"{value:.2%}"
