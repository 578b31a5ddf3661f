"""The odometer and the track against a simulated mill, without clocks or sockets."""

from bisect import bisect_right
from typing import Any

import numpy as np
import pytest

from inspector.core.strip.odometer import Odometer, Reading, Sample, Scale, Speeds
from inspector.core.strip.track import Coverage, place_at
from inspector.sources.simulator.mill import Encoder, SpeedProfile
from inspector.values import Motion

PROFILE = SpeedProfile(((0, 0), (1, 0), (6, 20), (8, 20), (12, 0), (13, 0), (15, -3), (17, -3), (18, 0), (19, 5)))

FRAME_MM = 256.0


def drive(
    encoder: Encoder,
    profile: SpeedProfile = PROFILE,
    *,
    seconds: float = 19.0,
    with_speed: bool = True,
    jitter_s: float = 0.002,
    change: Any = lambda _, count, speed: (count, speed),
    silent: tuple[float, float] = (0.0, 0.0),
) -> tuple[Odometer, list[Sample]]:
    """Read the encoder every 20 ms, with times that are off by up to `jitter_s`."""
    counter_range = None if encoder.bits > 40 else 2.0**encoder.bits
    odometer = Odometer(Scale(encoder.mm_per_count, counter_range), Speeds())
    random = np.random.default_rng(3)
    samples = []
    for at_s in np.arange(0.0, seconds, 0.02):
        count, speed = change(at_s, float(encoder.count(profile.position_mm(at_s))), profile.speed_mm_s(at_s))
        if silent[0] <= at_s < silent[1]:
            continue
        told_ns = 10**12 + int((at_s + random.uniform(-jitter_s, jitter_s)) * 1e9)
        sample = odometer.add(Reading(told_ns, count, speed if with_speed else None))
        if sample is not None:
            samples.append(sample)
    return odometer, samples


def worst_mm(
    samples: list[Sample], profile: SpeedProfile = PROFILE, seconds: float = 19.0, unknown: int = 0
) -> float:
    """Largest error of a frame's place, taken as ingest does: without later samples.

    Of `unknown` frames at most the place may be unknown."""
    worst, missing = 0.0, 0
    for at_s in np.arange(0.1, seconds - 0.05, 0.0128):
        monotonic_ns = 10**12 + int(at_s * 1e9)
        after = bisect_right(samples, monotonic_ns, key=lambda sample: sample.monotonic_ns)
        known = samples[max(0, after - 64) : after]
        place = place_at(known, monotonic_ns)
        if place is None:
            missing += 1
            continue
        worst = max(worst, abs(place.position_mm - profile.position_mm(at_s)))
    assert missing <= unknown
    return worst


@pytest.mark.parametrize("with_speed", [True, False])
@pytest.mark.parametrize(("mm_per_count", "bits"), [(1.0, 32), (1.0, 16), (0.1, 16), (10.0, 12), (-1.0, 32)])
def test_a_frame_is_placed_within_a_frame_and_the_length_is_the_encoders(
    mm_per_count: Any, bits: Any, with_speed: Any
) -> None:
    """Through 0→20 m/s→0→reverse, wraps of a 16-bit counter included."""
    odometer, samples = drive(Encoder(mm_per_count, bits), with_speed=with_speed)
    assert worst_mm(samples) < FRAME_MM / 2
    true_mm = PROFILE.position_mm(18.98)
    assert samples[-1].position_mm == pytest.approx(true_mm, abs=abs(mm_per_count) + 1)
    assert odometer.notes == []


def test_states_follow_the_profile() -> None:
    """Standstill and threading are states, reverse travel is marked."""
    _, samples = drive(Encoder())
    speeds = Speeds()
    states = {at_s: speeds.motion(samples[int(at_s / 0.02)].speed_mm_s) for at_s in (0.5, 1.3, 5, 12.5, 16)}
    assert list(states.values()) == [
        Motion.STANDING, Motion.THREADING, Motion.RUNNING, Motion.STANDING, Motion.REVERSE,
    ]  # fmt: skip


