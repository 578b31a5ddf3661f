"""The page's parts, without a line: masks, stretches, accounts, alarms, the view's messages."""

import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from pydantic import ValidationError

from inspector.backends.instant import write_engine
from inspector.config.page import PageSettings
from inspector.core.strip.periodic import Roll, RollMark
from inspector.errors import ConfigError, InputError, WireError, WorkError
from inspector.monitoring.client import alarm_key
from inspector.serve import review, samples
from inspector.serve.accounts import Account, Accounts, Attempts, Role
from inspector.serve.alarms import Alarms, acknowledge, count_shown, past_alarms, shown_alarms
from inspector.serve.audit import newest
from inspector.serve.corrections import Choice, export_corrections
from inspector.serve.frames import outlines
from inspector.serve.known_engines import KnownEngines
from inspector.serve.live import Live
from inspector.serve.routes_line import Event
from inspector.serve.samples import keep
from inspector.serve.security import NOBODY, account_of
from inspector.serve.segments import join_segments
from inspector.serve.store import Store
from inspector.values import Motion, StripPlace
from inspector.wire.view import ViewMessage, decode
from tests.support.recorded import defect, verdict

CODES = {"accept": 0, "reject": 1, "uninspected": 2}
CLASSES = ("normal", "pits", "cracks")
PASSWORD = "correct horse battery"  # noqa: S105  # of the accounts made here


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "page")


def seen(frame_id: int = 0, **more: Any) -> ViewMessage:
    pixels = np.full((32, 64), 100, np.uint8)
    mask = np.zeros_like(pixels)
    mask[4:12, 8:24] = 1
    mask[20:24, 40:60] = 2
    return ViewMessage(verdict(frame_id, defect("a"), **more), pixels, mask)


def test_a_mask_survives_as_runs() -> None:
    """A mask that goes to a browser and back is unchanged."""
    mask = seen().mask
    assert mask is not None
    runs = [tuple(run) for run in review.runs_of(mask)]
    assert (review.mask_of(runs, 32, 64, 2) == mask).all()  # type: ignore[arg-type]
    assert review.runs_of(np.zeros((3, 4), np.uint8)) == []
    full = np.full((3, 4), 2, np.uint8)
    assert review.runs_of(full) == [[2, 0, 12]]


@pytest.mark.parametrize(
    "runs",
    [[(3, 0, 1)], [(0, 0, 1)], [(1, 2047, 2)], [(1, 10, 5), (1, 12, 5)], [(1, 5, 1), (1, 0, 1)], [(1, 2**40, 1)]],
)
def test_runs_that_do_not_fit_are_refused(runs: list[tuple[int, int, int]]) -> None:
    """Runs of an unknown kind, outside the frame, overlapping or out of order are refused."""
    with pytest.raises(InputError, match="does not fit"):
        review.mask_of(runs, 32, 64, 2)


def test_a_review_becomes_a_data_set(store: Store, tmp_path: Path) -> None:
    """Accept, reject and redraw are exported with the right masks; undone reviews are not."""
    numbers = [keep(store, "reject", seen(n, captured_ns=n), CLASSES) for n in range(4)]
    assert all(numbers)
    assert keep(store, "reject", seen(0, captured_ns=0), CLASSES) is None
    accepted, rejected, drawn, undone = (number or 0 for number in numbers)
    review.answer(store, accepted, "accept", None, "kim", "scale")
    review.answer(store, rejected, "reject", None, "kim", "")
    review.answer(store, drawn, "redraw", [(2, 3, 5)], "kim", "")
    number = review.answer(store, undone, "accept", None, "kim", "")
    with pytest.raises(InputError, match="kim's"):
        review.undo(store, number, "lee")
    assert review.undo(store, number, "kim") == undone
    with pytest.raises(InputError, match="kim has reviewed it"):
        review.answer(store, accepted, "reject", None, "lee", "")
    about = export_corrections(store, tmp_path / "set", Choice())
    assert (about["frames"], about["answers"]) == (3, {"accept": 1, "redraw": 1, "reject": 1})
    import cv2

    masks = {
        int(path.stem.rpartition("-")[2]): cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        for path in (tmp_path / "set" / "masks").iterdir()
    }
    assert not masks[accepted].any()
    assert (masks[rejected] == seen().mask).all()
    assert masks[drawn].sum() == 10
    assert (tmp_path / "set" / "classes.json").read_text() == '["normal","pits","cracks"]'
    lines = (tmp_path / "set" / "reviews.jsonl").read_text().splitlines()
    assert msgspec.json.decode(lines[0])["why"] == "scale"
    with pytest.raises(InputError, match="not empty"):
        export_corrections(store, tmp_path / "set", Choice())


