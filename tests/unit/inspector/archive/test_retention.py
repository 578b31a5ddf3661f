"""Retention of the archive: what it deletes, and when it deletes nothing."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inspector.archive.coils import kept_coils, name_in_folder
from inspector.archive.retention import Marks, Retention, refuse_more_than_the_disk
from inspector.archive.state import STATE_NAME
from inspector.clock_doubt import Now
from inspector.config.archive import ArchiveSettings
from inspector.errors import ConfigError, WorkError

DAY_NS = 86_400 * 10**9
TODAY_NS = 20_000 * DAY_NS
PLENTY_GB = 1e-12
"""Free space that every disk has."""

UP_NS = 5 * DAY_NS
"""How long the PC has been up."""

RUN = "run-1"


def at(days: float = 0.0, boot: str = "boot-1") -> Now:
    """This many days later, on a clock that was not set."""
    return Now(TODAY_NS + round(days * DAY_NS), UP_NS + round(days * DAY_NS), boot)


def ahead(days: float, boot: str = "boot-1") -> Now:
    """Now, on a clock that is this many days ahead."""
    return Now(TODAY_NS + round(days * DAY_NS), UP_NS, boot)


def add(archive: Path, coil: str, days_ago: float, kilobytes: int = 100) -> None:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime((TODAY_NS - days_ago * DAY_NS) / 1e9))
    folder = archive / f"{stamp}_{name_in_folder(coil)}" / "top" / "000001"
    folder.mkdir(parents=True)
    (folder / "frames.mkv").write_bytes(os.urandom(1000 * kilobytes))


def left(archive: Path) -> list[str]:
    return [each.coil for each in kept_coils(archive)]


class Swept:
    """An archive of four coils, a day apart; the newest is being written."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.marks: Marks | Exception = Marks()
        self.now = at()
        self.free_bytes: Callable[[Path], int] = lambda _: 10**12
        for number, coil in enumerate("ABCD"):
            add(archive, coil, 4 - number)

    def open(self, max_gb: float = 1.0, keep_days: float | None = None, least_free_gb: float = PLENTY_GB) -> None:
        settings = ArchiveSettings(max_gb=max_gb, keep_days=keep_days, least_free_gb=least_free_gb)
        self.retention = Retention(self.archive, settings, self._read, lambda: self.now, self.free_bytes)

    def _read(self) -> Marks:
        if isinstance(self.marks, Exception):
            raise self.marks
        return self.marks

    def sweep(self) -> tuple[str, bool]:
        in_use = {each.folder for each in kept_coils(self.archive) if each.coil == "D"}
        room = self.retention.sweep(in_use)
        return "".join(left(self.archive)), room


@pytest.fixture
def swept(tmp_path: Path) -> Swept:
    (tmp_path / "archive").mkdir()
    return Swept(tmp_path / "archive")


@pytest.mark.parametrize(
    ("max_gb", "marked", "expected"),
    [
        (1.0, "", ("ABCD", True)),
        (250e-6, "", ("CD", True)),
        (250e-6, "A", ("AD", True)),
        (250e-6, "ABC", ("ABCD", False)),
        (150e-6, "A", ("ABCD", False)),
    ],
)
def test_the_oldest_coils_make_room_and_marked_ones_stay(
    swept: Swept, max_gb: float, marked: str, expected: tuple[str, bool]
) -> None:
    """Coils that could not make enough room stay; so does every other folder."""
    (swept.archive / "notes").mkdir()
    swept.marks = Marks(RUN, frozenset(marked))
    swept.open(max_gb)
    assert swept.sweep() == expected
    assert (swept.archive / "notes").exists()


@pytest.mark.parametrize(
    "then",
    [
        WorkError("the database does not answer"),
        Marks(missing="/data/records.sqlite"),
        Marks(),  # records.enabled = false, or a database without a run
        Marks("another database's run"),
    ],
)
def test_a_mark_that_was_seen_holds_when_the_database_is_gone(swept: Swept, then: Marks | Exception) -> None:
    """Also over a restart; an unmounted disk may have an empty database at its place."""
    swept.marks = Marks(RUN, frozenset("A"))
    swept.open()
    assert swept.sweep() == ("ABCD", True)
    swept.marks = then
    swept.open(250e-6, keep_days=0.5)
    assert swept.sweep()[0] in {"ABCD", "AD"}
    swept.marks = Marks(RUN)
    swept.open(150e-6)
    assert "A" not in swept.sweep()[0], "it was unmarked in the database that had the mark"


