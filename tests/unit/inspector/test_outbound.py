"""Results by position: what is read once, in order, over rotation, restarts and runs."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inspector.errors import ConfigError
from inspector.outbound.coils import Coils
from inspector.outbound.feed import CURSOR_NAME, Feed
from inspector.outbound.frames import Frames
from inspector.outbound.health import HEALTH_NAME, KEPT_CHANGES, Health
from inspector.outbound.stream import Step
from inspector.sinks.coil_results import RESULTS_FOLDER, CoilResult
from tests.support.written import WrittenLog, verdict

Follow = Callable[[Path], Frames]
Written = Callable[..., WrittenLog]


@pytest.fixture
def follow() -> Iterator[Follow]:
    """Readers of a log that are closed in the end."""
    opened: list[Frames] = []

    def made(out: Path) -> Frames:
        opened.append(Frames(out))
        return opened[-1]

    yield made
    for each in opened:
        each.close()


@pytest.fixture
def written() -> Iterator[Written]:
    """Logs that are closed in the end."""
    opened: list[WrittenLog] = []

    def made(*arguments: Any, **options: Any) -> WrittenLog:
        opened.append(WrittenLog(*arguments, **options))
        return opened[-1]

    yield made
    for each in opened:
        each.file.close()


def numbers(steps: list[Step]) -> list[int]:
    return [step.item.frame_id for step in steps]


def drain(frames: Frames, most: int = 7) -> list[int]:
    found: list[int] = []
    while steps := frames.read(most):
        found += numbers(list(steps))
    return found


@pytest.mark.parametrize("at", [0, 1, 17, 99, 100])
def test_a_position_leads_on_wherever_it_was_taken(
    tmp_path: Path, at: int, follow: Follow, written: Written
) -> None:
    """After `at` verdicts another reader goes on with the next one, over several rotations."""
    log = written(tmp_path, 5_000)
    first = follow(tmp_path)
    first.seek(None)
    log.frames(0, 100)
    read: list[int] = []
    while len(read) < at:
        read += numbers(list(first.read(min(3, at - len(read)))))
    second = follow(tmp_path)
    second.seek(first.position())
    log.frames(100, 60)
    assert read + drain(second) == list(range(160))
    assert len(list(tmp_path.glob("verdicts-*"))) > 5


def test_the_first_start_begins_now(tmp_path: Path, follow: Follow, written: Written) -> None:
    """Earlier verdicts are not sent; a partial last line is read when it is complete."""
    log = written(tmp_path)
    log.frames(0, 10)
    frames = follow(tmp_path)
    frames.seek(None)
    log.file.write(b'{"camera":')
    assert not frames.read(5)
    log.file.write(b" damaged}\n")
    log.frames(10, 3)
    assert drain(frames) == [10, 11, 12]


def test_lines_that_come_while_the_log_rotates_are_read(tmp_path: Path, follow: Follow, written: Written) -> None:
    """A reader at the end of a file that is then filled and rotated reads its rest before the next file."""
    log = written(tmp_path, 2_000)
    frames = follow(tmp_path)
    frames.seek(None)
    for first in range(0, 300, 5):
        log.frames(first, 5)
        assert drain(frames) == list(range(first, first + 5))


def test_deleted_logs_are_counted_and_the_rest_is_read(tmp_path: Path, follow: Follow, written: Written) -> None:
    """A reader that was away for too long continues with the oldest remaining verdict."""
    log = written(tmp_path, 3_000, keep=2)
    frames = follow(tmp_path)
    frames.seek(None)
    log.frames(0, 10)
    assert drain(frames) == list(range(10))
    frames.close()
    log.frames(10, 200)
    left = drain(frames)
    assert frames.gaps == 1
    assert left == list(range(left[0], 210))
    assert left[0] > 10


def test_a_log_that_was_moved_away_begins_again(tmp_path: Path, follow: Follow, written: Written) -> None:
    """Nothing is read twice, and the new file is read from its beginning."""
    log = written(tmp_path)
    frames = follow(tmp_path)
    frames.seek(None)
    log.frames(0, 30)
    assert drain(frames) == list(range(30))
    (tmp_path / "verdicts.jsonl").rename(tmp_path / "elsewhere")
    log.file.put_back()
    log.frames(30, 5)
    assert drain(frames) == list(range(30, 35))


def test_one_run_after_the_other(tmp_path: Path, follow: Follow, written: Written) -> None:
    """`inspector run` makes a folder for each run: their verdicts follow in the order of the names."""
    frames = follow(tmp_path)
    frames.seek(None)
    assert not frames.read(5)
    for number, name in enumerate(("2026-11-29T06-00-00", "2026-11-29T06-00-00-2", "2026-11-30T01-00-00")):
        written(tmp_path / name).frames(10 * number, 10)
        (tmp_path / "mqtt").mkdir(exist_ok=True)
        assert drain(frames) == list(range(10 * number, 10 * number + 10))
    again = follow(tmp_path)
    again.seek(frames.position())
    assert drain(again) == []


def test_the_cursor_moves_behind_what_was_taken_in_order(tmp_path: Path, follow: Follow, written: Written) -> None:
    """A result that was taken before an older one is read again, together with that one."""
    out, folder = tmp_path / "out", tmp_path / "bus"
    folder.mkdir()
    log = written(out)
    feed = Feed(folder, [follow(out)])
    log.frames(0, 6)
    steps = feed.read(10)
    for step in (steps[0], steps[1], steps[3], steps[5]):
        feed.taken(step)
    feed.save()
    assert numbers(Feed(folder, [follow(out)]).read(10)) == [2, 3, 4, 5]
    feed.rewind()
    again = feed.read(10)
    assert numbers(again) == [2, 3, 4, 5]
    for step in again:
        feed.taken(step)
    feed.save()
    assert not Feed(folder, [follow(out)]).read(10)


def test_a_damaged_cursor_is_said_and_not_guessed(tmp_path: Path, follow: Follow) -> None:
    """The error names the file and the effect of removing it."""
    (tmp_path / CURSOR_NAME).write_bytes(b"{")
    with pytest.raises(ConfigError, match=r"cursor.json.*remove it"):
        Feed(tmp_path, [follow(tmp_path)])


def test_health_changes_are_numbered_over_restarts(tmp_path: Path) -> None:
    """The same findings with other numbers are not a change; a damaged last line costs only itself."""
    health = Health(tmp_path, 1)
    health.note("starting", ())
    health.note("unhealthy", ("top: silent for 3 s",))
    health.note("unhealthy", ("top: silent for 4 s",))
    health.note("healthy", ())
    with (tmp_path / HEALTH_NAME).open("ab") as file:
        file.write(b'{"number":4,')
    again = Health(tmp_path, 1)
    again.note("healthy", ())
    again.note("down", ("no line",))
    again.seek(1)
    assert [(step.position, step.item.state) for step in again.read(9)] == [
        (2, "unhealthy"), (3, "healthy"), (4, "down")
    ]  # fmt: skip
    third = Health(tmp_path, 1)
    third.seek(None)
    assert [step.item.state for step in third.read(9)] == ["down"]


def test_old_health_changes_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is bounded; the numbers go on."""
    monkeypatch.setattr("inspector.outbound.health.KEPT_CHANGES", 5)
    health = Health(tmp_path, 1)
    for number in range(23):
        health.note("healthy" if number % 2 else "down", ())
    again = Health(tmp_path, 1)
    again.seek(0)
    found = [step.position for step in again.read(99)]
    assert found[-1] == 23
    assert len(found) <= 10 < KEPT_CHANGES


