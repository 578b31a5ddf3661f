"""Figures of the strip for docs/strip.md: roll marks found and false, edges of simulated strips, cost per frame.

python -m tests.benchmarks.strip [--marked 400] [--coils 100]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from inspector.core.strip.edges import find_edges
from inspector.core.strip.optics import Lens, Optics
from inspector.values import Pixels
from tests.unit.inspector.strip.test_edges import MM_PER_PX, WIDTH, pictures
from tests.unit.inspector.strip.test_periodic import ROLLS, false_periods, marked_coil, marks_within, turns_to_find

ROUNDS = 300
EDGE_SEEDS = (11, 12, 13)


def rolls(marked: int, coils: int) -> None:
    """Turns until a mark is found, and false periods in coils of 2 km."""
    turns, shown = [], []
    for seed in range(marked):
        roll = ROLLS[seed % len(ROLLS)]
        shown.append(marks_within(*marked_coil(seed, roll), 5) >= 3)
        turns.append(turns_to_find(seed, roll))
    found = np.array(turns)
    print(f"{marked} marks, 30 % missed, 5 unrelated defects a metre: median turn {np.median(found):.1f}")
    print(f"  found by the 5th turn {np.mean(found < 5.5):.1%}, of those that show three marks by then "
          f"({np.mean(shown):.1%}) {np.mean(found < 5.5) / np.mean(shown):.1%}")  # fmt: skip
    print(f"  by the 6th {np.mean(found < 6.5):.1%}, by the 10th {np.mean(found < 10.5):.1%}")
    print(f"{coils} coils of 2 km without marks: {false_periods(coils)} false periods", flush=True)


def edges() -> None:
    """Error of each edge that the simulator drew."""
    wrong_mm: list[float] = []
    other = 0
    for seed in EDGE_SEEDS:
        for pixels, *truths in pictures(seed):
            for truth, place in zip(truths, find_edges(pixels), strict=True):
                if truth is None or place is None:
                    other += (truth is None) != (place is None)
                else:
                    wrong_mm.append(abs(place - truth) * MM_PER_PX)
    middle_mm = statistics.median(wrong_mm)
    print(f"{len(wrong_mm)} edges: error at most {max(wrong_mm):.2f} mm, median {middle_mm:.2f} mm; "
          f"{other} missed or invented")  # fmt: skip


def cost() -> None:
    """Milliseconds per frame of 256×1600."""
    cv2.setNumThreads(1)  # as in a stage
    pixels = pictures(EDGE_SEEDS[0])[0][0]
    height = len(pixels)
    lens = Lens((1600.0, 1600.0), (800.0, 128.0), (-0.1, 0.0, 0.0, 0.0, 0.0))
    gain = np.ones(WIDTH, np.float32)
    steps: dict[str, Callable[[Pixels], object]] = {
        "strip edges": find_edges,
        "gain": Optics(height, WIDTH, gain, None).correct,
        "lens": Optics(height, WIDTH, None, lens).correct,
        "gain and lens": Optics(height, WIDTH, gain, lens).correct,
    }
    for name, step in steps.items():
        taken_ms = []
        for _ in range(ROUNDS):
            began_s = time.perf_counter()
            step(pixels)
            taken_ms.append((time.perf_counter() - began_s) * 1e3)
        print(f"{name}: median {statistics.median(taken_ms):.2f} ms, least {min(taken_ms):.2f} ms a frame")


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--marked", type=int, default=400)
    parser.add_argument("--coils", type=int, default=100)
    options = parser.parse_args()
    cost()
    edges()
    rolls(options.marked, options.coils)


if __name__ == "__main__":
    main()
