"""How fast an engine is on this PC, alone and on real frames."""

import time
from typing import Any, Final

import numpy as np

from inspector.backends.base import Backend
from inspector.values import Pixels

SPEED_S: Final = 2.0
"""How long it is measured: long enough that starting and stopping do not count."""
WARM_UP_BATCHES: Final = 4


def measure_speed(
    engine: Backend, frames: Pixels, seconds: float = SPEED_S, batch: int | None = None
) -> dict[str, Any]:
    """Frames a second of the engine alone with all its slots in use, over real frames.

    `batch` is how many frames a batch has; None: as many as the engine takes.
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
            started = now  # from answer to answer, so that filling the slots does not count
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