def test_verdicts_of_two_cameras_stay_in_order(tmp_path: Path, follow: Follow, written: Written) -> None:
    """The log's order is the order of the messages."""
    log, frames = written(tmp_path), follow(tmp_path)
    frames.seek(None)
    log.write(*(verdict(n // 2, camera="ab"[n % 2]) for n in range(20)))
    assert [step.item.camera for step in frames.read(99)] == ["a", "b"] * 10


def judged(folder: Path, *numbers: int) -> None:
    for number in numbers:
        result = CoilResult(
            number, f"C-{number}", "", "", None, None, None, 0.0, 1.0, 1.0, 1, 2, "", "", "", "r", "release", (),
            1, 0, 0, 0.0, (), 0, {}, {}, (), (), (), (),
        )  # fmt: skip
        (folder / RESULTS_FOLDER / f"{number:06d}.json").write_bytes(msgspec.json.encode(result))


@pytest.mark.parametrize("restarted", [False, True])
def test_coils_of_a_folder_that_begins_again_are_read_from_the_first(tmp_path: Path, *, restarted: bool) -> None:
    """The strip's numbers begin at 1 in an empty folder; an empty folder alone changes nothing."""
    results = tmp_path / RESULTS_FOLDER
    results.mkdir()
    judged(tmp_path, *range(1, 6))
    coils = Coils(tmp_path)
    coils.seek(3)
    assert [step.position for step in coils.read(9)] == [4, 5]
    shutil.rmtree(results)
    assert not coils.read(9)
    if restarted:
        coils = Coils(tmp_path)
        coils.seek(5)
    assert not coils.read(9)
    results.mkdir()
    judged(tmp_path, 1, 2, 3)
    assert [step.position for step in coils.read(2)] == [1, 2]
    assert [step.position for step in coils.read(2)] == [3]
    assert not coils.read(2)
