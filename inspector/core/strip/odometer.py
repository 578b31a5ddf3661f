"""Turns an encoder's counter and speed into the strip's position, despite wraps, jumps and freezes."""

from collections import deque
from typing import Final

import msgspec
import numpy as np

from inspector.values import Motion

FIT_NS: Final = 120_000_000
"""Time over which the speed is fitted: the time of a reading is accurate to a millisecond or two, 10 % of a single
poll of 20 ms."""

JITTER_S: Final = 0.1
"""Largest age of the counter in a reading, seconds: the PLC's scan plus the network."""

FREEZE_NS: Final = 500_000_000
"""A counter that has not changed for this long on a moving strip is frozen: 25 scans of a slow PLC."""

SLACK_MM_S: Final = 2000.0
"""Largest error of a speed that agrees with the counter, mm/s: a drive's speed is filtered, so it is late when the
strip accelerates."""

AGREED: Final = 10
"""Number of readings in which speed and counter must agree before one that does not counts as a jump."""

SILENT_S: Final = 0.2
"""Time between two readings from which the strip may have done anything in between, seconds."""

SPEED_SILENT_S: Final = 1.0
"""The same without a counter, when the distance is a guess, seconds."""

SCAN_S: Final = 0.06
"""Longest scan of a PLC, seconds: for this time an unchanged counter on a moving strip is still right."""

COUNTS: Final = 4
"""An unchanged counter is suspicious when the speed says at least so many counts."""

LONGEST_SCAN_S: Final = 0.15
"""Longest scan that is learned, seconds."""

SCAN_SHARE: Final = 1.2
"""Allowance over the longest scan seen."""

AGAINST: Final = 3
"""Number of readings in a row against the speed that say that a sign is wrong."""

AGREED_MM_S: Final = 100.0
"""A strip must move so fast for its counter and speed to agree, mm/s."""

GAIN_MM_S2: Final = 2000.0
GAIN_S: Final = 2.0
"""How fast a strip changes its speed, mm/s², and for how long that explains a distance, seconds."""

LEAST_LAG_MM: Final = 50.0
"""Difference between counter and speed that says nothing, mm."""

FILTER_NS: Final = 2_000_000_000
"""Longest time for which a drive's filtered speed goes on after the strip has stopped."""

EXACT_SHARE: Final = 0.02
"""Error of a speed, as a share of the distance."""

FAR_BACK_MM: Final = 100_000.0
"""Longest reverse travel that is believed while nothing read the counter, mm."""

ZEROS: Final = 2**32
"""Numbers of zeros wrap here: a sample has 32 bits for them."""

TRUSTED_SHARE: Final = 0.25
"""Largest difference between a counter that moves again and the distance by speed, as a share of that distance.
With a larger one the position continues from the speed."""


class Reading(msgspec.Struct, frozen=True):
    """One answer of the position source."""

    monotonic_ns: int
    count: float | None
    """The raw counter; None for a source that only has a speed."""
    speed_mm_s: float | None
    """None for a source without a speed."""


class Sample(msgspec.Struct, frozen=True):
    """The strip's position and speed at one time."""

    monotonic_ns: int
    position_mm: float
    speed_mm_s: float
    """Negative for reverse travel."""
    zero: int = 0
    """Number of the zero of the positions: another one when positions do not continue those before."""
    sure: bool = True
    """False while the position is a guess, because counter and speed contradict each other."""


class Speeds(msgspec.Struct, frozen=True):
    """Speed limits that define the strip's states."""

    standstill_mm_s: float = 10.0
    threading_mm_s: float = 2000.0
    max_mm_s: float = 35_000.0

    def motion(self, speed_mm_s: float) -> Motion:
        """Return the state at this speed."""
        if abs(speed_mm_s) < self.standstill_mm_s:
            return Motion.STANDING
        if speed_mm_s < 0:
            return Motion.REVERSE
        return Motion.THREADING if speed_mm_s < self.threading_mm_s else Motion.RUNNING


