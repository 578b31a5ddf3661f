"""Frame ids become places on the strip: every id once, in order, whatever is lost, late or restarted."""

import numpy as np
import pytest

from inspector.sources.camera.clock import CameraClock
from inspector.sources.camera.losses import Lost, Shot
from inspector.sources.genicam.losses import FrameIdLosses, Grab
from inspector.values import Code, Uninspected

RATE = 100.0
S = 1_000_000_000
INCOMPLETE = Uninspected(Code.INCOMPLETE, "incomplete: packets were lost")


def grab(frame_id: int | None, at_s: float = 0.0, *, whole: bool = True, pixel: int = 0) -> Grab:
    pixels = np.full((4, 4), pixel % 251, np.uint8) if whole else None
    return Grab(pixels, None if whole else INCOMPLETE, frame_id, round(at_s * S), round(at_s * S))


class Strip:
    """An losses under test, and the frames and losses that it returns."""

    def __init__(self, *, triggered: bool = False, rows: int | None = None, height: int = 4) -> None:
        self.losses = FrameIdLosses(RATE, triggered=triggered, frame_rows=rows)
        self.losses.opened(0.0, (height, 4))
        self.places: list[int | str] = []

    def put(self, seen: Grab, at_s: float) -> None:
        self._add(self.losses.put(seen, at_s, round(at_s * S)))

    def due(self, at_s: float) -> None:
        self._add(self.losses.due(at_s))

    def _add(self, known: list[Shot | Lost]) -> None:
        for each in known:
            if isinstance(each, Lost):
                self.places += [each.why.code] * each.count
            else:
                self.places.append(int(each.pixels[0, 0]))


@pytest.mark.parametrize("first", [1, 7, 65_500, 2**40])
@pytest.mark.parametrize("lost", [(), (3,), (3, 4, 5, 6, 7, 8, 9), (1, 2), (5, 80)])
@pytest.mark.parametrize("triggered", [False, True])
def test_a_missing_frame_id_is_a_lost_frame_in_its_place(
    first: int, lost: tuple[int, ...], triggered: bool
) -> None:
    """The frames after it stay where they are; 16-bit ids go from 65535 to 1."""
    strip = Strip(triggered=triggered)
    for number in range(100):
        if number in lost:
            continue
        frame_id = first + number
        if first < 65_536 and frame_id > 65_535:
            frame_id -= 65_535
        strip.put(grab(frame_id, number / RATE, pixel=number), number / RATE)
    assert strip.places[0] == 0
    assert all(strip.places[n] == (Code.NO_FRAME if n in lost else n) for n in range(100))
    assert len(strip.places) == 100


def test_a_frame_without_its_first_packet_takes_the_place_that_the_next_id_leaves() -> None:
    """The id is lost with the packet, but only one frame is uninspected."""
    strip = Strip()
    for number, seen in enumerate(
        [grab(1, 0), grab(None, whole=False), grab(None, whole=False), grab(5, pixel=5)]
    ):
        strip.put(seen, number / RATE)
    assert strip.places == [0, Code.INCOMPLETE, Code.NO_FRAME, Code.NO_FRAME, 5]


def test_frames_that_come_after_they_were_reported_lost_are_left_out() -> None:
    """A network that stalls for two seconds and then delivers everything costs two seconds, and shifts nothing."""
    strip = Strip()
    for number in range(50):
        strip.put(grab(number + 1, number / RATE, pixel=number), number / RATE)
    for turn in range(10):
        strip.due(0.5 + turn * 0.2)
    reported = len(strip.places)
    assert reported > 200
    for number in range(50, 300):
        strip.put(grab(number + 1, number / RATE, pixel=number), max(2.5, number / RATE))
    assert len(strip.places) == 300
    assert all(strip.places[n] in {Code.NO_FRAME, n % 251} for n in range(300))
    assert strip.places[-1] == 299 % 251


def test_a_free_running_camera_that_pauses_has_lost_the_frames_of_the_pause() -> None:
    """It numbers only what it took, so its clock tells; an encoder's pause costs nothing."""
    for triggered, lost in ((False, 199), (True, 0)):
        strip = Strip(triggered=triggered)
        strip.put(grab(1, 0.0), 0.0)
        strip.due(1.9)
        strip.put(grab(2, 2.0, pixel=2), 2.0)
        assert strip.places == [0, *[Code.NO_FRAME] * lost, 2]


def test_a_camera_that_comes_back_goes_on_after_the_time_that_it_was_away() -> None:
    """Its ids start again, so the rate and the time tell."""
    strip = Strip()
    for number in range(10):
        strip.put(grab(500 + number, number / RATE, pixel=number), number / RATE)
    strip.losses.failed("the camera is gone", 1.0)
    strip.due(1.0)
    strip.due(3.0)
    strip.put(grab(1, 0.0, pixel=7), 5.09)
    strip.put(grab(2, 0.01, pixel=8), 5.10)
    assert strip.places[10:-2] == [Code.NO_FRAME] * 499
    assert strip.places[-2:] == [7, 8]


