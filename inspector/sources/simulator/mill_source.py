"""Cameras of a simulated mill: the encoder triggers a frame when the strip has moved on by a frame's length."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import cv2
import numpy as np
import structlog

from inspector.clocks import both_clocks
from inspector.config.line import LineConfig
from inspector.config.mill import MillSettings
from inspector.config.sources import SimulatorSettings
from inspector.core.strip.periodic import period_mm
from inspector.sources.base import WhenBehind
from inspector.sources.simulator import SimulatedCoil
from inspector.sources.simulator.mill import Mill, SpeedProfile, begin, begun
from inspector.sources.simulator.source import SLOW_S, seen_by, strip_settings
from inspector.sources.simulator.surface import Textures
from inspector.values import Capture, Pixels

STEP_NS: Final = 5_000_000
"""Steps in which the trigger follows the strip: at 20 m/s it moves by 100 mm."""

TRIGGER_NS: Final = 10_000
"""How well the time of a trigger is known."""

IDLE_NS: Final = 150_000_000
"""Longest time without a frame or None for ingest."""

log = structlog.get_logger()


def mill_of(settings: MillSettings, began_ns: int) -> Mill:
    """The mill of a line."""
    return Mill(SpeedProfile(settings.profile), settings.repeat, began_ns)


def running_mill(settings: MillSettings, links: Path) -> Mill | None:
    """The mill of a line; None while its strip waits for the first camera. Raises OSError."""
    began_ns = begun(links)
    return None if began_ns is None else mill_of(settings, began_ns)


class MillCamera:
    """One camera over the strip of a simulated mill."""

    when_behind = WhenBehind.SHED_OLDEST

    def __init__(self, line: LineConfig, camera: str, settings: SimulatorSettings, mm_per_px_along: float) -> None:
        """`mm_per_px_along` is the camera's."""
        assert line.mill is not None  # noqa: S101  # for mypy: its caller asks first
        self._links, self._mill, self._settings = line.links, line.mill, settings
        self._mm_per_px = mm_per_px_along
        place = None if line.strip is None else line.strip.camera(camera)
        self._offset_mm = 0.0 if place is None else place.offset_along_mm
        self._roll_px: float | None = None
        for roll in () if line.strip is None else line.strip.rolls:
            if roll.name == line.mill.marked_roll and place is not None and roll.side == place.side:
                self._roll_px = period_mm(roll.diameter_mm, roll.elongation) / mm_per_px_along
        self._frame_mm = settings.height * mm_per_px_along
        self._coil: tuple[int, SimulatedCoil] | None = None
        self._repeated: list[Pixels] = []

    def __enter__(self) -> Self:
        """Draw what is drawn before the start."""
        coil_mm = None if self._mill.coil_m is None else 1000.0 * self._mill.coil_m
        self._coil_mm = coil_mm or self._settings.coil_frames * self._frame_mm
        frames = -(-self._coil_mm // self._frame_mm)
        self._strip = strip_settings(self._settings, int(frames) + 1, self._roll_px, self._mill.missed_share)
        self._textures = Textures(self._strip)
        if self._settings.distinct is not None:
            self._repeated = [self._pixels(index) for index in range(self._settings.distinct)]
        else:
            self._pixels(0)  # the first one takes long
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what was drawn."""
        self._coil, self._repeated = None, []

    def total(self) -> int | None:
        """Return the configured number of frames."""
        return self._settings.frames

    def notes(self) -> list[str]:
        """Return no notes."""
        return []

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield the common size of all frames."""
        yield "simulated frame", (self._settings.height, self._settings.width)

    def captures(self) -> Iterator[Capture | None]:
        """Yield a frame for each trigger; None while the strip stands."""
        given, slow_told = 0, False
        furthest: int | None = None
        rng = np.random.default_rng(self._settings.seed)
        for trigger in self._triggers(mill_of(self._mill, begin(self._links))):
            if trigger is None:
                yield None
                continue
            index, monotonic_ns = trigger
            late_s = (time.monotonic_ns() - monotonic_ns) / 1e9
            if late_s > SLOW_S and not slow_told:
                slow_told = True
                log.warning(
                    "the simulator is too slow for the mill: set `distinct`, or let the strip run more slowly",
                    late_s=round(late_s, 1),
                )
            pixels = self._repeated[index % len(self._repeated)] if self._repeated else self._pixels(index)
            if furthest is not None and index <= furthest:
                pixels = _seen_again(pixels, rng)
            furthest = index if furthest is None else max(furthest, index)
            now_ns, wall_ns = both_clocks()
            yield Capture(pixels, captured_ns=wall_ns - now_ns + monotonic_ns)
            given += 1
            if given == self._settings.frames:
                return

    def _triggers(self, mill: Mill) -> Iterator[tuple[int, int] | None]:
        """(frame's number on the strip, time of its trigger), in both directions of travel."""
        at_ns, told_ns = time.monotonic_ns(), time.monotonic_ns()
        here = self._frame_at(mill, at_ns)
        while True:
            until_ns = at_ns + STEP_NS
            if (early_ns := until_ns - time.monotonic_ns()) > 0:
                time.sleep(early_ns / 1e9)
            before, here = here, self._frame_at(mill, until_ns)
            # Frame n begins at the border between n - 1 and n, whichever way the strip crosses it.
            crossed = range(before + 1, here + 1) if here >= before else range(before, here, -1)
            for number in crossed:
                yield number, self._crossing_ns(mill, at_ns, until_ns, number, forward=here > before)
                told_ns = time.monotonic_ns()
            at_ns = until_ns
            if time.monotonic_ns() - told_ns > IDLE_NS:
                told_ns = time.monotonic_ns()
                yield None

    def _frame_at(self, mill: Mill, monotonic_ns: int) -> int:
        return int((mill.position_mm(monotonic_ns) - self._offset_mm) // self._frame_mm)

    def _crossing_ns(self, mill: Mill, from_ns: int, to_ns: int, number: int, *, forward: bool) -> int:
        """When the strip crossed the first row of this frame, by halving the step."""
        while to_ns - from_ns > TRIGGER_NS:
            middle_ns = (from_ns + to_ns) // 2
            if (self._frame_at(mill, middle_ns) >= number) == forward:
                to_ns = middle_ns
            else:
                from_ns = middle_ns
        return to_ns

    def _pixels(self, number: int) -> Pixels:
        """The frame with this number on the strip, drawn as part of its coil."""
        coil = max(0, int(number * self._frame_mm // self._coil_mm))
        first = -int(-coil * self._coil_mm // self._frame_mm)
        if self._coil is None or self._coil[0] != coil:
            first_row = first * self._settings.height
            self._coil = (coil, SimulatedCoil(self._strip, self._textures, coil, first_row))
        index = min(max(number - first, 0), self._strip.coil_frames - 1)
        return seen_by(self._settings, self._coil[1].frame(index).pixels)


def _seen_again(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """The same steel in another picture: a sensor's noise makes two of them differ, uint8 [H, W]."""
    noise = rng.integers(-1, 2, pixels.shape, np.int8)
    return np.asarray(cv2.add(pixels, noise, dtype=cv2.CV_8U), np.uint8)
