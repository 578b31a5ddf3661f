"""What makes a model useless on a line, in a sentence each."""

from collections.abc import Mapping
from typing import Any, Final

MOST_OVERKILL: Final = 0.5
"""Share of good frames rejected beyond which the rejects say next to nothing."""
MOST_ESCAPE: Final = 0.8
"""Share of defective frames accepted beyond which a model finds next to nothing."""
LEAST_GAIN: Final = 0.02
"""mIoU over that of calling every pixel normal; what is less is noise on a few hundred frames."""


def overkill_alarm(figures: Mapping[str, Any]) -> str | None:
    """What to say of the overkill; None where it is bearable. `figures` as `trainer evaluate --json`."""
    if figures["overkill"] < MOST_OVERKILL:
        return None
    return (
        f"{figures['overkill']:.0%} of the good frames are rejected: a line with this model throws out most of "
        "its good steel. Train it longer or on more frames, or raise its thresholds in the recipe."
    )


def escape_alarm(figures: Mapping[str, Any]) -> str | None:
    """What to say of the escape; None where it is bearable."""
    if figures["escape"] < MOST_ESCAPE:
        return None
    return (
        f"{figures['escape']:.0%} of the defective frames are accepted: a line with this model lets most defects "
        "pass. Train it longer or on more frames, or lower its thresholds in the recipe."
    )


def miou_alarm(figures: Mapping[str, Any]) -> str | None:
    """What to say of an mIoU that calling every pixel normal reaches, too; None where it is better than that."""
    blind = figures["all_normal"]["miou"]
    if not figures["defective_frames"] or figures["miou"] >= blind + LEAST_GAIN:
        return None
    return (
        f"mIoU {figures['miou']:.3f} is no better than calling every pixel normal ({blind:.3f}): the model has "
        "not learned the defects. Train it longer or on more frames."
    )


def alarms(figures: Mapping[str, Any]) -> list[str]:
    """All that is to be said; empty for a model that may be of use."""
    return [said for said in (escape_alarm(figures), overkill_alarm(figures), miou_alarm(figures)) if said]