def test_a_jump_of_the_counter_is_one_line_and_moves_nothing() -> None:
    """A restarted PLC counts from 0 again: the position goes on by speed."""
    odometer, samples = drive(
        Encoder(), change=lambda at_s, count, speed: (count if at_s < 7 else count - 60_000, speed)
    )
    assert len(odometer.notes) == 1
    assert "jumped" in odometer.notes[0]
    assert worst_mm(samples, unknown=4) < FRAME_MM / 2
    assert zeros(samples) == [0, 1]


@pytest.mark.parametrize(
    ("at_s", "jump_mm", "with_speed"),
    [
        (1.8, -1000, True), (1.8, 3500, True), (9.0, -3500, True), (9.0, 3500, True), (9.0, 3500, False),
        (9.0, -3500, False), (12.5, -300, True), (12.5, 3500, True), (16.0, -1000, True), (16.0, 1000, True),
        (16.0, 1000, False),
    ],
)  # fmt: skip
def test_a_short_jump_is_noticed_too(at_s: float, jump_mm: int, with_speed: bool) -> None:
    """A strip of 35 m/s could move so far in the time of a scan; at the speed that the drive says it could not."""
    odometer, samples = drive(
        Encoder(),
        change=lambda now_s, count, speed: (count + jump_mm * (now_s >= at_s), speed),
        with_speed=with_speed,
    )
    assert [note[:18] for note in odometer.notes] == ["the counter jumped"]
    assert worst_mm(samples, unknown=6) < FRAME_MM / 2
    assert zeros(samples) == [0, 1]


def test_a_speed_that_stops_is_no_jump_of_the_counter() -> None:
    """A register that stays 0 while the strip runs: one line, and the counter places the frames."""
    odometer, samples = drive(Encoder(), change=lambda at_s, count, speed: (count, speed if at_s < 7.0 else 0.0))
    assert [note[:24] for note in odometer.notes] == ["the counter jumped from ", "the speed is +0.00 m/s b"]
    assert samples[-1].position_mm == pytest.approx(PROFILE.position_mm(18.98), abs=2)
    assert zeros(samples) == [0]


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_frozen_counter_is_noticed_and_the_speed_carries_on(goes_on: Any) -> None:
    """Frozen for two seconds at 20 m/s; afterwards it is right again, or it has missed that way."""
    frozen = float(Encoder().count(PROFILE.position_mm(6.0)))
    missed = PROFILE.position_mm(8.0) - PROFILE.position_mm(6.0)

    def change(at_s: Any, count: Any, speed: Any) -> Any:
        if 6 <= at_s < 8:
            return frozen, speed
        return (count if at_s < 6 or goes_on else count - missed), speed

    odometer, samples = drive(Encoder(), change=change)
    assert "frozen" in odometer.notes[0]
    assert len(odometer.notes) == 2
    end_mm = samples[-1].position_mm
    assert end_mm == pytest.approx(PROFILE.position_mm(18.98), abs=FRAME_MM if not goes_on else 2)
    assert zeros(samples) == ([0] if goes_on else [0, 1])
    # While the counter stands against the speed, no position is known, and after a while at once again.
    assert worst_mm(samples, unknown=155) < FRAME_MM / 2


@pytest.mark.parametrize("frozen_s", [0.1, 0.3, 0.45])
def test_a_counter_that_stops_for_a_moment_gives_no_wrong_place(frozen_s: float) -> None:
    """Too short to be called frozen: the speed carries the position on, or it is unknown."""
    frozen = float(Encoder().count(PROFILE.position_mm(6.0)))
    odometer, samples = drive(
        Encoder(), change=lambda at_s, count, speed: (frozen if 6 <= at_s < 6 + frozen_s else count, speed)
    )
    assert odometer.notes == []
    assert worst_mm(samples, unknown=round(frozen_s / 0.0128)) < FRAME_MM
    assert zeros(samples) == [0]


