"""The link to Level 2 over real sockets: half-open connections, silent partners, foreign bytes."""

import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from inspector.config.level2 import Level2Settings
from inspector.strip.coil_events import CoilEvents
from inspector.strip.journal import Journal
from inspector.strip.level2 import Level2Link
from inspector.wire.strip_files import TrackWriter
from tests.support.ports import free_port

HEADER = [{"name": "type", "type": "uint16"}, {"name": "sequence", "type": "uint8"}]
TELEGRAMS = {
    "ack": {"code": "2", "fields": [{"name": "of_sequence", "type": "uint8"}, {"name": "code", "type": "uint8"}]},
    "coil_start": {"code": "101", "fields": [{"name": "id", "type": "text", "length": 4}]},
    "result": {"code": "201", "fields": [{"name": "number", "type": "uint16"}]},
}


class Results:
    """Two results that were not sent."""

    def __init__(self) -> None:
        self.due = [1, 2]

    def oldest(self) -> tuple[int, Mapping[str, Any]] | None:
        return (self.due[0], {"number": self.due[0]}) if self.due else None

    def taken(self, number: int) -> None:
        self.due.remove(number)


class Plant:
    """A link that listens, and its coil_events."""

    def __init__(self, folder: Any, **settings: Any) -> None:
        self.port = free_port()
        self.journal = Journal(folder)
        self.coil_events = CoilEvents(self.journal, TrackWriter(folder), lambda: 0.0, (), "r@1", 0.0)
        self.results = Results()
        given = {
            "listen": f"127.0.0.1:{self.port}", "resend_s": 0.5, "header": HEADER, "telegrams": TELEGRAMS,
            **settings,
        }  # fmt: skip
        self.link = Level2Link(Level2Settings.model_validate(given), self.coil_events, self.results)
        self.link.start()

    def connect(self) -> socket.socket:
        until_s = time.monotonic() + 10
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=10)
            except ConnectionRefusedError:
                assert time.monotonic() < until_s
                time.sleep(0.05)


@pytest.fixture
def plant(tmp_path: Any) -> Iterator[Callable[..., Plant]]:
    """Makes links that are closed at the end."""
    made: list[Plant] = []

    def make(**settings: Any) -> Plant:
        made.append(Plant(tmp_path, **settings))
        return made[-1]

    yield make
    for each in made:
        each.link.close()
        each.journal.close()


def telegram(connection: socket.socket) -> tuple[int, int, bytes]:
    """(type, sequence, body) of the next telegram."""
    kind, sequence = struct.unpack("!HB", connection.recv(3, socket.MSG_WAITALL))
    return kind, sequence, connection.recv(2, socket.MSG_WAITALL)


def of_kind(connection: socket.socket, kind: int) -> tuple[int, bytes]:
    while True:
        found, sequence, body = telegram(connection)
        if found == kind:
            return sequence, body


def test_a_partner_that_connects_again_is_heard_at_once(plant: Any) -> None:
    """After a power cut at the partner its old connection is still open, and the new one counts."""
    here = plant()
    with here.connect() as old, here.connect() as new:
        new.sendall(struct.pack("!HB4s", 101, 7, b"A"))
        assert of_kind(new, 2)[1] == bytes([7, 0])
        assert [coil.id for coil in here.coil_events.coils] == ["A"]
        old.settimeout(5)
        while old.recv(100):
            pass


def test_a_partner_without_alive_telegrams_may_be_silent(plant: Any) -> None:
    """The time-out applies only with alive telegrams."""
    here = plant(timeout_s=0.3)
    here.results.due.clear()
    with here.connect() as partner:
        time.sleep(1.2)
        partner.sendall(struct.pack("!HB4s", 101, 1, b"A"))
        assert of_kind(partner, 2)[1] == bytes([1, 0])


