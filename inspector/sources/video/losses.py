"""Counts missing frames in a stream from its time stamps and picture numbers."""

from collections import Counter, deque
from typing import Final

import structlog

from inspector.repeated import Repeated
from inspector.sources.video.packets import Sent
from inspector.sources.video.timeline import Timeline

_PAUSE_S: Final = 1.0
"""Longest jump that counts as missing frames when only the time stamps of a live stream jump, seconds. A longer
one is a pause of the camera."""

_LONGEST_LOSS_S: Final = 10.0
"""Longest jump of the time stamps that counts as missing frames, seconds."""

_LEAST_STEPS: Final = 4
_STEP_SHARE: Final = 0.75
"""Fewest steps of the display order, and smallest share of equal steps, from which the numbers count frames."""

_STEPS: Final = 128

log = structlog.get_logger()


class Losses:
    """Compares each frame with the frame shown before it.

    A jump of the time stamps may be a pause of the camera; a jump of the numbers may come from a lost key frame.
    When a stream has both, the numbers tell whether frames are missing, and the time stamps how many. When it has
    time stamps only, a jump in a file is a pause, unless the container or the decoder reports damage there.
    """

    def __init__(self, timeline: Timeline, tick_s: float, *, has_display_times: bool, live: bool) -> None:
        self._timeline = timeline
        self._tick_s = tick_s
        self._has_display_times = has_display_times
        self._live = live
        self._steps: deque[int] = deque(maxlen=_STEPS)
        self._jumps = Repeated()
        self.shown: Sent | None = None
        """The last frame or fault that was returned; None after a gap."""

    def before(self, sent: Sent, *, is_damaged: bool) -> int:
        """Return the number of frames missing between the last shown frame and this one, which is shown now.

        `is_damaged` says that the container or the decoder reports damage between them.
        """
        last = self.shown
        if not (last and self._has_display_times and last.ticks and sent.ticks and sent.ticks < last.ticks):
            self.shown = sent
        if last is None:
            return 0
        by_time = self._by_time(last, sent)
        by_number = self._by_number(last, sent)
        if by_number is None:
            count = by_time if is_damaged or (self._live and self._is_short(by_time)) else 0
            if by_time and not count and (times := self._jumps.due()) is not None:
                log.warning("the video jumps in time: the camera paused, or frames were lost", times=times)
        else:
            has_times = last.ticks is not None and sent.ticks is not None
            count = by_time if by_number and self.times_tell and has_times else by_number
        return count

    def follows(self, sent: Sent) -> bool:
        """Return whether nothing is missing directly before this frame."""
        last = self.shown
        return last is None or not (self._by_time(last, sent) or self._by_number(last, sent))

    @property
    def times_tell(self) -> bool:
        """Whether time stamps show losses. Some recorders number frames instead, so a loss leaves no hole."""
        return self._timeline.interval is not None and (self._live or self._timeline.has_holes)

    def _is_short(self, frames: int) -> bool:
        return frames * (self._timeline.interval or 0.0) * self._tick_s <= _PAUSE_S

    def _by_time(self, last: Sent, sent: Sent) -> int:
        if last.ticks is None or sent.ticks is None or not self._has_display_times:
            return 0
        if (sent.ticks - last.ticks) * self._tick_s > _LONGEST_LOSS_S:
            return 0
        return self._timeline.missing(last.ticks, sent.ticks)

    def _by_number(self, last: Sent, sent: Sent) -> int | None:
        """Count missing frames from the numbers in the stream; returns None when they do not tell."""
        a, b = last.order, sent.order
        if a is None or b is None or a.sequence != b.sequence:
            return None
        if a.shown is None or b.shown is None:
            return b.lost if b.counts_all or b.lost else None
        distance = b.shown - a.shown
        if distance <= 0:
            return None
        step = self._usual_step()
        self._steps.append(distance)
        if step is None:
            return b.lost or None
        return max(0, round(distance / step) - 1)

    def _usual_step(self) -> int | None:
        """Return the step of the display order from frame to frame; None when the order does not count frames."""
        if len(self._steps) < _LEAST_STEPS:
            return None
        step, count = Counter(self._steps).most_common(1)[0]
        return step if count >= _STEP_SHARE * len(self._steps) else None
