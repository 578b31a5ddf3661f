"""Models that are of no use are called so."""

from typing import Any

import pytest

from trainer.evaluation.alarms import alarms
from trainer.evaluation.intervals import measured, share_text


def figures(**changes: Any) -> dict[str, Any]:
    """Of a fair model."""
    return {
        "overkill": 0.02,
        "escape": 0.05,
        "miou": 0.7,
        "defective_frames": 50,
        "all_normal": {"miou": 0.3},
        **changes,
    }


def test_a_fair_model_is_not_called_useless() -> None:
    """A fair model gets no warning, nor does a set without defects, where mIoU means nothing."""
    assert alarms(figures()) == []
    assert alarms(figures(miou=1.0, defective_frames=0, all_normal={"miou": 1.0})) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"overkill": 0.8}, "80% of the good frames are rejected"),
        ({"overkill": 1.0}, "100% of the good frames are rejected"),
        ({"escape": 0.95}, "95% of the defective frames are accepted"),
        ({"miou": 0.301}, "mIoU 0.301 is no better than calling every pixel normal (0.300)"),
        ({"miou": 0.05}, "mIoU 0.050 is no better than calling every pixel normal"),
    ],
)
def test_what_makes_a_model_useless_is_said(changes: dict[str, Any], said: str) -> None:
    """One sentence for each reason, with the figure."""
    (sentence,) = alarms(figures(**changes))
    assert sentence.startswith(said)


def test_a_share_of_no_frame_is_not_measured() -> None:
    """Without a good frame the overkill is unknown, not 0."""
    told = {"escape": 0.25, "escape_interval": [0.1, 0.5], "overkill": 0.0, "overkill_interval": None, "miou": 0.5}
    assert measured(told, "escape") == 0.25
    assert measured(told, "overkill") is None
    assert measured(told, "miou") == 0.5
    assert share_text(told, "escape") == "25.00%"
    assert share_text(told, "overkill") == "not measured (no such frame)"