@pytest.mark.parametrize("lost_s", [0.12, 0.2, 0.4, 1.0, 3.0, 5.0])
@pytest.mark.parametrize("bits", [16, 32])
def test_a_counter_that_loses_counts_while_it_stands_begins_another_zero(lost_s: float, bits: int) -> None:
    """The position is off then, and nothing says by how much."""
    profile = SpeedProfile(((0, 0), (1, 0), (6, 20), (15, 20), (19, 0)))

    def change(at_s: float, count: float, speed: float) -> tuple[float, float]:
        lost_mm = profile.position_mm(min(max(at_s, 7.0), 7.0 + lost_s)) - profile.position_mm(7.0)
        return (count - round(lost_mm)) % 2**bits, speed

    _, samples = drive(Encoder(1.0, bits), profile, change=change)
    assert zeros(samples)[0] == 0
    assert len(zeros(samples)) > 1


@pytest.mark.parametrize("scan_s", [0.005, 0.02, 0.05, 0.1])
@pytest.mark.parametrize("with_speed", [True, False])
def test_a_plc_that_scans_slowly_is_followed(scan_s: float, with_speed: bool) -> None:
    """Its counter stands between two scans; after a moment no frame is unknown, and there is one zero."""

    def change(at_s: float, _: float, speed: float) -> tuple[float, float]:
        scanned_s = at_s // scan_s * scan_s
        return float(Encoder().count(PROFILE.position_mm(scanned_s))), speed

    _, samples = drive(Encoder(), change=change, with_speed=with_speed)
    assert zeros(samples) == [0]
    assert sum(not each.sure for each in samples) <= 10


def test_a_source_without_a_speed_may_be_slow() -> None:
    """A camera that is triggered gives a reading for each frame's length: from standstill to 1 m/s and back."""
    odometer = Odometer(Scale(), Speeds())
    profile = SpeedProfile(((0, 0), (2, 1), (20, 1), (22, 0)))
    samples = []
    for number in range(1, 75):
        at_s = next(at_s for at_s in np.arange(0.0, 22.0, 0.001) if profile.position_mm(at_s) >= 256.0 * number)
        samples.append(odometer.add(Reading(int(at_s * 1e9), 256.0 * number, None)))
    assert odometer.notes == []
    assert {each.zero for each in samples if each is not None} == {0}


@pytest.mark.parametrize("sure", [True, False])
def test_a_restart_without_a_count_or_in_doubt_begins_another_zero(sure: bool) -> None:
    """What a speed alone gave, or a guess, cannot be continued after a while."""
    start = Sample(10**9, 5000.0, 2000.0, 7, sure)
    for count, away_s in ((None, 1), (5000.0, 1), (5000.0, 0.1)):
        odometer = Odometer(Scale(), Speeds(), start, count)
        sample = odometer.add(
            Reading(10**9 + int(away_s * 1e9), None if count is None else 5000.0 + away_s * 2000, 2000.0)
        )
        assert sample is not None
        assert (sample.zero == 7) is (sure and count is not None)


@pytest.mark.parametrize("with_speed", [True, False])
@pytest.mark.parametrize(("from_s", "to_s"), [(9.0, 12.5), (0.5, 4.0), (11.9, 12.3), (12.8, 16.0), (7.0, 7.6)])
def test_a_source_that_was_silent_is_where_its_counter_says(from_s: float, to_s: float, with_speed: bool) -> None:
    """Through a stop, a start, a turn: the counter gives the distance, whatever the speed says afterwards."""
    odometer, samples = drive(Encoder(), with_speed=with_speed, silent=(from_s, to_s))
    assert samples[-1].position_mm == pytest.approx(PROFILE.position_mm(18.98), abs=2)
    assert not any("by speed" in note for note in odometer.notes)


def test_a_silence_that_the_speed_does_not_explain_begins_another_zero() -> None:
    """The strip ran and stood again meanwhile, or the counter was set: nobody can tell."""
    odometer = Odometer(Scale(), Speeds())
    for at_s in np.arange(0.0, 1.0, 0.02):
        odometer.add(Reading(int(at_s * 1e9), 1_000_000.0, 0.0))
    sample = odometer.add(Reading(61 * 10**9, 0.0, 0.0))
    assert sample is not None
    assert (sample.zero, sample.position_mm) == (1, 0.0)
    assert "does not explain" in odometer.notes[0]