def test_the_kernel_watches_the_connection(plant: Any) -> None:
    """A partner that loses its power closes nothing: without `alive` telegrams only the kernel notices."""
    made = plant()
    with made.connect():
        until_s = time.monotonic() + 10
        while made.link._connection is None and time.monotonic() < until_s:
            time.sleep(0.02)
        assert made.link._connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_a_result_is_sent_again_until_it_is_acknowledged(plant: Any) -> None:
    """An acknowledgement of another telegram does not count; one of an old connection does not either."""
    here = plant()
    with here.connect() as partner:
        sequence, body = of_kind(partner, 201)
        assert body == struct.pack("!H", 1)
        partner.sendall(struct.pack("!HBBB", 2, 0, (sequence + 100) % 256, 0))
        again, body = of_kind(partner, 201)
        assert body == struct.pack("!H", 1)
        partner.sendall(struct.pack("!HBBB", 2, 0, again, 0))
        following, body = of_kind(partner, 201)
        assert body == struct.pack("!H", 2)
        partner.sendall(struct.pack("!HBBB", 2, 0, following, 1))
    until_s = time.monotonic() + 5
    while here.results.due and time.monotonic() < until_s:
        time.sleep(0.02)
    assert here.results.due == []


def test_foreign_bytes_end_the_connection_and_not_the_link(plant: Any) -> None:
    """Without lengths the start of the next telegram is unknown."""
    here = plant()
    with here.connect() as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        stranger.settimeout(5)
        try:
            while stranger.recv(100):
                pass
        except ConnectionResetError:
            pass
    with here.connect() as partner:
        partner.sendall(struct.pack("!HB4s", 101, 9, b"B"))
        assert of_kind(partner, 2)[1] == bytes([9, 0])


def test_many_telegrams_at_once_are_answered_one_by_one(plant: Any) -> None:
    """300 starts in one piece: sequences of one byte wrap."""
    here = plant()
    here.results.due.clear()
    with here.connect() as partner:
        partner.sendall(b"".join(struct.pack("!HB4s", 101, n % 256, f"{n:04d}".encode()) for n in range(300)))
        for n in range(300):
            assert of_kind(partner, 2)[1] == bytes([n % 256, 0])
    assert len(here.coil_events.coils) == 300


NUMERIC = {
    "coil_start": {
        "code": "101",
        "fields": [{"name": "id", "type": "uint32"}, {"name": "width_mm", "type": "int16"}],
    },
    "coil_end": {"code": "102", "fields": [{"name": "id", "type": "uint32"}]},
    "ack": TELEGRAMS["ack"],
}


def test_ids_that_are_numbers_keep_all_their_digits(plant: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Two long ones are two coils, and an end finds its coil; a negative width is left out."""
    here = plant(telegrams=NUMERIC)
    with here.connect() as partner:
        for sequence, number in enumerate((4_821_301, 4_821_302), 1):
            partner.sendall(struct.pack("!HBIh", 101, sequence, number, -1500))
            assert of_kind(partner, 2)[1] == bytes([sequence, 0])
        partner.sendall(struct.pack("!HBI", 102, 3, 4_821_302))
        assert of_kind(partner, 2)[1] == bytes([3, 0])
    assert [coil.id for coil in here.coil_events.coils] == ["4821301", "4821302"]
    assert here.coil_events.coils[-1].end_said_by.startswith("level2:3:")
    assert here.coil_events.coils[0].start.coil.width_mm is None


def test_a_result_that_cannot_be_sent_is_refused_at_the_door() -> None:
    """Without `ack` it would be sent forever; a word in a number needs codes; a class without one is 0."""
    settings = {"listen": "127.0.0.1:1", "header": HEADER}
    with pytest.raises(ValidationError, match="describe the telegram ack"):
        Level2Settings.model_validate(settings | {"telegrams": {"result": TELEGRAMS["result"]}})
    field = {"name": "verdict", "type": "uint8"}
    telegrams = {"result": {"code": "201", "fields": [field]}, "ack": TELEGRAMS["ack"]}
    with pytest.raises(ValidationError, match="verdict is a word"):
        Level2Settings.model_validate(settings | {"telegrams": telegrams})
    kind = {"name": "kind", "type": "uint8", "codes": {"pits": 1}}
    group = {"name": "defects", "type": "group", "count": 2, "fields": [kind]}
    telegrams["result"] = {"code": "201", "fields": [group]}
    level2 = Level2Settings.model_validate(settings | {"telegrams": telegrams})
    assert level2.without_codes(["pits", "inclusion"]) == ["inclusion"]
    sent = level2.layout().build("result", {"defects": [{"kind": "inclusion"}, {"kind": "pits"}]}, 1)
    assert sent[-2:] == bytes([0, 1])
