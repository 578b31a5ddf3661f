"""The strip's position from a PLC's holding registers."""

import time
from collections import deque
from collections.abc import Iterator
from typing import Final

from inspector.config.strip import ModbusPosition
from inspector.core.strip.odometer import Reading
from inspector.strip.plc import Answer, PlcReader, number, registers_of

PROMPT_ANSWERS: Final = 50
"""Number of newest answers that a late one is compared with."""

LATE_FACTOR: Final = 3
LATE_NS: Final = 10_000_000
"""An answer that takes LATE_FACTOR times as long as the fastest one, plus LATE_NS, is not used: at 20 m/s its
position may be off by half a frame."""


class ModbusSource:
    """Polls a PLC's registers."""

    def __init__(self, settings: ModbusPosition) -> None:
        self._settings, self._plc = settings, PlcReader(settings)
        parts = [
            (register, registers_of(kind))
            for register, kind in (
                (settings.counter_register, settings.counter_type),
                (settings.speed_register, settings.speed_type),
            )
            if register is not None
        ]
        self._took_ns: deque[int] = deque(maxlen=PROMPT_ANSWERS)
        self._first = min(register for register, _ in parts)
        self._count = max(register + size for register, size in parts) - self._first

    def readings(self) -> Iterator[Reading | None]:
        """Yield one reading per interval. One request reads counter and speed, so that both are from one scan."""
        settings = self._settings
        due_s = time.monotonic()
        while True:
            answer = self._plc.read(self._first, self._count)
            yield self._reading(answer) if self._is_prompt(answer) else None
            due_s = max(due_s + settings.interval_ms / 1000, time.monotonic())
            time.sleep(due_s - time.monotonic() if due_s > time.monotonic() else 0)

    def _is_prompt(self, answer: Answer) -> bool:
        """Return whether the answer's time is known well enough: of a late one, either the request or the answer
        may have been delayed."""
        took_ns = answer.answered_ns - answer.asked_ns
        self._took_ns.append(took_ns)
        return took_ns <= LATE_FACTOR * min(self._took_ns) + LATE_NS

    def _reading(self, answer: Answer) -> Reading:
        settings = self._settings
        count = self._number(answer.words, settings.counter_register, settings.counter_type)
        speed = self._number(answer.words, settings.speed_register, settings.speed_type)
        monotonic_ns = (answer.asked_ns + answer.answered_ns) // 2
        return Reading(monotonic_ns, count, None if speed is None else speed * settings.speed_mm_s_per_count)

    def _number(self, words: list[int], register: int | None, kind: str) -> float | None:
        if register is None:
            return None
        start = register - self._first
        part = words[start : start + registers_of(kind)]  # type: ignore[arg-type]  # a NumberType
        return number(part, kind, low_first=self._settings.word_order == "low_first")  # type: ignore[arg-type]

    def close(self) -> None:
        """Close the connection."""
        self._plc.close()