def test_a_speed_that_says_too_much_is_taken_back() -> None:
    """A register that stays at 20 m/s while the strip stands: the position is unknown, then right again."""

    def change(at_s: float, count: float, speed: float) -> tuple[float, float]:
        return count, 20_000.0 if 12.0 < at_s < 12.9 else speed

    odometer, samples = drive(Encoder(), change=change)
    assert ["frozen" in note for note in odometer.notes] == [True, True]
    assert samples[-1].position_mm == pytest.approx(PROFILE.position_mm(18.98), abs=2)
    assert worst_mm(samples, unknown=80) < FRAME_MM * 6
    assert zeros(samples) == [0], "a drive's filtered speed goes on for a moment at each stop"


def zeros(samples: list[Sample]) -> list[int]:
    return sorted({each.zero for each in samples})


def test_a_speed_of_the_wrong_sign_is_one_line_and_the_counter_decides() -> None:
    """A sign error in the scale must not turn the strip round."""
    odometer, samples = drive(Encoder(), change=lambda _, count, speed: (count, -speed))
    assert "the other way" in odometer.notes[0]
    assert worst_mm(samples, unknown=12) < FRAME_MM / 2


def test_a_reading_that_came_late_is_no_place() -> None:
    """A datagram of 60 ms ago at 20 m/s: 1.2 m back, and the next one is right again."""
    late = {7.0, 7.5}

    def change(at_s: float, count: float, speed: float) -> tuple[float, float]:
        return (count - 1200.0 if round(at_s, 2) in late else count), speed

    odometer, samples = drive(Encoder(), change=change)
    assert [each.sure for each in samples].count(False) == 2
    assert worst_mm(samples, unknown=8) < FRAME_MM / 2
    assert odometer.notes == []
    assert zeros(samples) == [0]


def test_an_absurd_speed_is_one_line_and_left_out() -> None:
    """A float read as an integer: the counter alone places the frames."""
    odometer, samples = drive(Encoder(), change=lambda _, count, speed: (count, 1_140_457_472.0 + speed))
    assert len(odometer.notes) == 1
    assert "word order" in odometer.notes[0]
    assert worst_mm(samples) < FRAME_MM / 2


def test_a_strip_that_stops_after_a_reading_against_the_speed_stands() -> None:
    """The reading before says nothing about those that follow."""
    odometer = Odometer(Scale(), Speeds())
    for at_s in np.arange(0.0, 1.0, 0.02):
        odometer.add(Reading(int(at_s * 1e9), 5000.0 * at_s, 5000.0))
    odometer.add(Reading(1_000_000_000, 4800.0, 5000.0))
    for at_s in np.arange(1.02, 1.5, 0.02):
        sample = odometer.add(Reading(int(at_s * 1e9), 4800.0, 0.0))
    assert sample is not None
    assert sample.speed_mm_s == 0.0


BROKEN = 2147483647.0
"""What a register often says when its module has failed."""


def test_a_speed_alone_that_breaks_is_no_position() -> None:
    """The strip stops and starts meanwhile: a guess must not be called sure."""
    odometer, samples = drive(
        Encoder(), change=lambda at_s, _, speed: (None, BROKEN if 10.0 < at_s < 14.0 else speed)
    )
    assert not [each for each in samples if 10.1 < (each.monotonic_ns - 10**12) / 1e9 < 13.9]
    assert zeros(samples) == [0, 1]
    assert len(odometer.notes) == 1


def test_a_counter_that_stands_while_the_speed_is_broken_is_not_a_strip_that_stands() -> None:
    """The encoder's module fails for a second at 20 m/s, and counts on from where it stood."""
    lost = [0.0]

    def change(at_s: float, count: float, speed: float) -> tuple[float, float]:
        if 6.5 <= at_s < 7.5:
            lost[0] = count - 60_000.0
            return 60_000.0, BROKEN
        return (count - lost[0] if at_s >= 7.5 else count), speed

    odometer, samples = drive(Encoder(), change=change)
    told = {round((each.monotonic_ns - 10**12) / 1e9, 1): each for each in samples}
    assert not told[7.3].sure
    assert told[8.0].zero == 1
    assert told[8.0].position_mm == pytest.approx(PROFILE.position_mm(8.0), rel=0.2), "by the last speed"
    assert any("look at the encoder" in note for note in odometer.notes)


