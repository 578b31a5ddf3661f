"""Coils and the encoder in the registers of a PLC, a pymodbus server in its own process, and its faults."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inspector.files import write_whole
from tests.process.test_strip_coils import StripAlone, coil, result_files, wait
from tests.process.test_strip_position import mill_line, plc_position
from tests.support.lines import LineUnderTest
from tests.support.mill import COIL, Mill

FAULTS = [
    {"kind": "freeze", "from_s": 2.0, "to_s": 3.0},
    {"kind": "jump", "from_s": 4.0, "to_s": 0.0, "counts": 900_000},
    {"kind": "negative_speed", "from_s": 5.0, "to_s": 6.0},
]
SPEED_MM_S = 5000.0

FIELDS = (
    'fields = [{ name = "counter", type = "uint16" }, { name = "id", type = "text", length = 8 }, '
    '{ name = "grade", type = "text", length = 4 }, { name = "width_mm", type = "uint16", scale = 0.1 }]\n'
)


class Plant:
    """A PLC and a strip process."""

    def __init__(self, folder: Path, faults: list[dict[str, Any]]) -> None:
        self.mill = Mill(folder, ((0.0, SPEED_MM_S / 1000),), faults=faults)
        self.line: LineUnderTest = mill_line(
            folder,
            f"result_wait_s = 0.2\n{plc_position(self.mill)}\n"
            f'[strip.coil_registers]\nhost = "127.0.0.1"\nport = {self.mill.port}\nfirst_register = {COIL}\n'
            f"interval_ms = 50\n{FIELDS}",
            f'links = "{folder}/links"',
        )
        self.line.config.write_text(
            self.line.config.read_text().replace("deadline_ms = 20000", "deadline_ms = 100")
        )
        (folder / "links").mkdir(mode=0o700)
        self.strip = StripAlone(self.line)

    def start(self) -> None:
        self.say(0, "")
        self.mill.start()
        self.strip.start()
        wait(lambda: "position source answers" in self.log(), "the encoder is read")

    def say(self, counter: int, name: str, grade: str = "", width: int = 0) -> None:
        """Write the coil's registers, all at once."""
        raw = struct.pack(">H8s4sH", counter, name.encode().ljust(8), grade.encode().ljust(4), width)
        write_whole(self.mill.coil_file, json.dumps(struct.unpack(">8H", raw)).encode(), sync=False)

    def log(self) -> str:
        return self.strip.log.read_text()

    def lines(self, words: str) -> int:
        return sum(words in line for line in self.log().splitlines())

    def events(self) -> list[tuple[str, str]]:
        """(start or end, coil) from the journal; an end by registers names no coil."""
        path = self.line.folder / "strip" / "coils.jsonl"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [
            (each["event"], each["coil"]["id"] if each["event"] == "start" else "")
            for each in found
            if each["event"] in {"start", "end"}
        ]


@pytest.fixture
def plant(tmp_path: Path, request: Any) -> Iterator[Plant]:
    made = Plant(tmp_path, getattr(request, "param", []))
    yield made
    made.strip.stop()
    made.mill.stop()


@pytest.mark.parametrize("plant", [FAULTS], indirect=True)
def test_a_coil_has_its_length_through_every_fault_of_the_encoder(plant: Plant) -> None:
    """The counter freezes, then jumps, then the speed has a wrong sign: one line each, the length is right."""
    plant.start()
    plant.mill.begin()
    assert plant.mill.epoch_ns is not None
    plant.say(1, "R-1", "DC04", 15_000)
    wait(lambda: plant.events() == [("start", "R-1")], "the coil starts")
    began_ns = time.monotonic_ns()
    time.sleep(max(0.0, 6.5 - (time.monotonic_ns() - plant.mill.epoch_ns) / 1e9))
    plant.say(1, "", "", 0)
    wait(lambda: plant.events()[-1:] == [("end", "")], "the coil ends")
    took_s = (time.monotonic_ns() - began_ns) / 1e9
    wait(lambda: result_files(plant.line), "its result")
    (result,) = result_files(plant.line)
    assert (result["grade"], result["width_mm"]) == ("DC04", 1500.0)
    # It is known to a reading of the coil's registers when it starts and ends, twice each.
    assert result["length_mm"] == pytest.approx(SPEED_MM_S * took_s, rel=0.05, abs=SPEED_MM_S * 0.3)
    assert plant.lines("the counter is frozen at") == 1
    assert plant.lines("the counter moves again and agrees") == 1
    assert plant.lines("the counter jumped from") == 1
    assert plant.lines("but the counter counts the other way") == 1


def test_coils_follow_the_registers_whatever_happens_to_them(plant: Plant) -> None:
    """They freeze, the PLC hangs, the counter runs back, the id is blanked, the strip process is killed."""
    plant.start()
    plant.say(7, "R-1")
    wait(lambda: plant.events() == [("start", "R-1")], "the first coil")
    plant.mill.hang()
    wait(lambda: plant.lines("coil registers cannot be read") == 1, "the hang is told")
    plant.mill.go_on()
    plant.say(8, "R-2")
    wait(lambda: plant.events()[-1:] == [("start", "R-2")], "the next coil after the hang")
    plant.strip.kill()
    plant.strip.start()
    plant.say(3, "R-2")
    wait(lambda: plant.lines("coil R-2 is on the line already") == 1, "a counter that runs back is no coil")
    plant.say(9, "R-3")
    wait(lambda: plant.events()[-1:] == [("start", "R-3")], "the third coil")
    plant.say(9, "")
    wait(lambda: plant.events()[-1:] == [("end", "")], "it ends")
    plant.say(10, "")
    plant.say(10, "R-3")
    wait(lambda: plant.events()[-1:] == [("start", "R-3")], "the same coil comes again")
    assert [name for event, name in plant.events() if event == "start"] == ["R-1", "R-2", "R-3", "R-3"]
    ended = coil(plant.line, "end")
    assert ended.returncode == 0, ended.stderr
    wait(lambda: len(result_files(plant.line)) == 4, "every coil has its result, once")
    assert [each["number"] for each in result_files(plant.line)] == [1, 2, 3, 4]
