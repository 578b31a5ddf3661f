"""Roll marks in the simulator: its frames go the shipped way, maps to verdicts to the strip's surface."""

from typing import Any

import numpy as np
import pytest

from inspector.core.ledger import Settled
from inspector.core.rules import BoundRecipe, score_thresholds
from inspector.core.strip.periodic import Roll, RollMark, RollMarks, Spot
from inspector.core.strip.surface import Surface, View
from inspector.core.verdicts import VerdictMaker
from inspector.sources.simulator import StripSettings, strip
from inspector.sources.simulator.settings import CLASS_NAMES
from inspector.values import Announcement, Inspection, Segmentation

HEIGHT, WIDTH, FRAMES = 128, 640, 110
PERIOD_PX = 1000.0
CLASSES = ("normal", *CLASS_NAMES)


def marks_of(seed: int, period_px: float | None) -> list[RollMark]:
    """The roll marks of one simulated coil at 1 mm a pixel, with other defects on every fourth frame."""
    settings = StripSettings(
        seed, HEIGHT, WIDTH, defective_share=0.25, coil_frames=FRAMES, blemishes_per_frame=0.0,
        roll_period_px=period_px,
    )  # fmt: skip
    thresholds = score_thresholds(CLASSES, dict.fromkeys(CLASSES[1:], 0.5))
    rules = BoundRecipe("r@1", CLASSES, (False, *[True] * 4), (0.0, *[20.0] * 4), thresholds, 1.0, 1.0)
    maker = VerdictMaker("top", {"e": {"r@1": rules}}, "e")
    surface = Surface({"top": View(1.0, 1.0, float(HEIGHT), WIDTH)}, 20.0)
    finder = RollMarks([Roll("work roll", PERIOD_PX), Roll("other", 750.0)], 0.01, float(WIDTH))
    for index, frame in zip(range(FRAMES), strip(settings), strict=False):
        label = frame.label
        maps = Segmentation(np.maximum(label, 1), np.where(label > 0, 255, 0).astype(np.uint8), 1)
        announced = Announcement("top", 1, index, 1, 0, float(index * HEIGHT), HEIGHT, recipe="r@1")
        settled = Settled(index, announced, Inspection("e", 1, 2, 3, maps, frame.pixels), None)
        for found in surface.add(maker.make(settled, 10).verdict):
            finder.add("top", found.name, Spot(found.along_mm, found.across_mm, found.area_mm2))
    return finder.marks


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_roll_of_a_simulated_mill_is_found(seed: Any) -> None:
    """14 turns, 30 % of them without a mark: one mark, of its roll and kind, followed to the end."""
    (mark,) = marks_of(seed, PERIOD_PX)
    assert (mark.roll, mark.name) == ("work roll", "pits")
    assert mark.period_mm == pytest.approx(PERIOD_PX, rel=0.005)
    assert mark.found_mm - mark.first_mm < 7.5 * PERIOD_PX
    assert mark.hits >= 5


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_mill_without_a_damaged_roll_has_no_mark(seed: Any) -> None:
    """The same coil without that roll has no mark."""
    assert marks_of(seed, None) == []