class Scale(msgspec.Struct, frozen=True):
    """Scale and range of a counter."""

    mm_per_count: float = 1.0
    """Negative for a counter that counts down in forward travel."""
    counter_range: float | None = None
    """Counts after which it wraps to 0, 2**16 or 2**32; None never wraps."""

    @property
    def range_mm(self) -> float | None:
        """Length of strip after which the counter wraps; None never wraps."""
        return None if self.counter_range is None else abs(self.counter_range * self.mm_per_count)

    def moved_mm(self, before: float, count: float, expected_mm: float) -> float:
        """Distance from one count to another, of all that a wrapped counter allows the one next to
        `expected_mm`."""
        counts = count - before
        if self.counter_range is not None:
            wraps = round((expected_mm / self.mm_per_count - counts) / self.counter_range)
            counts += wraps * self.counter_range
        return counts * self.mm_per_count


class Odometer:
    """Follows one counter. `notes` collects one line per fault that begins or ends.

    While counter and speed contradict each other, the samples are not sure. When the position goes on from a
    guess, it has another zero: nobody can say how far the new positions lie from the old ones.
    """

    def __init__(
        self, scale: Scale, speeds: Speeds, start: Sample | None = None, start_count: float | None = None
    ) -> None:
        """`start` and `start_count` come from an earlier process; without them the strip begins at 0."""
        self._scale, self._speeds, self._start = scale, speeds, start
        self._position_mm, self._count = (0.0 if start is None else start.position_mm), start_count
        self._zero = 0 if start is None else start.zero
        self._sure = True
        self._ahead_mm = 0.0
        """How far the strip has probably moved since the counter last changed: a PLC may scan slowly."""
        self._before: Reading | None = None
        self._moved_ns = self._frozen_ns = 0
        """When the counter last changed, and when it was called frozen."""
        self._frozen_mm: float | None = None
        """Distance by speed since the counter froze; None while it moves."""
        self._fit: deque[tuple[int, float]] = deque()
        self._speed_mm_s = 0.0
        self._against = 0
        """Readings in a row whose counter moved against the speed."""
        self._absurd = False
        self._has_speed = False
        """Whether a sane speed has come: one that never does is a wrong setting, and says nothing."""
        self._is_blind = False
        """Whether the counter stood while no sane speed said whether the strip did."""
        self._moving_mm_s = 0.0
        """Speed when the counter last moved."""
        self._is_known = False
        """Whether the speed is known: a register says it, or enough readings of the counter."""
        self._scan_s = SCAN_S
        """For how long the counter of a moving strip has stood at most, and was right afterwards."""
        self._changes = 0
        """Readings since the counter last stood."""
        self._agreed = 0
        """Readings of the moving strip since counter and speed last disagreed, at most AGREED."""
        self._doubted_mm: float | None = None
        """What the newest reading would add to the position if its counter did not jump; None without a doubt."""
        self.notes: list[str] = []

    @property
    def count(self) -> float | None:
        """The counter that belongs to the position of the newest sample."""
        return None if self._count is None else self._count + self._ahead_mm / self._scale.mm_per_count

    def add(self, reading: Reading) -> Sample | None:
        """Apply one reading; returns None when it is older than the previous one, or says nothing."""
        before = self._before
        if before is not None and reading.monotonic_ns <= before.monotonic_ns:
            return None
        sane = self._sane(reading)
        if sane is None or (sane.count is None and self._before is not None and self._count is not None):
            return None
        self._before = reading = sane
        self._sure, self._ahead_mm = True, 0.0
        if before is None:
            self._begin(reading)
        else:
            self._position_mm += self._moved_mm(reading, self._stretch(before, reading))
        place_mm = self._position_mm + self._ahead_mm
        self._measure_speed(reading, place_mm)
        return Sample(reading.monotonic_ns, place_mm, self._speed_mm_s, self._zero, self._sure)

    def _sane(self, reading: Reading) -> Reading | None:
        """Drop an impossible speed from the reading; None if nothing is left of it."""
        speed_mm_s = reading.speed_mm_s
        if speed_mm_s is None or abs(speed_mm_s) <= self._speeds.max_mm_s:
            self._absurd = False
            self._has_speed |= speed_mm_s is not None
            return reading
        if not self._absurd:
            self.notes.append(
                f"the speed is {speed_mm_s / 1000:.1f} m/s, over max_speed_mm_s: it is left out; check its type, "
                "scale and word order"
            )
        self._absurd = True
        return None if reading.count is None else msgspec.structs.replace(reading, speed_mm_s=None)

    def _begin(self, reading: Reading) -> None:
        """Find how far the strip has moved while nothing read the counter."""
        self._moved_ns = reading.monotonic_ns
        start, count_before, self._count = self._start, self._count, reading.count
        if start is None:
            return
        self._speed_mm_s, self._is_known = start.speed_mm_s, True
        now_mm_s = start.speed_mm_s if reading.speed_mm_s is None else reading.speed_mm_s
        stretch = Stretch((reading.monotonic_ns - start.monotonic_ns) / 1e9, start.speed_mm_s, now_mm_s)
        if not start.sure:
            self._begin_zero()
        if reading.count is None or count_before is None:
            if stretch.over_s > SILENT_S:
                self._begin_zero()
            return
        moved_mm = self._scale.moved_mm(count_before, reading.count, stretch.expected_mm)
        if abs(moved_mm) > stretch.longest_mm(self._speeds.max_mm_s):
            self.notes.append(
                f"the counter went from {count_before:g} to {reading.count:g} in {stretch.over_s:.1f} s, unread: "
                "the position goes on from the last one"
            )
            self._begin_zero()
            return
        self._position_mm += self._unread_mm(moved_mm, stretch, reading.count)

    def _stretch(self, before: Reading, reading: Reading) -> "Stretch":
        """The time between two readings, and the speeds at its ends."""
        then_mm_s = self._speed_mm_s if before.speed_mm_s is None else before.speed_mm_s
        now_mm_s = self._speed_mm_s if reading.speed_mm_s is None else reading.speed_mm_s
        return Stretch((reading.monotonic_ns - before.monotonic_ns) / 1e9, then_mm_s, now_mm_s)

    def _begin_zero(self) -> None:
        """Positions from here on do not continue those before."""
        self._zero = (self._zero + 1) % ZEROS
        self._fit.clear()

    def _moved_mm(self, reading: Reading, stretch: "Stretch") -> float:
        if reading.count is None:
            if stretch.over_s > SPEED_SILENT_S:
                self._begin_zero()
            return stretch.expected_mm
        if self._count is None:
            self._count, self._moved_ns = reading.count, reading.monotonic_ns
            self._begin_zero()
            return stretch.expected_mm
        if reading.count == self._count:
            self._changes = 0
            return self._stuck(reading, stretch)
        self._changes += 1
        expected_mm = (self._frozen_mm or 0.0) + stretch.expected_mm
        moved_mm = self._scale.moved_mm(self._count, reading.count, expected_mm)
        stood_s = (reading.monotonic_ns - self._moved_ns) / 1e9
        count_before, self._count, self._moved_ns = self._count, reading.count, reading.monotonic_ns
        by_speed_mm, self._moving_mm_s = self._moving_mm_s * stood_s, self._speed_mm_s
        whole = stretch.longer(stood_s)
        jump = (
            f"the counter jumped from {count_before:g} to {reading.count:g}, {moved_mm / 1000:+.3f} m in "
            f"{stretch.over_s:.2f} s: the position goes on by speed; was the PLC restarted or the counter set?"
        )
        if abs(moved_mm) > whole.longest_mm(self._speeds.max_mm_s):
            self.notes.append(jump)
            self._frozen_mm, self._sure = None, False
            self._begin_zero()
            return stretch.expected_mm
        if self._is_blind:
            self._end_blindness()
            return max(moved_mm, by_speed_mm, key=abs)
        if self._frozen_mm is not None:
            moved_mm = self._thawed(moved_mm, stretch)
        elif stretch.over_s > SILENT_S:
            if self._doubted_mm is not None:
                self._doubted_mm = None
                self._begin_zero()
            moved_mm = self._unread_mm(moved_mm, whole, reading.count)
        elif stood_s > SCAN_S and reading.speed_mm_s is not None:
            self._check_made_up(moved_mm, whole)
        elif self._is_doubtful(reading, moved_mm, whole):
            self.notes.append(jump)
            self._doubted_mm, self._sure = moved_mm - stretch.expected_mm, False
            return stretch.expected_mm
        else:
            moved_mm += self._restored_mm(moved_mm, whole)
        self._compare_directions(reading, moved_mm)
        return moved_mm

    def _unread_mm(self, moved_mm: float, stretch: "Stretch", count: float) -> float:
        """Return how far the strip moved while nothing read the counter.

        When nobody can say that the counter was neither set nor wrapped meanwhile, another zero begins. A counter
        that was set back far, or to 0 as a PLC's restart does, moves no position back: the coils lie in the order
        of their positions.
        """
        range_mm = self._scale.range_mm
        if range_mm is not None and stretch.farthest_mm > range_mm / 2:
            self.notes.append(
                f"the counter was unread for {stretch.over_s:.1f} s and may have wrapped, at every "
                f"{range_mm / 1000:.1f} m: the speed decides how often; use a counter of 32 bits"
            )
        elif not self._is_known or stretch.allows(moved_mm):
            return moved_mm
        else:
            self.notes.append(
                f"the counter moved {moved_mm / 1000:+.3f} m in {stretch.over_s:.1f} s, unread, which its speed "
                "does not explain: positions do not continue, and a gate gets a new run"
            )
            from_0_mm = abs(count * self._scale.mm_per_count)
            if moved_mm < -FAR_BACK_MM or from_0_mm < stretch.farthest_mm:
                moved_mm = max(moved_mm, stretch.expected_mm)
        self._begin_zero()
        return moved_mm

    def _is_doubtful(self, reading: Reading, moved_mm: float, stretch: "Stretch") -> bool:
        """Whether the counter moved further than the speed allows, once, after both have agreed.

        Without a register the speed is that of the counter, which says little if it stands between two scans.
        """
        is_known = reading.speed_mm_s is not None or self._changes > AGREED
        agreed = self._agreed == AGREED and self._doubted_mm is None
        return is_known and agreed and not stretch.allows(moved_mm)

    def _check_made_up(self, moved_mm: float, stretch: "Stretch") -> None:
        """A counter that stood on a moving strip must make up the distance; otherwise another zero begins."""
        if abs(moved_mm - stretch.expected_mm) <= stretch.lag_mm(self._scan_s):
            self._scan_s = min(max(self._scan_s, SCAN_SHARE * stretch.over_s), LONGEST_SCAN_S)
            return
        self.notes.append(
            f"the counter stood for {stretch.over_s:.2f} s and then moved {moved_mm / 1000:+.3f} m, "
            f"{(moved_mm - stretch.expected_mm) / 1000:+.3f} m off: positions do not continue; look at the encoder"
        )
        self._begin_zero()

    def _restored_mm(self, moved_mm: float, stretch: "Stretch") -> float:
        """Compare counter and speed. Returns the distance of a doubted reading if this one shows that the speed
        was wrong, not the counter; else 0."""
        doubted_mm, self._doubted_mm = self._doubted_mm, None
        speed_mm_s = stretch.now_mm_s
        if stretch.allows(moved_mm):
            if abs(speed_mm_s) > AGREED_MM_S:
                self._agreed = min(self._agreed + 1, AGREED)
            if doubted_mm is not None:
                self._begin_zero()
            return 0.0
        self._agreed = 0
        if doubted_mm is None:
            return 0.0
        self.notes.append(
            f"the speed is {speed_mm_s / 1000:+.2f} m/s but the counter moves {moved_mm / 1000:+.3f} m a reading: "
            "the counter decides; check the speed's register"
        )
        return doubted_mm

    def _stuck(self, reading: Reading, stretch: "Stretch") -> float:
        """Handle an unchanged counter: the strip stands, or the counter is frozen."""
        speed_mm_s, count_mm = reading.speed_mm_s, abs(self._scale.mm_per_count)
        self._against = 0
        if self._doubted_mm is not None:
            self._doubted_mm = None
            self._begin_zero()
        # On a slow strip one count may take long.
        slow_mm_s = max(self._speeds.standstill_mm_s, COUNTS * count_mm / (FREEZE_NS / 1e9))
        if self._absurd and self._has_speed and reading.monotonic_ns - self._moved_ns > self._scan_s * 1e9:
            self._is_blind, self._sure = True, False
            return 0.0
        if speed_mm_s is None or abs(speed_mm_s) < slow_mm_s:
            if self._is_blind:
                self._end_blindness()
            if not (self._absurd and self._has_speed):
                self._moved_ns = reading.monotonic_ns
            return 0.0 if self._frozen_mm is None else self._stands(reading.monotonic_ns)
        stood_s = (reading.monotonic_ns - self._moved_ns) / 1e9
        moved_mm = stretch.expected_mm
        if self._frozen_mm is None:
            missing_mm = speed_mm_s * stood_s
            if stood_s < FREEZE_NS / 1e9:
                if abs(missing_mm) > COUNTS * count_mm:
                    self._ahead_mm, self._sure = missing_mm, stood_s <= self._scan_s
                return 0.0
            self.notes.append(
                f"the counter is frozen at {reading.count:g} while the speed is {speed_mm_s / 1000:.2f} m/s: the "
                "position goes on by speed; look at the encoder and its cable"
            )
            moved_mm, self._frozen_mm, self._frozen_ns = missing_mm, 0.0, reading.monotonic_ns
        self._frozen_mm += moved_mm
        self._sure = False
        return moved_mm

    def _end_blindness(self) -> None:
        """Begin another zero: nobody can say how far the strip ran while the counter stood."""
        self._is_blind = False
        self.notes.append(
            "the counter stood while the speed could not be used: positions do not continue; look at the encoder"
        )
        self._begin_zero()

    def _stands(self, monotonic_ns: int) -> float:
        """Handle a strip that stands: the counter was right, only the speed was late.

        Returns the distance to take back.
        """
        self.notes.append("the strip stands: the counter that was frozen is right again")
        shown_mm, self._frozen_mm = self._frozen_mm or 0.0, None
        if monotonic_ns - self._frozen_ns > FILTER_NS:
            self._begin_zero()
        else:
            self._fit.clear()
        return -shown_mm

    def _thawed(self, counted_mm: float, stretch: "Stretch") -> float:
        """Handle a counter that moves again: trust it if it agrees with the speed, else continue from here."""
        by_speed_mm = stretch.expected_mm
        shown_mm, self._frozen_mm = self._frozen_mm or 0.0, None
        far_mm = shown_mm + by_speed_mm
        if abs(counted_mm - far_mm) <= TRUSTED_SHARE * abs(far_mm):
            self.notes.append("the counter moves again and agrees with the speed: the position is the counter's")
            exact_mm = stretch.lag_mm(self._scan_s) + EXACT_SHARE * abs(far_mm)
            range_mm = self._scale.range_mm
            if abs(counted_mm - far_mm) > exact_mm or (range_mm is not None and abs(far_mm) > range_mm / 2):
                self._begin_zero()
            return counted_mm - shown_mm
        self.notes.append(
            f"the counter moves again, {(counted_mm - far_mm) / 1000:+.3f} m off: the position stays the speed's"
        )
        self._begin_zero()
        return by_speed_mm

    def _compare_directions(self, reading: Reading, moved_mm: float) -> None:
        limit_mm_s = self._speeds.threading_mm_s
        speed_mm_s = reading.speed_mm_s
        against = speed_mm_s is not None and abs(speed_mm_s) > limit_mm_s and (speed_mm_s < 0) != (moved_mm < 0)
        self._against = self._against + 1 if against else 0
        if self._against == 1:
            self._sure = False  # a datagram that came late, or the first of many
        elif self._against == AGAINST:
            self.notes.append(
                f"the speed is {(speed_mm_s or 0) / 1000:+.2f} m/s but the counter counts the other way: the "
                "counter decides; check the sign of mm_per_count and of the speed's scale"
            )

    def _measure_speed(self, reading: Reading, place_mm: float) -> None:
        if self._against == 1:
            return
        fit = self._fit
        fit.append((reading.monotonic_ns, place_mm))
        while len(fit) > 3 and reading.monotonic_ns - fit[0][0] > FIT_NS:
            fit.popleft()
        self._is_known |= reading.speed_mm_s is not None or len(fit) >= 3
        if reading.count is None or len(fit) < 3:
            if reading.speed_mm_s is not None:
                self._speed_mm_s = reading.speed_mm_s
        elif fit[0][1] == fit[-1][1]:
            self._speed_mm_s = 0.0
        else:
            self._speed_mm_s = _slope(fit)