def test_a_reading_without_a_count_is_left_out_where_counts_come() -> None:
    """A pattern whose count is optional: the distance must not be counted twice."""
    line = iter(range(10_000))
    odometer, samples = drive(Encoder(), change=lambda _, count, speed: (count if next(line) % 2 else None, speed))
    assert samples[-1].position_mm == pytest.approx(PROFILE.position_mm(18.98), abs=200)
    assert zeros(samples) == [0, 1], "the first count comes after a reading without one"
    assert odometer.notes == []


def test_a_counter_that_a_restart_set_to_0_moves_no_position_back() -> None:
    """The coils lie in the order of their positions: 60 m back would be another coil's steel."""
    odometer = Odometer(Scale(1.0, 2.0**32), Speeds())
    for at_s in np.arange(0.0, 1.0, 0.02):
        odometer.add(Reading(int(at_s * 1e9), 60_000.0, 0.0))
    sample = odometer.add(Reading(11 * 10**9, 0.0, 0.0))
    assert sample is not None
    assert (sample.zero, sample.position_mm) == (1, 0.0)
    odometer = Odometer(Scale(1.0, 2.0**32), Speeds(), Sample(10**9, 60_000.0, 0.0), 60_000.0)
    sample = odometer.add(Reading(11 * 10**9, 300.0, 0.0))
    assert sample is not None
    assert (sample.zero, sample.position_mm) == (1, 60_000.0)


def test_a_speed_alone_gives_the_length_to_a_percent() -> None:
    """Without a counter the speed is summed up."""
    _, samples = drive(Encoder(), change=lambda _, __, speed: (None, speed))
    assert samples[-1].position_mm == pytest.approx(PROFILE.position_mm(18.98), rel=0.01)


def test_a_restart_goes_on_where_the_strip_is() -> None:
    """The counter ran 12 m while nobody read it, over its wrap."""
    start = Sample(10**12, 500_000.0, 6000.0)
    odometer = Odometer(Scale(1.0, 2.0**16), Speeds(), start, 60_000.0)
    sample = odometer.add(Reading(10**12 + 2 * 10**9, float((60_000 + 12_000) % 2**16), 6000.0))
    assert sample is not None
    assert sample.position_mm == 512_000.0
    assert odometer.notes == []


def test_a_restart_counts_the_wraps_by_speed() -> None:
    """A counter of 16 bits wraps at every 65.5 m: in 4 s at 20 m/s the strip moved 80 m, not 14."""
    scale, speeds = Scale(1.0, 2.0**16), Speeds()
    odometer = Odometer(scale, speeds, Sample(10**9, 100_000.0, 20_000.0), 60_000.0)
    sample = odometer.add(Reading(5 * 10**9, (60_000.0 + 80_000.0) % 2**16, 20_000.0))
    assert sample is not None
    assert sample.position_mm == pytest.approx(180_000.0)
    assert [note[:40] for note in odometer.notes] == ["the counter was unread for 4.0 s and may"]


def test_a_restart_with_a_counter_set_anew_stays_where_it_was() -> None:
    """Both were off: the counter begins at 0, the position does not."""
    odometer = Odometer(Scale(1.0, 2.0**32), Speeds(), Sample(10**12, 500_000.0, 0.0), 7_000_000.0)
    sample = odometer.add(Reading(10**12 + 10**9, 0.0, 0.0))
    assert sample is not None
    assert sample.position_mm == 500_000.0
    assert "unread" in odometer.notes[0]


def test_overlap_and_gaps_are_marked() -> None:
    """Half a frame twice, then nothing for a frame, then back over what was seen."""
    coverage = Coverage(Speeds())
    marks = [coverage.mark(at_mm, 100.0, 5000.0) for at_mm in (0, 50, 250, 240, 260, 352)]
    assert [mark.overlap_mm for mark in marks] == [0, 50, 0, 100, 90, 8]
    assert [mark.gap_mm for mark in marks] == [0, 0, 100, 0, 0, 0]
