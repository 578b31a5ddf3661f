"""Running totals."""

import msgspec
import numpy as np

from inspector.core.tally import LatencyTally, Tally
from inspector.values import Code, Decision, Defect, Verdict


def verdict(
    frame_id: int, decision: Decision = Decision.ACCEPT, reasons: tuple[str, ...] = (), ids: tuple[str, ...] = ()
) -> Verdict:
    defects = tuple(Defect(each, 1, "pits", (0, 0, 1, 1), 1, 1.0, 0.0, 0.0, 0.5) for each in ids)
    return Verdict("top", frame_id, 0, 0.0, None, decision, reasons, defects, "r", "e")


def test_percentiles_are_right_to_one_percent() -> None:
    """Against numpy on a long-tailed sample."""
    values = np.random.default_rng(1).lognormal(2, 1, 20_000)
    tally = LatencyTally()
    for value in values:
        tally.add(float(value))
    for percent in (50, 99):
        assert abs(tally.percentile_ms(percent) / np.percentile(values, percent) - 1) < 0.02
    assert tally.max_ms == values.max()


def test_a_defect_in_several_frames_counts_once() -> None:
    """Counting goes by defect, not by frame."""
    tally = Tally()
    for frame_id, ids in enumerate([("a", "b"), ("a",), (), ("c",)]):
        tally.add(verdict(frame_id, ids=ids), 1.0, frame_id)
    assert tally.figures()["defects"] == {"pits": 3}


def test_reasons_are_counted_without_file_names() -> None:
    """A thousand unreadable files of one kind are one line of the summary."""
    tally = Tally()
    for index in range(3):
        name = f"frame: {index}.png"
        reason = (f"{name}: 16-bit image: save it as 8-bit grey or RGB",)
        unread = msgspec.structs.replace(
            verdict(index, Decision.UNINSPECTED, reason), file=name, codes=(Code.UNREADABLE,)
        )
        tally.add(unread, 1.0, index)
    assert tally.figures()["uninspected_codes"] == {"unreadable": 3}
    assert tally.figures()["uninspected_reasons"] == {"16-bit image: save it as 8-bit grey or RGB": 3}


def test_no_frames_give_figures_all_the_same() -> None:
    """An empty run has a summary."""
    figures = Tally().figures()
    assert figures["captured"] == 0
    assert figures["latency_ms"] == {"p50": 0.0, "p99": 0.0, "max": 0.0}