class Stretch(msgspec.Struct, frozen=True):
    """A time, and the strip's speeds at its ends."""

    over_s: float
    then_mm_s: float
    now_mm_s: float

    def longer(self, over_s: float) -> "Stretch":
        """The same speeds over at least this time."""
        return msgspec.structs.replace(self, over_s=max(self.over_s, over_s))

    @property
    def expected_mm(self) -> float:
        """Distance at the mean of both speeds."""
        return (self.then_mm_s + self.now_mm_s) / 2 * self.over_s

    @property
    def _faster_mm_s(self) -> float:
        return max(abs(self.then_mm_s), abs(self.now_mm_s))

    @property
    def _gained_mm(self) -> float:
        """What a strip gains by accelerating and braking between two readings that are seconds apart."""
        return GAIN_MM_S2 / 2 * min(self.over_s, GAIN_S) ** 2

    @property
    def farthest_mm(self) -> float:
        """Longest distance that these speeds allow, in either direction."""
        return (self._faster_mm_s + SLACK_MM_S) * self.over_s

    def lag_mm(self, scan_s: float) -> float:
        """How far a right counter may be off: its scan, and a speed that changed meanwhile."""
        return LEAST_LAG_MM + self._faster_mm_s * scan_s + self._gained_mm

    def longest_mm(self, max_mm_s: float) -> float:
        """Longest distance of any strip."""
        return max_mm_s * (self.over_s + JITTER_S)

    def allows(self, moved_mm: float) -> bool:
        """Whether a counted distance fits the speeds: it lies between standstill and the faster of them."""
        slack_mm = (self._faster_mm_s + SLACK_MM_S) * JITTER_S + self._gained_mm
        low_mm_s = min(0.0, self.then_mm_s, self.now_mm_s)
        high_mm_s = max(0.0, self.then_mm_s, self.now_mm_s)
        return low_mm_s * self.over_s - slack_mm <= moved_mm <= high_mm_s * self.over_s + slack_mm


def _slope(points: "deque[tuple[int, float]]") -> float:
    """Least-squares speed, mm/s."""
    origin_ns, origin_mm = points[-1]
    seconds = np.array([(monotonic_ns - origin_ns) / 1e9 for monotonic_ns, _ in points])
    places_mm = np.array([position_mm - origin_mm for _, position_mm in points])
    seconds -= seconds.mean()
    return float((seconds * (places_mm - places_mm.mean())).sum() / (seconds * seconds).sum())
