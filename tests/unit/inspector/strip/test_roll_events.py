"""Roll-mark alarms: raised once, kept over restarts, cleared by a roll change."""

from pathlib import Path
from typing import Any

import pytest
import structlog

from inspector.core.strip.coils import EventRefusedError
from inspector.core.strip.periodic import Roll, RollMarks, Spot, period_mm
from inspector.core.strip.roll_alarms import rolls_in
from inspector.strip.journal import Journal
from inspector.strip.roll_events import RollEvents

TOP = Roll("work roll top", period_mm(660, 1.0), stand="3")
BOTTOM = Roll("work roll bottom", period_mm(655, 1.0), stand="3", side="bottom")
OTHER = Roll("work roll top", period_mm(720, 1.0), stand="4")
ROLLS = (TOP, BOTTOM, OTHER)

FIRST_MM = 412_000.0


class Mill:
    """The rolls of a strip process that can be started again."""

    logged: list[Any]

    def __init__(self, folder: Path, turns: int) -> None:
        self.folder, self.turns, self.at_mm = folder, turns, 0.0
        self.logged: list[Any] = []
        self.start()

    def start(self) -> None:
        self.journal = Journal(self.folder)
        marks = RollMarks(ROLLS, 0.01, 1600.0)
        self.roll_events = RollEvents(self.journal, ROLLS, marks, self.turns, lambda: self.at_mm)

    def marks(self, turns: Any, roll: Roll = TOP, first_mm: float = FIRST_MM) -> None:
        for turn in turns:
            self.roll_events.marks.add(roll.side, "pits", Spot(first_mm + turn * roll.period_mm, 800.0, 40.0))
            self.roll_events.look()


@pytest.fixture
def mill(tmp_path: Path, request: Any) -> Any:
    made = Mill(tmp_path, getattr(request, "param", 3))
    with structlog.testing.capture_logs() as made.logged:
        yield made
    made.journal.close()


@pytest.mark.parametrize("mill", [9], indirect=True)
def test_an_alarm_comes_once_after_so_many_turns(mill: Any) -> None:
    """Nine of eleven turns were seen: one line that names roll, stand, period, place and turns."""
    mill.marks([0, 1, 2, 3, 5, 6, 8, 9])
    assert mill.roll_events.texts == []
    mill.marks([10])
    said = "roll mark, work roll top, stand 3, 2 073 mm, since 412 m, 9 of 11 turns (pits, 800 mm across)"
    assert mill.roll_events.texts == [said]
    mill.marks(range(11, 14))
    assert "12 of 14 turns" in mill.roll_events.texts[0]
    assert [each["what"] for each in mill.logged if each["event"] == "roll mark"] == [said]


def test_an_alarm_stands_over_a_restart_and_is_not_raised_again(mill: Any) -> None:
    """The log is read again after a restart, and the mark goes on."""
    mill.marks(range(3))
    mill.journal.close()
    mill.start()
    assert "3 of 3 turns" in mill.roll_events.texts[0]
    mill.marks(range(6))
    assert "6 of 6 turns" in mill.roll_events.texts[0]
    assert (
        len(mill.roll_events.standing) == len([each for each in mill.logged if each["event"] == "roll mark"]) == 1
    )


def test_a_roll_change_clears_its_alarms_and_a_new_mark_is_a_new_alarm(mill: Any) -> None:
    """Two stands mark the strip, stand 3 is changed; a restart reads the old marks again."""
    mill.marks(range(4))
    mill.marks(range(4), OTHER)
    assert len(mill.roll_events.texts) == 2
    mill.at_mm = FIRST_MM + 3.5 * TOP.period_mm
    done = mill.roll_events.changed("stand 3, ground", "command")
    assert done["rolls"] == ["work roll top, stand 3", "work roll bottom, stand 3"]
    assert [text.split(", ")[2] for text in done["cleared"]] == ["stand 3"]
    assert [each.stand for each in mill.roll_events.standing] == ["4"]
    mill.journal.close()
    mill.start()
    assert [each.stand for each in mill.roll_events.standing] == ["4"]
    mill.marks(range(4))
    assert [each.stand for each in mill.roll_events.standing] == ["4"], (
        "marks from before the change raise nothing"
    )
    mill.marks([4, 5])
    assert len(mill.roll_events.standing) == 1, "two marks after the change are none yet, whatever was before"
    mill.marks([6])
    assert sorted(each.stand for each in mill.roll_events.standing) == ["3", "4"]
    assert mill.roll_events.standing[1].first_mm > mill.at_mm


def test_a_mark_of_before_the_change_still_belongs_to_its_coil(mill: Any) -> None:
    """The log is read again after the change: the mark is found, without an alarm."""
    mill.at_mm = FIRST_MM + 10 * TOP.period_mm
    mill.roll_events.changed("", "command")
    mill.marks(range(5))
    assert [mark.hits for mark in mill.roll_events.marks.marks] == [5]
    assert mill.roll_events.texts == []


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", ROLLS),
        ("all new", ROLLS),
        ("stand 4", (OTHER,)),
        ("Stand 3 and stand 4", ROLLS),
        ("Work Roll Bottom", (BOTTOM,)),
        ("work roll top", (TOP, OTHER)),
        ("work roll top of stand 4", (OTHER,)),
        ("stand 9", ()),
        ("x", ()),
        ("bridle roll", ()),
        ("stand 33", ()),
    ],
)
def test_a_roll_change_says_which_rolls(text: Any, meant: Any) -> None:
    """By stand, by name, by both; an empty text or "all" means all, any other one none."""
    assert tuple(rolls_in(text, ROLLS)) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("roll 12", [1]),
        ("roll 1", [0]),
        ("roll 1 and roll 12", [0, 1]),
        ("work roll top", [3]),
        ("work roll", [2]),
    ],
)
def test_a_roll_whose_name_is_part_of_anothers_is_not_meant(text: str, meant: list[int]) -> None:
    """A slip must not clear an alarm."""
    rolls = [Roll(name, 1000.0 + n) for n, name in enumerate(("roll 1", "roll 12", "work roll", "work roll top"))]
    assert rolls_in(text, rolls) == [rolls[n] for n in meant]


def test_a_change_of_an_unknown_stand_is_refused_and_says_which_there_are(mill: Any) -> None:
    """A misspelt stand clears nothing."""
    mill.marks(range(4))
    with pytest.raises(EventRefusedError, match=r"no roll of strip\.rolls is meant; it has"):
        mill.roll_events.changed("stand 9", "command")
    assert len(mill.roll_events.texts) == 1


def test_an_alarm_that_the_disk_refuses_is_raised_later(mill: Any, monkeypatch: Any) -> None:
    """The disk is full for a moment."""

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(mill.journal, "write", full)
        with pytest.raises(OSError, match="No space"):
            mill.marks(range(3))
    assert mill.roll_events.texts == []
    mill.roll_events.look()
    assert len(mill.roll_events.texts) == 1