@pytest.mark.parametrize(
    "says", [WorkError("the database does not answer"), Marks(missing="/data/records.sqlite")]
)
def test_nothing_goes_while_the_marks_are_not_known(swept: Swept, says: Marks | Exception) -> None:
    """Frames are then not archived when the space is used up."""
    swept.marks = Marks(RUN)
    swept.open()
    swept.sweep()
    swept.marks = says
    swept.open(250e-6)
    assert swept.sweep() == ("ABCD", False)


def test_a_database_that_never_was_marks_nothing(swept: Swept) -> None:
    """A line may have an archive and no records."""
    swept.marks = Marks(missing="/data/records.sqlite")
    swept.open(250e-6)
    assert swept.sweep() == ("CD", True)


def test_old_coils_go_and_marked_ones_stay(swept: Swept) -> None:
    """The clock was seen a day ago."""
    swept.marks = Marks(RUN, frozenset("A"))
    swept.open(keep_days=3.5)
    assert swept.sweep()[0] == "ABCD"
    swept.now = at(1.0)
    assert swept.sweep()[0] == "ACD"


@pytest.mark.parametrize("later", [ahead(120), ahead(400), ahead(120, "boot-2"), at(120, "boot-2"), ahead(-30)])
def test_no_coil_goes_by_age_after_a_jump_of_the_clock(swept: Swept, later: Now) -> None:
    """Neither while it is wrong, nor for keep_days afterwards; also over a restart of the PC or of the archive."""
    swept.open(keep_days=2.5)
    swept.sweep()
    before = left(swept.archive)
    swept.now = later
    swept.open(keep_days=2.5)
    assert left(swept.archive) == before
    assert "".join(before) == swept.sweep()[0]
    swept.now = Now(TODAY_NS + DAY_NS, later.boot_ns + DAY_NS, later.boot_id)
    assert "".join(before) == swept.sweep()[0]


def test_a_keep_days_that_is_lowered_waits_for_a_day(swept: Swept) -> None:
    """It would delete nearly everything at once: a typing error can be corrected."""
    swept.open(keep_days=90)
    swept.sweep()
    swept.now = at(0.01)
    swept.open(keep_days=0.9)
    assert swept.sweep()[0] == "ABCD"
    for hour in range(25):
        swept.now = at(0.01 + hour / 24)
        swept.sweep()
    assert left(swept.archive) == ["D"]


@pytest.mark.parametrize(
    ("missing_kilobytes", "expected"), [(0, ("ABCD", True)), (150, ("CD", True)), (290, ("ABCD", False))]
)
def test_free_space_is_made_only_if_that_can_be_reached(
    swept: Swept, missing_kilobytes: int, expected: tuple[str, bool]
) -> None:
    """A disk that other files fill costs no coil."""
    full = sum(each.bytes() for each in kept_coils(swept.archive))
    swept.free_bytes = lambda _: (
        10**9 - 1000 * missing_kilobytes + full - sum(each.bytes() for each in kept_coils(swept.archive))
    )
    swept.open(least_free_gb=1.0)
    assert swept.sweep() == expected


def test_a_limit_above_the_disk_is_refused(tmp_path: Path) -> None:
    """No deleting could meet it."""
    settings = ArchiveSettings(max_gb=1.0, least_free_gb=1e7)
    with pytest.raises(ConfigError, match=r"archive\.least_free_gb: 1e\+07 GB are never free: the disk of .* has"):
        refuse_more_than_the_disk(settings, tmp_path)
    refuse_more_than_the_disk(ArchiveSettings(max_gb=1.0, least_free_gb=PLENTY_GB), tmp_path)


def test_a_long_name_is_kept_by_its_mark(swept: Swept) -> None:
    """The folder has a shortened name, the mark the whole one."""
    long = "Ö" * 64
    add(swept.archive, long, 9)
    swept.marks = Marks(RUN, frozenset([long]))
    swept.open(350e-6)
    swept.sweep()
    assert [each.name for each in kept_coils(swept.archive)] == [name_in_folder(long), "C", "D"]


def test_a_folder_that_is_gone_is_an_error_and_not_an_empty_archive(swept: Swept) -> None:
    """It is not made again, and goes on when it is back."""
    swept.open()
    swept.sweep()
    away = swept.archive.rename(swept.archive.with_name("away"))
    with pytest.raises(FileNotFoundError):
        swept.sweep()
    assert not swept.archive.exists()
    away.rename(swept.archive)
    assert swept.sweep() == ("ABCD", True)


def test_a_damaged_state_is_said(swept: Swept) -> None:
    """It holds the marks, so nothing is guessed."""
    (swept.archive / STATE_NAME).write_bytes(b"{")
    with pytest.raises(ConfigError, match=r"retention\.json: is damaged.*remove it"):
        swept.open()
    shutil.rmtree(swept.archive)