def test_a_full_queue_keeps_what_teaches_most(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest random frames and rejects are dropped first, then the oldest uncertain ones and escapes."""
    monkeypatch.setattr(samples, "MOST_OPEN", 3)
    for number, origin in enumerate(("escape", "random", "reject", "shadow", "random", "uncertain", "random")):
        keep(store, origin, seen(number, captured_ns=number), CLASSES)
    left = {frame["frame_id"] for frame in review.waiting(store, 10)["frames"]}
    assert left == {0, 3, 5}
    assert len(list(store.samples.glob("*.mask.png"))) == 3


def test_a_marked_frame_is_first_in_the_queue_whatever_it_was_kept_for(store: Store) -> None:
    """Its origin stays, because acceptance counts the frames drawn at random; a reviewed one is refused."""
    drawn = keep(store, "random", seen(1, captured_ns=1), CLASSES, chance=0.1)
    keep(store, "uncertain", seen(2, captured_ns=2), CLASSES)
    new = samples.mark(store, seen(3, captured_ns=3), CLASSES, "kim", "edge crack?")
    assert samples.mark(store, seen(1, captured_ns=1), CLASSES, "kim", "") == drawn
    frames = review.waiting(store, 10)["frames"]
    assert [frame["frame_id"] for frame in frames] == [3, 1, 2]
    assert frames[0]["reasons"][-1] == "marked by kim: edge crack?"
    with store.reading() as connection:
        origins = dict(connection.execute("SELECT sample_id, origin FROM origins").fetchall())
    assert (origins[drawn], origins[new]) == ("random", "marked")
    review.answer(store, new, "accept", None, "lee", "")
    with pytest.raises(InputError, match="lee has reviewed it"):
        samples.mark(store, seen(3, captured_ns=3), CLASSES, "kim", "")


def test_an_empty_mask_is_no_reject(store: Store) -> None:
    """A reject without a marked pixel would teach a network nothing."""
    number = keep(store, "random", seen(), CLASSES) or 0
    with pytest.raises(InputError, match="mask is empty"):
        review.answer(store, number, "redraw", [], "kim", "")
    with pytest.raises(InputError, match="needs a mask"):
        review.answer(store, number, "kind", None, "kim", "")
    assert len(review.waiting(store, 10)["frames"]) == 1


def test_stretches_join_and_gaps_stay() -> None:
    """Frames of one decision are one stretch; a frame that is missing leaves a hole."""
    rows = [("top", 10.0 * n, "reject" if n == 3 else "accept", 1) for n in range(6) if n != 5]
    rows += [("top", 70.0, "accept", 1), ("top", 80.0, "accept", 1), ("top", 0.0, "accept", 2)]
    assert join_segments(rows, CODES) == [
        ["top", 0.0, 30.0, 0],
        ["top", 30.0, 40.0, 1],
        ["top", 40.0, 50.0, 0],
        ["top", 70.0, 90.0, 0],
        ["top", 0.0, 10.0, 0],
    ]
    assert join_segments([], CODES) == []


def test_a_password_is_checked_and_never_stored(store: Store) -> None:
    """Right name and password give a session; the file holds only the hash."""
    accounts = Accounts(store)
    assert not accounts.exist()
    accounts.add("kim", Role.OPERATOR, PASSWORD, "root")
    assert accounts.log_in("kim", "wrong") is None
    assert accounts.log_in("nobody", PASSWORD) is None
    token = accounts.log_in("kim", PASSWORD)
    assert token is not None
    found = accounts.of_session(token)
    assert found is not None
    assert (found.name, found.role) == ("kim", Role.OPERATOR)
    content = b"".join(path.read_bytes() for path in store.folder.glob("page.sqlite*"))
    assert PASSWORD.encode() not in content
    assert token.encode() not in content
    accounts.remove("kim", "root")
    assert accounts.of_session(token) is None
    assert [entry["what"] for entry in newest(store, 10)] == [
        "account removed", "logged in", "login refused", "login refused", "account added",
    ]  # fmt: skip


@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_what_those_before_it_may(role: Role) -> None:
    """Each role includes the previous ones: viewer, operator, quality, admin."""
    order = list(Role)
    assert [role.may(each) for each in order] == [order.index(role) >= n for n in range(4)]


@pytest.mark.parametrize(
    ("name", "password"), [("", PASSWORD), (" kim", PASSWORD), ("k\n", PASSWORD), ("kim", "short")]
)
def test_a_bad_name_or_password_makes_no_account(store: Store, name: str, password: str) -> None:
    """Each bad name or password gives one clear line."""
    with pytest.raises(InputError):
        Accounts(store).add(name, Role.VIEWER, password, "root")


def test_failed_logins_must_wait() -> None:
    """Five within five minutes, counted by name and by address."""
    attempts = Attempts()
    with ThreadPoolExecutor(20) as pool:  # before any password is hashed
        waits = list(pool.map(lambda _: attempts.begin("name kim", "address 1"), range(60)))
    assert waits.count(0) == 5
    assert 290 < attempts.begin("name kim", "address 2") <= 300
    assert 290 < attempts.begin("name lee", "address 1") <= 300
    assert attempts.begin("name lee", "address 2") == 0
    attempts.succeeded("name kim", "address 3")
    assert attempts.begin("name kim", "address 3") == 0
    for _ in range(9):  # who knows the password is not shut out
        assert attempts.begin("name jo", "address 4") == 0
        attempts.succeeded("name jo", "address 4")


def test_an_alarm_begins_ends_and_is_acknowledged_once(store: Store) -> None:
    """A finding whose numbers change stays one alarm; after a restart of the page, too."""
    alarms = Alarms(store)
    alarms.update(["camera top: its ingest was not heard of for 1.2 s", "gate: takes no verdicts, 3 missed"])
    alarms = Alarms(store)
    alarms.update(["camera top: its ingest was not heard of for 7.9 s"])
    standing = shown_alarms(store)
    assert [each["ended_ms"] is None for each in standing] == [True, False]
    acknowledge(store, standing[0]["id"], "kim", "seen")
    with pytest.raises(InputError, match="kim has acknowledged it"):
        acknowledge(store, standing[0]["id"], "lee", "")
    with pytest.raises(InputError, match="no such alarm"):
        acknowledge(store, 99, "lee", "")
    alarms.update([])
    assert len(shown_alarms(store)) == 1
    assert len(past_alarms(store, 10)) == 2
    alarms.update(["gate: takes no verdicts, 9 missed", "camera top: its ingest was not heard of for 2.0 s"])
    assert [each["id"] for each in past_alarms(store, 10)] == [3, 2, 1]
    assert [each["ended_ms"] for each in shown_alarms(store)] == [None, None]


def test_an_alarm_that_comes_again_shows_its_new_begin(store: Store) -> None:
    """And how often it came, until somebody acknowledges it; the next one counts from one again."""
    alarms = Alarms(store)
    alarms.update(["gate: takes no verdicts"])
    with store.changing() as connection:  # an hour ago
        connection.execute("UPDATE alarms SET began_ns = began_ns - 3600000000000")
    for _ in range(2):
        alarms.update([])
        alarms.update(["gate: takes no verdicts"])
    [alarm] = shown_alarms(store)
    assert (alarm["id"], alarm["times"], alarm["ended_ms"]) == (1, 3, None)
    assert alarm["began_ms"] > time.time() * 1000 - 60_000
    acknowledge(store, 1, "kim", "")
    alarms.update([])
    alarms.update(["gate: takes no verdicts"])
    [alarm] = shown_alarms(store)
    assert (alarm["id"], alarm["times"]) == (2, 1)


def test_the_full_list_begins_with_the_alarms_that_wait(store: Store) -> None:
    """However old they are, and however many; the live page gets the newest and their number."""
    alarms = Alarms(store)
    alarms.update(["gate: takes no verdicts"])
    others = [f"camera c{n}: no frame" for n in range(60)]
    alarms.update(["gate: takes no verdicts", *others])
    for number in range(2, 62):
        acknowledge(store, number, "kim", "")
    alarms.update(["gate: takes no verdicts"])
    assert [each["id"] for each in past_alarms(store, 3)] == [1, 61, 60]
    assert (count_shown(store), len(shown_alarms(store))) == (1, 1)
    alarms.update(others)
    assert (count_shown(store), len(shown_alarms(store))) == (61, 50)


@pytest.mark.parametrize(
    "parts",
    [
        [b"top"],
        [b"top", b"{}"],
        [b"top", b"no json"],
        [b"top", b"VERDICT", b"[2,2]", b"1234", b"1234"],
        [b"top", b"VERDICT", b"[2,2]", b"1234", b"123", b"[]"],
        [b"top", b"VERDICT", b"[-2,-2]", b"1234", b"1234", b"[]"],
        [b"top", b"VERDICT", b"[0,0]", b"", b"", b"[]"],
        [b"top", b"VERDICT", b"[2,2]", b"1234", b"1234", b"[256]"],
        [b"top", b"VERDICT", b"[2,2]", b"1234", b"1234", b"{}"],
        [b"top", b"VERDICT", b"[2,2]", b"1234", b"1234", b"[]", b"[2,1]"],
        [b"top", b"VERDICT", b"[2,2]", b"1234", b"1234", b"[]", b"[2,1]", b"123"],
        [b"top", b"VERDICT", b"[2,2]", b"1234", b"1234", b"[]", b"[-1,-2]", b"12"],
    ],
)
def test_a_message_that_is_none_is_refused(parts: list[bytes]) -> None:
    """An invalid message does not end the page."""
    encoded = msgspec.json.encode(verdict(1))
    with pytest.raises(WireError):
        decode([encoded if part == b"VERDICT" else part for part in parts])


def test_a_message_decodes() -> None:
    """With and without a picture."""
    encoded = msgspec.json.encode(verdict(1))
    assert decode([b"top", encoded]).pixels is None
    got = decode([b"top", encoded, b"[2,3]", bytes(range(6)), bytes(6), b"[0,200]"])
    assert got.pixels is not None
    assert got.pixels.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (got.peaks, got.score) == ((0, 200), None)
    got = decode([b"top", encoded, b"[2,3]", bytes(range(6)), bytes(6), b"[0,200]", b"[1,2]", bytes([7, 200])])
    assert got.score is not None
    assert got.score.tolist() == [[7, 200]]


def test_an_outline_goes_round_each_defect() -> None:
    """Kind and corners of both."""
    mask = seen().mask
    assert mask is not None
    found = {kind: np.reshape(points, (-1, 2)) for kind, points in outlines(mask)}
    assert found[1].min(axis=0).tolist() == [8, 4]
    assert found[1].max(axis=0).tolist() == [23, 11]
    assert found[2].max(axis=0).tolist() == [59, 23]


def test_live_joins_frames_and_begins_again_with_the_ingest() -> None:
    """The map grows by frames of one decision; a new ingest counts positions from 0."""
    live = Live(["top"], 10.0)
    for n in range(3):
        live.take(ViewMessage(verdict(n, position_mm=10.0 * n, captured_ns=n * 10**8)))
    news, history = live.news_and_history()
    assert [each[1:4] for each in history["frames"]] == [[0.0, 30.0, 0]]
    assert len(news["frames"]) == 3
    assert live.speeds_mm_s() == {"top": pytest.approx(100.0)}
    assert live.news()["frames"] == []
    live.take(ViewMessage(verdict(0, position_mm=0.0, captured_ns=10**9)))
    assert [each[1:4] for each in live.news_and_history()[1]["frames"]] == [[0.0, 10.0, 0]]


def test_live_keeps_the_map_when_the_strip_travels_back() -> None:
    """With positions from an encoder, neither reverse travel nor a new ingest empties the map."""
    live = Live(["top"], 10.0)
    back = StripPlace(Motion.REVERSE)
    for n, position_mm in enumerate((0.0, 10.0, 20.0, 15.0)):
        live.take(ViewMessage(verdict(n, position_mm=position_mm, captured_ns=n * 10**8, strip=back)))
    live.take(ViewMessage(verdict(0, position_mm=25.0, captured_ns=10**9, strip=back, ingest_epoch=7)))
    assert [each[1:3] for each in live.news_and_history()[1]["frames"]] == [[0.0, 30.0], [15.0, 35.0]]


def test_a_reject_keeps_its_picture_and_no_page_no_live_frame() -> None:
    """Without an open page no frame is encoded; a reject's picture is kept for the next page."""
    live = Live(["top"], 10.0)
    live.take(seen(camera="top"))
    assert live.frames() == []
    reject = live.news_and_history()[1]["rejects"][0]
    picture = live.picture(reject["number"])
    assert picture is not None
    assert picture[:2] == b"\xff\xd8"
    live.open_pages(1)
    live.take(seen(1, camera="top"))
    assert len(live.frames()) == 1
    live.open_pages(0)
    live.open_pages(1)
    assert live.frames() == []


def test_a_store_that_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    """A file in place of the folder, and a file that is not a database."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="give another folder"):
        Store(tmp_path / "file" / "page")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "page.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(WorkError, match=r"page\.sqlite"):
        Store(tmp_path / "bad")
    newer = Store(tmp_path / "newer")
    with sqlite3.connect(newer.file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="newer inspector"):
        Store(tmp_path / "newer")


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"address": "0.0.0.0:8470"}, "unencrypted"),
        ({"address": "10.0.0.3:8470"}, "unencrypted"),
        ({"address": "127.0.0.1:0"}, "port"),
        ({"address": "127.0.0.1:99999"}, "port"),
        ({"certificate": "a.pem"}, "need each other"),
        ({"address": "somewhere"}, "pattern"),
        ({"names": ["a b"]}, "pattern"),
    ],
)
def test_an_address_on_the_network_needs_tls(values: dict[str, object], wrong: str) -> None:
    """A loopback address needs nothing, any other a certificate."""
    with pytest.raises(ValueError, match=wrong):
        PageSettings.model_validate(values)
    assert PageSettings().is_loopback
    assert PageSettings(address="[::1]:8470").is_loopback


def test_findings_of_cameras_named_by_numbers_are_alarms_of_their_own() -> None:
    """Other numbers in a finding change while it stays the same alarm."""
    ended = "camera {}: its ingest has been silent for {} s"
    assert alarm_key(ended.format(1, 3)) == alarm_key(ended.format(1, 12))
    assert alarm_key(ended.format(1, 3)) != alarm_key(ended.format(2, 3))


def test_each_roll_mark_is_an_alarm_of_its_own() -> None:
    """By roll, stand, kind of defect and place across; while it grows, it stays the same alarm."""
    roll = Roll("bridle roll 1", 942.0)

    def mark_of(
        name: str, stand: str, kind: str, across_mm: float, period_mm: float = 942.0, hits: int = 4
    ) -> RollMark:
        last_mm = 1000.0 + hits * period_mm
        return RollMark(name, stand, "top", kind, period_mm, across_mm, 1000.0, last_mm, hits, last_mm)

    mark = mark_of(roll.name, "", "pits", 203.0)
    grown = mark_of(roll.name, "", "pits", 203.0, 1002.0, 900)
    others = [
        mark_of("bridle roll 2", "", "pits", 203.0),
        mark_of(roll.name, "4", "pits", 203.0),
        mark_of(roll.name, "", "cracks", 203.0),
        mark_of(roll.name, "", "pits", 1100.0),
        mark_of(roll.name, "", "pits", 214.0),
    ]
    assert alarm_key(mark.text()) == alarm_key(grown.text()) == alarm_key(mark.text(head_mm=9000.0))
    assert len({alarm_key(each.text()) for each in [mark, *others]}) == 6


def test_a_page_knows_an_engine_of_other_classes(tmp_path: Path) -> None:
    """By the config's engine, which a new start of the line uses, and by the names of defects."""
    first = write_engine(tmp_path / "engine", classes=("normal", "scratches"))
    engines = KnownEngines(tmp_path / "engine", first.identity, first.manifest.classes)
    seen = verdict(1, defect("a"), engine=first.identity)
    name = seen.defects[0].name
    assert engines.fits(seen) == (name == "scratches")
    engines = KnownEngines(tmp_path / "engine", first.identity, ("normal", name))
    assert engines.fits(seen)
    assert engines.fits(verdict(2, defect("a"), engine="swapped@1"))
    assert not engines.fits(verdict(3, msgspec.structs.replace(defect("a"), name="hole"), engine="other@1"))
    assert not engines.fits(verdict(4, engine="other@1")), "once told"
    shutil.rmtree(tmp_path / "engine")
    second = write_engine(tmp_path / "engine", classes=("normal", "hole"))
    assert not engines.fits(verdict(5, engine=second.identity))


def test_wide_spaces_are_text() -> None:
    """A Korean keyboard types U+3000."""
    event = Event(kind="note", text="\u3000롤 교체\u00a0")
    assert event.text == "\u3000롤 교체\u00a0"
    with pytest.raises(ValidationError):
        Event(kind="note", text="\u202e")


def test_a_session_is_good_while_the_store_is_locked(tmp_path: Path) -> None:
    """Noting its use is a write, which must not keep anybody from looking."""
    store = Store(tmp_path / "page")
    accounts = Accounts(store)
    accounts.add("kim", Role.VIEWER, PASSWORD, "test")
    token = accounts.log_in("kim", PASSWORD)
    assert token is not None
    with store.changing() as connection:
        connection.execute("UPDATE sessions SET used_ns = used_ns - 3600000000000")
    with store.changing():
        began_s = time.monotonic()
        found = accounts.of_session(token)
        assert time.monotonic() - began_s < 1.0
    assert found == Account("kim", Role.VIEWER)


def test_without_accounts_only_a_page_for_this_pc_is_open() -> None:
    """Removing the last account must not open a page that other PCs reach."""
    none = SimpleNamespace(exist=lambda: False, of_session=lambda _: None)

    def asked(*, loopback: bool) -> Account | None:
        state = SimpleNamespace(accounts=none, open=loopback)
        return account_of(SimpleNamespace(app=SimpleNamespace(state=state), cookies={}))  # type: ignore[arg-type]

    assert asked(loopback=True) is NOBODY
    assert asked(loopback=False) is None
