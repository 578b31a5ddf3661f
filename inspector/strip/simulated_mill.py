"""The simulated mill's side of the strip process: its encoder, and its coils at their heads."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from inspector.config.mill import MillSettings
from inspector.config.strip import MillPosition
from inspector.core.strip.coils import CoilData, EventRefusedError
from inspector.core.strip.odometer import Reading
from inspector.sources.simulator.mill import Encoder, Mill
from inspector.strip.coil_events import CoilEvents

LOOK_S: Final = 0.05
"""How often the mill looks whether a coil's head passes, seconds."""

RETRY_S: Final = 1.0
"""Pause before a refused coil is reported again, seconds."""

FindMill = Callable[[], Mill | None]
"""Returns the mill as soon as its strip moves."""

log = structlog.get_logger()


class MillSource:
    """Readings of the simulated encoder."""

    def __init__(self, settings: MillPosition, mill: FindMill) -> None:
        self._find, self._encoder = mill, Encoder(settings.mm_per_count)
        self._pause_s = settings.interval_ms / 1000

    def readings(self) -> Iterator[Reading | None]:
        """Yield a reading every `interval_ms`."""
        mill = None
        while True:
            mill, now_ns = mill or self._find(), time.monotonic_ns()
            if mill is None:
                yield Reading(now_ns, 0.0, 0.0)
            else:
                count = self._encoder.count(mill.position_mm(now_ns))
                yield Reading(now_ns, float(count), mill.speed_mm_s(now_ns))
            time.sleep(self._pause_s)

    def close(self) -> None:
        """Nothing is open."""


class MillCoils:
    """Announces a coil's end and the next one's start when the next head passes position zero."""

    def __init__(self, settings: MillSettings, coil_m: float, mill: FindMill, coil_events: CoilEvents) -> None:
        self._settings, self._coil_mm, self._find, self._coil_events = settings, 1000 * coil_m, mill, coil_events
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mill-coils", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        said, mill = -1, None
        while not self._stop.wait(LOOK_S):
            mill = mill or self._find()
            if mill is None:
                continue
            at_mm = mill.position_mm(time.monotonic_ns())
            coil = int(at_mm // self._coil_mm)
            if coil <= said:  # also while the strip runs back into the coil before
                continue
            try:
                self._say(f"mill:{mill.began_ns}:{coil}", at_mm - coil * self._coil_mm)
                said = coil
            except OSError as error:
                log.error("a coil of the simulated mill cannot be written down", error=error.strerror)
                self._stop.wait(RETRY_S)

    def _say(self, mark: str, past_mm: float) -> None:
        """`mark` tells this coil from others; `past_mm` is the distance since its head passed. Raises OSError."""
        coils = self._coil_events.coils
        if any(each.start.said_by == mark for each in coils):
            return  # announced before this process restarted
        head_mm = self._coil_events.place_mm() - past_mm
        try:
            if coils and coils[-1].end_mm is None:
                self._coil_events.end(coils[-1].id, mark, head_mm)
            self._coil_events.start(self._data(coils[-1].number if coils else 0), mark, head_mm)
        except EventRefusedError:
            pass  # `CoilEvents` has logged why

    def _data(self, before: int) -> CoilData:
        settings = self._settings
        grades, customers = settings.grades or ("",), settings.customers or ("",)
        return CoilData(
            id=f"C-{settings.first_coil + before}",
            grade=grades[before % len(grades)],
            customer=customers[before % len(customers)],
            width_mm=settings.width_mm,
            length_mm=self._coil_mm,
        )
