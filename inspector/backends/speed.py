"""Measures how fast an engine runs alone on this PC, on real frames."""

import time
from typing import Any, Final

import numpy as np

from inspector.backends.base import Backend
from inspector.values import Pixels

SPEED_S: Final = 2.0
"""Duration of the measurement, seconds: long enough that start and stop do not distort it."""
WARM_UP_BATCHES: Final = 4


def measure_speed(
    engine: Backend, frames: Pixels, seconds: float = SPEED_S, batch: int | None = None
) -> dict[str, Any]:
    """Measure the engine's frames per second over real frames, with all slots in use and nothing else running.

    `batch` is the number of frames per batch; None uses the engine's largest batch.
    """
    batch = engine.manifest.max_batch if batch is None else batch
    batches = [
        np.ascontiguousarray(np.take(frames, range(start, start + batch), axis=0, mode="wrap"))
        for start in range(0, len(frames), batch)
    ]
    for ticket in range(WARM_UP_BATCHES):
        engine.infer(batches[ticket % len(batches)])
    submitted = answered = 0
    engine_ms: list[float] = []
    started: float | None = None
    elapsed = 0.0
    while not answered or elapsed < seconds:
        while engine.in_flight < engine.slots:
            engine.submit(submitted, batches[submitted % len(batches)])
            submitted += 1
        answers = engine.wait()
        now = time.perf_counter()
        if started is None:
            started = now  # measures from answer to answer, so that filling the slots does not count
            continue
        answered += len(answers)
        engine_ms += [answer.engine_ms for answer in answers]
        elapsed = now - started
    while engine.in_flight:
        engine.wait()
    return {
        "frames_per_second": round(answered * batch / elapsed, 1),
        "batch": batch,
        "slots": engine.slots,
        "median_ms": round(float(np.median(engine_ms)), 2),
        "seconds": round(elapsed, 2),
        "device": engine.device(),
    }
