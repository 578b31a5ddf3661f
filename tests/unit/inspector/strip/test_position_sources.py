"""Position sources against real sockets: text over UDP and TCP, a PLC that answers late or not at all."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from inspector.config.strip import ModbusPosition, TextPosition
from inspector.core.strip.odometer import Odometer, Reading, Scale, Speeds
from inspector.errors import WorkError
from inspector.strip.modbus_position import ModbusSource
from inspector.strip.plc import number
from inspector.strip.position import PositionThread
from inspector.strip.text_position import TextSource
from inspector.wire.strip_files import TrackWriter, read_track
from tests.support.mill import COUNTER, SPEED, Mill
from tests.support.ports import free_port


def first(readings: Iterator[Reading | None], within_s: float = 5.0) -> Reading:
    until_s = time.monotonic() + within_s
    for reading in readings:
        if reading is not None:
            return reading
        assert time.monotonic() < until_s
    raise AssertionError


@pytest.mark.parametrize(
    ("sent", "count", "speed"),
    [
        (b"4711;2500\r\n", 4711.0, 2500.0),
        (b"4711.5 -12.5", 4711.5, -12.5),
        (b"1;1\n2;2\n3;3\n", 3.0, 3.0),
        (b"4711\n", 4711.0, None),
    ],
)
def test_a_datagram_is_a_reading(sent: Any, count: Any, speed: Any) -> None:
    """With or without a line's end, several lines, no speed: the newest line counts."""
    port = free_port()
    source = TextSource(TextPosition(type="udp", address=f"127.0.0.1:{port}"))
    readings = source.readings()
    assert next(readings) is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"no number\n", ("127.0.0.1", port))
        sender.sendto(sent, ("127.0.0.1", port))
        reading = first(readings)
    source.close()
    assert (reading.count, reading.speed_mm_s) == (count, speed)


@pytest.mark.parametrize("line", [b"nan;2500", b"-;2500", b"ERR7;2500", b"412345,7;2500", b"12:00:01 412345;2500"])
def test_a_number_in_a_line_that_does_not_match_is_no_count(line: bytes) -> None:
    """The speed behind an encoder's `nan` must not become the counter."""
    port = free_port()
    source = TextSource(TextPosition(type="udp", address=f"127.0.0.1:{port}"))
    readings = source.readings()
    assert next(readings) is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(line, ("127.0.0.1", port))
        sender.sendto(b"5;6", ("127.0.0.1", port))
        assert first(readings).count == 5.0
    source.close()


def test_lines_over_tcp_may_arrive_in_pieces_and_the_server_may_go() -> None:
    """A partial line is kept until the rest arrives; a closed connection gives one reason."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = TextSource(
            TextPosition(
                type="tcp", address=f"127.0.0.1:{port}", pattern=r"P=(?P<count>\d+) V=(?P<speed>[\d.]+)",
                speed_mm_s_per_count=1000.0,
            )
        )  # fmt: skip
        readings = source.readings()
        told = threading.Thread(target=lambda: next(readings), daemon=True)
        told.start()
        connection, _ = server.accept()
        told.join()
        connection.sendall(b"P=100 V=2")
        time.sleep(0.3)
        connection.sendall(b".5\nP=2")
        reading = first(readings)
        assert (reading.count, reading.speed_mm_s) == (100.0, 2500.0)
        connection.close()
        with pytest.raises(WorkError, match="closed"):
            first(readings)
        source.close()


def test_of_a_backlog_over_tcp_the_newest_line_counts() -> None:
    """This process was stopped for 5 s at 100 lines/s: the older lines are not as new as their arrival."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = TextSource(TextPosition(type="tcp", address=f"127.0.0.1:{port}"))
        readings = source.readings()
        told = threading.Thread(target=lambda: next(readings), daemon=True)
        told.start()
        connection, _ = server.accept()
        told.join()
        connection.sendall(b"".join(b"%d;20000\n" % (200 * line) for line in range(1, 1001)))
        time.sleep(0.3)
        assert first(readings).count == 200_000.0
        connection.close()
        source.close()


@pytest.mark.parametrize(
    ("words", "kind", "low_first", "value"),
    [
        ([0x0001, 0x0002], "uint32", False, 65_538),
        ([0x0001, 0x0002], "uint32", True, 131_073),
        ([0xFFFF, 0xFFFE], "int32", False, -2),
        ([0xFFFE], "int16", False, -2),
        ([0x4148, 0x0000], "float32", False, 12.5),
    ],
)
def test_registers_become_numbers(words: Any, kind: Any, low_first: Any, value: Any) -> None:
    """16 and 32 bits, signs, floats, both orders of words."""
    assert number(words, kind, low_first=low_first) == value


