"""The simulated strip as a source: for a demo, a load test, and a line that has no camera yet."""

import itertools
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

import structlog

from inspector.config import SimulatorSettings
from inspector.sources.base import WhenBehind
from inspector.sources.simulator import SimulatedFrame, strip
from inspector.sources.simulator import SimulatorSettings as StripSettings
from inspector.values import Capture

SLOW_S: Final = 2.0
"""So far behind its pace, a simulator is too slow for it; a busy PC alone makes up for what it has lost."""

log = structlog.get_logger()

IDLE_S: Final = 0.2
"""Longest silence between two answers to ingest."""


class SimulatorSource:
    """Frames of a simulated strip, as fast as the line takes them, or at the pace of a camera that never waits."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self.when_behind = WhenBehind.WAIT if settings.frames_per_second is None else WhenBehind.SHED_OLDEST
        self._strip: Iterator[SimulatedFrame] = iter(())

    def __enter__(self) -> Self:
        """Render the first frame, or all that are shown over and over."""
        settings = self._settings
        self._strip = strip(
            StripSettings(
                seed=settings.seed,
                height=settings.height,
                width=settings.width,
                defective_share=settings.defective_share,
                coil_frames=settings.coil_frames,
            )
        )
        if settings.distinct is not None:
            self._strip = itertools.cycle(list(itertools.islice(self._strip, settings.distinct)))
        else:
            # The first takes half a second on a slow PC, longer than a source that is open may say nothing.
            self._strip = itertools.chain((next(self._strip),), self._strip)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to release."""
        self._strip = iter(())

    def total(self) -> int | None:
        """As configured."""
        return self._settings.frames

    def notes(self) -> list[str]:
        """Nothing to tell."""
        return []

    def captures(self) -> Iterator[Capture | None]:
        """The strip's frames; at a pace, each when it is due."""
        rate = self._settings.frames_per_second
        started_s = time.monotonic()
        slow_told = False
        for index, frame in enumerate(itertools.islice(self._strip, self._settings.frames)):
            if rate is not None:
                while (early_s := started_s + index / rate - time.monotonic()) > 0:
                    time.sleep(min(early_s, IDLE_S))
                    if early_s > IDLE_S:
                        yield None
                if not slow_told and -early_s > SLOW_S:
                    slow_told = True
                    log.warning(
                        "the simulator draws fewer frames than it is asked for: set `distinct` to draw some before"
                        " the start and show them over and over, or ask for fewer",
                        frames_per_second=rate,
                        drawn_per_second=round(index / (time.monotonic() - started_s), 1),
                    )
            yield Capture(frame.pixels, coil=frame.coil)

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """One size for all."""
        yield "simulated frame", (self._settings.height, self._settings.width)
