"""Warnings about figures that make a model useless on a line."""

from collections.abc import Mapping
from typing import Any, Final

MOST_OVERKILL: Final = 0.5
"""Share of good frames rejected from which a reject means almost nothing."""
MOST_ESCAPE: Final = 0.8
"""Share of defective frames accepted from which a model finds almost nothing."""
LEAST_GAIN: Final = 0.02
"""Least gain in mIoU over calling every pixel normal; a smaller gain is noise on a few hundred frames."""


def overkill_alarm(figures: Mapping[str, Any]) -> str | None:
    """Warning about the overkill; None if it is acceptable. `figures` are those of `trainer evaluate --json`."""
    if figures["overkill"] < MOST_OVERKILL:
        return None
    return (
        f"{figures['overkill']:.0%} of the good frames are rejected: a line with this model throws out most of "
        "its good steel. Train it longer or on more frames, or raise its thresholds in the recipe."
    )


def escape_alarm(figures: Mapping[str, Any]) -> str | None:
    """Warning about the escape; None if it is acceptable."""
    if figures["escape"] < MOST_ESCAPE:
        return None
    return (
        f"{figures['escape']:.0%} of the defective frames are accepted: a line with this model lets most defects "
        "pass. Train it longer or on more frames, or lower its thresholds in the recipe."
    )


def miou_alarm(figures: Mapping[str, Any]) -> str | None:
    """Warning about an mIoU that calling every pixel normal would reach, too; None if it is better."""
    blind = figures["all_normal"]["miou"]
    if not figures["defective_frames"] or figures["miou"] >= blind + LEAST_GAIN:
        return None
    return (
        f"mIoU {figures['miou']:.3f} is no better than calling every pixel normal ({blind:.3f}): the model has "
        "not learned the defects. Train it longer, on more frames, or with a smaller --crop, --loss ce+lovasz and "
        "--class-weighting 0.25."
    )


def alarms(figures: Mapping[str, Any]) -> list[str]:
    """All warnings; empty for a model that may be useful."""
    return [said for said in (escape_alarm(figures), overkill_alarm(figures), miou_alarm(figures)) if said]