class NoNumbers:
    """A source whose register holds no possible number, then one; once it fails with an error of the program."""

    def __init__(self) -> None:
        self.failed = False

    def readings(self) -> Iterator[Reading | None]:
        now_ns = time.monotonic_ns()
        yield Reading(now_ns, float("nan"), 5000.0)
        yield Reading(now_ns + 1, 10.0, float("inf"))
        for at, count in enumerate((1e308, 2e307, -1e300)):
            yield Reading(now_ns + 2 + at, count, 1e200)
        if not self.failed:
            self.failed = True
            raise OverflowError("cannot convert float infinity to integer")
        while True:
            yield Reading(time.monotonic_ns(), 100.0, 0.0)
            time.sleep(0.01)

    def close(self) -> None:
        pass


def test_what_is_no_number_is_left_out(tmp_path: Any) -> None:
    """NaN must not stay in the position, numbers of 309 digits break nothing, and no error ends the thread."""
    scale = Scale(1.0, 2.0**32)
    thread = PositionThread(NoNumbers(), Odometer(scale, Speeds()), TrackWriter(tmp_path), "test")
    thread.start()
    until_s = time.monotonic() + 10
    while thread.readings < 5 and time.monotonic() < until_s:
        time.sleep(0.02)
    thread.close()
    track = read_track(tmp_path)
    assert track is not None
    assert track.samples[-1].position_mm == 0.0


def test_a_plc_that_goes_away_is_asked_again(tmp_path: Any) -> None:
    """The track stands still while the PLC is away, and continues with its counter afterwards."""
    mill = Mill(tmp_path, ((0.0, 5.0),))
    settings = ModbusPosition(
        type="modbus", host="127.0.0.1", port=mill.port, counter_register=COUNTER, speed_register=SPEED
    )
    thread = PositionThread(
        ModbusSource(settings), Odometer(settings.scale(), Speeds()), TrackWriter(tmp_path), "test"
    )
    try:
        mill.start()
        mill.begin()
        thread.start()
        until_s = time.monotonic() + 20
        while not thread.answers and time.monotonic() < until_s:
            time.sleep(0.02)
        before = read_track(tmp_path)
        assert before is not None
        mill.hang()
        while thread.answers and time.monotonic() < until_s:
            time.sleep(0.02)
        assert not thread.answers
        mill.go_on()
        while not thread.answers and time.monotonic() < until_s:
            time.sleep(0.02)
        time.sleep(0.5)
        after = read_track(tmp_path)
    finally:
        thread.close()
        mill.stop()
    assert after is not None
    passed_s = (after.samples[-1].monotonic_ns - before.samples[-1].monotonic_ns) / 1e9
    moved_mm = after.samples[-1].position_mm - before.samples[-1].position_mm
    assert moved_mm == pytest.approx(5000.0 * passed_s, rel=0.05)


def test_a_real_plc_whose_encoder_jumps_and_freezes(tmp_path: Any) -> None:
    """At 5 m/s the counter freezes for 1.5 s, then is set back: one line each, and the position continues."""
    faults = [
        {"kind": "freeze", "from_s": 1.0, "to_s": 2.5},
        {"kind": "jump", "from_s": 3.5, "to_s": 0.0, "counts": 900_000},
    ]
    mill = Mill(tmp_path, ((0.0, 5.0),), faults=faults)
    settings = ModbusPosition(
        type="modbus", host="127.0.0.1", port=mill.port, counter_register=COUNTER, speed_register=SPEED
    )
    thread = PositionThread(
        ModbusSource(settings), Odometer(settings.scale(), Speeds()), TrackWriter(tmp_path), "test"
    )
    with capture_logs() as logged:
        try:
            mill.start()
            thread.start()
            until_s = time.monotonic() + 20
            while not thread.answers and time.monotonic() < until_s:
                time.sleep(0.02)
            mill.begin()
            time.sleep(5.0)
        finally:
            thread.close()
            mill.stop()
    track = read_track(tmp_path)
    assert track is not None
    newest = track.samples[-1]
    assert newest.position_mm == pytest.approx(mill.position_mm(newest.monotonic_ns), rel=0.03)
    notes = [line["note"] for line in logged if line["event"] == "position"]
    assert [note.split(" ")[2] for note in notes] == ["is", "moves", "jumped"]