@pytest.mark.parametrize(("noticed_s", "lost"), [(3.0, 399), (60.0, 99)])
def test_a_triggered_camera_that_goes_has_lost_what_it_did_not_send_while_the_strip_moved(
    noticed_s: float, lost: int
) -> None:
    """Aravis notices some seconds late; a camera that was silent for longer than that stood with the strip."""
    strip = Strip(triggered=True)
    strip.put(grab(1, 0.0), 0.0)
    strip.due(noticed_s - 0.01)
    assert strip.places == [0]
    strip.losses.failed("the camera is gone", noticed_s)
    back_s = noticed_s + 1.0
    strip.due(back_s - 0.5)
    strip.put(grab(1, back_s, pixel=9), back_s)
    assert strip.places == [0, *[Code.NO_FRAME] * lost, 9]


def test_a_thread_that_is_late_does_not_shift_a_camera_that_is_back() -> None:
    """Frames taken before they were reported lost are left out, and the next ones are at their places."""
    strip = Strip()
    strip.put(grab(500, 0.0), 0.0)
    strip.losses.failed("the camera is gone", 0.5)
    strip.due(2.3)
    assert len(strip.places) == 230
    for number in range(60):
        strip.put(grab(number + 1, 2.0 + number / RATE, pixel=200 + number), max(2.3, 2.0 + number / RATE))
    assert len(strip.places) == 260
    assert strip.places[230:] == [(230 + n) % 251 for n in range(30)]


def test_ids_that_are_restarted_do_not_cost_a_coil() -> None:
    """A jump of the ids that the time does not explain is not a loss of 60 000 frames."""
    strip = Strip()
    strip.put(grab(9000, 10.00), 10.00)
    strip.put(grab(3, 10.01, pixel=1), 10.01)
    strip.put(grab(4, 10.02, pixel=2), 10.02)
    assert strip.places == [0, 1, 2]


@pytest.mark.parametrize("stated_times_too_low", [1, 10])
def test_a_long_loss_at_a_rate_that_is_stated_wrongly_is_still_a_loss(stated_times_too_low: int) -> None:
    """The ids count, whatever rate the config states."""
    strip = Strip()
    fast = RATE * stated_times_too_low
    strip.put(grab(1, 0.0), 0.0)
    strip.put(grab(301, 300 / fast, pixel=9), 300 / fast)
    assert strip.places == [0, *[Code.NO_FRAME] * 299, 9]


def test_two_silences_in_a_row_are_not_counted_twice() -> None:
    """The second one counts from the frame between them."""
    strip = Strip()
    strip.put(grab(1, 0.0), 0.0)
    strip.due(2.0)
    strip.put(grab(101, 1.0, pixel=1), 2.0)
    strip.due(4.0)
    strip.put(grab(401, 4.0, pixel=2), 4.0)
    assert len(strip.places) == 401
    assert strip.places[-1] == 2


def test_pictures_of_a_few_rows_are_lost_at_their_own_rate() -> None:
    """Four pictures of 64 rows make a frame of 256, so they are due four times as often."""
    strip = Strip(rows=256, height=64)
    strip.put(grab(1, 0.0), 0.0)
    strip.due(2.0)
    assert len(strip.places) == 800


def test_the_camera_clock_is_told_in_this_pcs_time() -> None:
    """The frame with the shortest way sets the offset, and a drift is followed."""
    clock = CameraClock()
    errors_ns = []
    for number in range(6000):
        true_ns = number * 10_000_000
        camera_ns = 7 * S + round(true_ns * (1 + 20e-6))
        delay_ns = 200_000 + (number * 7919 % 30) * 1_000_000
        errors_ns.append(clock.on_pc_ns(camera_ns, true_ns + delay_ns, 0) - true_ns)
    assert max(errors_ns[100:]) < 1_000_000
    assert min(errors_ns[100:]) > -1_000_000


@pytest.mark.parametrize("step_ns", [-3 * S, S // 2, 7 * S])
def test_a_pc_whose_clock_is_set_moves_no_frame(step_ns: int) -> None:
    """Also the frame that arrived just before: 0.5 s would be 10 m of strip."""
    clock = CameraClock()
    for number in range(3000):
        true_ns = number * 10_000_000
        ahead_ns = step_ns if number >= 1500 else 0
        arrived_ns = true_ns + 300_000 + (0 if number == 1500 else ahead_ns)
        captured_ns = clock.on_pc_ns(7 * S + true_ns, arrived_ns, ahead_ns)
        assert abs(captured_ns - ahead_ns - true_ns) < 1_000_000
