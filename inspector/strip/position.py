"""Follows the strip's position in a thread, from the source that the config names."""

import threading
import time
from collections.abc import Iterator
from typing import Final, Protocol

import structlog

from inspector.config.line import LineConfig
from inspector.config.sources import GenicamSettings
from inspector.config.strip import CameraPosition, MillPosition, ModbusPosition, PositionSettings
from inspector.core.strip.odometer import Odometer, Reading
from inspector.errors import WorkError
from inspector.repeated import Repeated
from inspector.strip.camera_position import CameraSource
from inspector.strip.modbus_position import ModbusSource
from inspector.strip.simulated_mill import FindMill, MillSource
from inspector.strip.text_position import TextSource
from inspector.wire.strip_files import TrackWriter

PAUSES_S: Final = (0.1, 0.2, 0.5, 1.0)
"""Pauses before connecting again, seconds; the last one repeats."""

QUIET_S: Final = 1.0
"""Time without a line after which a text source counts as silent, seconds."""

log = structlog.get_logger()


class PositionSource(Protocol):
    """A source of readings."""

    def readings(self) -> Iterator[Reading | None]:
        """Yield a reading or None at least every WAIT_S. Raises WorkError when the connection breaks."""
        ...

    def close(self) -> None:
        """Close the connection; `readings` may be called again."""
        ...


def open_position(settings: PositionSettings, line: LineConfig, mill: FindMill | None) -> PositionSource:
    """The source that the settings describe. Raises InputError if a library is missing."""
    if isinstance(settings, ModbusPosition):
        return ModbusSource(settings)
    if isinstance(settings, CameraPosition):
        camera = line.cameras[settings.camera]
        triggered = isinstance(camera, GenicamSettings) and camera.trigger == "encoder"
        return CameraSource(line.links, triggered=triggered)
    if isinstance(settings, MillPosition):
        assert mill is not None  # noqa: S101  # for mypy: the config is refused without one
        return MillSource(settings, mill)
    return TextSource(settings)


LARGEST: Final = 2.0**64
"""Largest counter, and speed in mm/s, that is taken for a reading."""


class PositionThread:
    """Reads the source and writes each sample to the track immediately."""

    def __init__(self, source: PositionSource, odometer: Odometer, track: TrackWriter, name: str) -> None:
        """`name` is the source's name in the log."""
        self._source, self._odometer, self._track, self._name = source, odometer, track, name
        self._notes: dict[str, Repeated] = {}
        self._stop = threading.Event()
        self.answers = False
        """Whether the source currently answers."""
        self.readings = 0
        self._newest_ns = 0
        self._thread = threading.Thread(target=self._run, name="position", daemon=True)

    def age_s(self) -> float | None:
        """Age of the newest reading; None before the first."""
        return (time.monotonic_ns() - self._newest_ns) / 1e9 if self._newest_ns else None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread; waits for a request in progress."""
        self._stop.set()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                for reading in self._source.readings():
                    if self._stop.is_set():
                        break
                    if self._take(reading):
                        failures = 0
            except WorkError as error:
                self._lost(str(error), failures)
                self._source.close()
                self._stop.wait(PAUSES_S[min(failures, len(PAUSES_S) - 1)])
                failures += 1
            except Exception as error:
                # A fault of the program in one reading; the next one may be well. Until then ingest counts frames.
                log.exception("position: a reading cannot be taken")
                self._lost(str(error), failures)
                self._source.close()
                self._stop.wait(PAUSES_S[-1])
        self._source.close()

    def _take(self, reading: Reading | None) -> bool:
        if reading is not None and not all(map(_is_possible, (reading.count, reading.speed_mm_s))):
            self._odometer.notes.append("the counter or the speed is no possible number: the reading is left out")
            self._tell_notes()
            reading = None
        if reading is None:
            if self.answers and time.monotonic_ns() - self._newest_ns > QUIET_S * 1e9:
                self._lost(f"has sent nothing for {QUIET_S:g} s", 0)
            return False
        self._newest_ns = reading.monotonic_ns
        sample = self._odometer.add(reading)
        if sample is not None:
            self._track.add(sample, self._odometer.count)
        self.readings += 1
        self._tell_notes()
        if not self.answers:
            self.answers = True
            log.info("position source answers", source=self._name)
        return True

    def _tell_notes(self) -> None:
        for note in self._odometer.notes:
            # A counter that jumps all the time must not fill the log, so each kind of fault is counted.
            kind = self._notes.setdefault(note[:24], Repeated())
            if (count := kind.due()) is not None:
                log.warning("position", note=note, source=self._name, count=count)
        self._odometer.notes.clear()

    def _lost(self, why: str, failures: int) -> None:
        if self.answers or failures == 0:
            log.warning(
                "position source does not answer: positions are counted",
                source=self._name,
                why=why,
            )
        self.answers = False


def _is_possible(number: float | None) -> bool:
    return number is None or abs(number) <= LARGEST  # false for a NaN, too


def described(settings: PositionSettings) -> str:
    """Return a description of the source for logs and checks."""
    if isinstance(settings, ModbusPosition):
        return f"modbus {settings.host}:{settings.port}"
    if isinstance(settings, CameraPosition):
        return f"frames of camera {settings.camera}"
    return "simulated mill" if isinstance(settings, MillPosition) else f"{settings.type} {settings.address}"
