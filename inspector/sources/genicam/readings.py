"""A GenICam camera's temperature and the counters of its stream, for the line's metrics."""

import math
from typing import Any, Final

from inspector.sources.genicam.library import glib_error

_TURN_S: Final = 2.0
"""Time between two readings, seconds. Reading the temperature costs one round trip to the camera."""

_TEMPERATURES: Final = ("DeviceTemperature", "DeviceTemperatureRaw", "TemperatureAbs")
"""Names of the temperature feature: in the standard (SFNC) and in older cameras."""

COUNTERS: Final = {
    "n_missing_packets": "packets_missing",
    "n_resent_packets": "packets_resent",
    "n_failures": "buffers_incomplete",
    "n_underruns": "buffers_lacking",
}
"""Aravis' counter → our name. Missing packets count from the first missing one to the frame's end."""

TEMPERATURE: Final = "temperature_celsius"
RECONNECTIONS: Final = "reconnections"


class Readings:
    """The newest readings. The thread that reads the camera updates them; ingest takes them.

    Counters continue after a reconnect.
    """

    def __init__(self) -> None:
        self._device: Any = None
        self._stream: Any = None
        self._temperature: str | None = None
        self._due_s = 0.0
        self._opened = 0
        self._before: dict[str, int] = {}
        self.latest: dict[str, float] = {}
        """The newest values; the dict is replaced as a whole, so that another thread may read it."""

    def opened(self, device: Any, stream: Any) -> None:
        """Start reading a newly opened camera."""
        self._device, self._stream = device, stream
        self._opened += 1
        self._temperature = next((name for name in _TEMPERATURES if device.is_feature_available(name)), None)

    def turn(self, now_s: float) -> None:
        """Take a reading if one is due."""
        if now_s < self._due_s:
            return
        self._due_s = now_s + _TURN_S
        found: dict[str, float] = {name: float(count) for name, count in self._counts().items()}
        found[RECONNECTIONS] = self._opened - 1
        if self._temperature is not None:
            try:
                celsius = float(self._device.get_float_feature_value(self._temperature))
                if math.isfinite(celsius):  # JSON has no other numbers
                    found[TEMPERATURE] = celsius
            except glib_error():
                self._temperature = None  # the camera does not answer; read it again after the reconnect
        self.latest = found

    def closed(self) -> None:
        """Stop reading and keep the counters."""
        self._before = self._counts()
        self._device = self._stream = None

    def _counts(self) -> dict[str, int]:
        return {
            ours: self._before.get(ours, 0) + int(self._stream.get_info_uint64_by_name(name))
            for name, ours in COUNTERS.items()
        }
