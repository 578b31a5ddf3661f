"""The simulated strip as a source, for demos, load tests, and lines without a camera."""

import itertools
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

import numpy as np
import structlog

from inspector.config.sources import SimulatorSettings
from inspector.sources.base import WhenBehind
from inspector.sources.simulator import SimulatedFrame, StripSettings, strip
from inspector.values import Capture, Pixels

SLOW_S: Final = 2.0
"""Delay behind the pace at which the simulator counts as too slow, seconds; a merely busy PC catches up
earlier."""

log = structlog.get_logger()

IDLE_S: Final = 0.2
"""Longest time without a frame or None for ingest, seconds."""


def strip_settings(
    settings: SimulatorSettings, coil_frames: int, roll_period_px: float | None, roll_missed_share: float
) -> StripSettings:
    """The strip that a simulated camera looks at."""
    return StripSettings(
        seed=settings.seed,
        height=settings.height,
        width=settings.strip_width or settings.width,
        roll_period_px=roll_period_px,
        roll_missed_share=roll_missed_share,
        defective_share=settings.defective_share,
        coil_frames=coil_frames,
    )


def seen_by(settings: SimulatorSettings, strip: Pixels) -> Pixels:
    """The part of the strip that this camera sees."""
    if settings.strip_width is None and not settings.mirrored:
        return strip
    part = strip[:, settings.first_column : settings.first_column + settings.width]
    return np.ascontiguousarray(part[:, ::-1] if settings.mirrored else part)


class SimulatorSource:
    """Frames of a simulated strip: as fast as the line takes them, or at the pace of a camera that never waits."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self.when_behind = WhenBehind.WAIT if settings.frames_per_second is None else WhenBehind.SHED_OLDEST
        self._strip: Iterator[SimulatedFrame] = iter(())

    def __enter__(self) -> Self:
        """Render the first frame, or the `distinct` frames that are repeated."""
        settings = self._settings
        self._strip = strip(
            strip_settings(settings, settings.coil_frames, settings.roll_period_px, settings.roll_missed_share)
        )
        if settings.distinct is not None:
            self._strip = itertools.cycle(list(itertools.islice(self._strip, settings.distinct)))
        else:
            # The first frame takes half a second on a slow PC, longer than an open source may be silent.
            self._strip = itertools.chain((next(self._strip),), self._strip)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop the rendered frames."""
        self._strip = iter(())

    def total(self) -> int | None:
        """Return the configured number of frames."""
        return self._settings.frames

    def notes(self) -> list[str]:
        """Return no notes."""
        return []

    def captures(self) -> Iterator[Capture | None]:
        """Yield the strip's frames; with a configured rate, each when it is due."""
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
                        "the simulator is too slow for frames_per_second: set `distinct` to render some frames"
                        " before the start and repeat them, or lower the rate",
                        frames_per_second=rate,
                        drawn_per_second=round(index / (time.monotonic() - started_s), 1),
                    )
            yield Capture(seen_by(self._settings, frame.pixels), coil=frame.coil)

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the common size of all frames."""
        yield "simulated frame", (self._settings.height, self._settings.width)
