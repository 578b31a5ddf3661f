"""decide without sockets: messages in, verdicts out."""

import itertools
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from inspector.config.recipe import ClassRule, LoadedRecipe, Recipe
from inspector.config.strip import CameraPlace, StripSettings
from inspector.core.rules import EngineClasses
from inspector.core.verdicts import Outcome
from inspector.decide.camera import MAX_EARLY, MAX_EARLY_PICTURES, MAX_UNHEARD, SILENT_NS
from inspector.decide.decide import TURN_FRAMES, Decide
from inspector.errors import WireError
from inspector.monitoring.counters import Meters
from inspector.values import Announcement, Code, Decision, Inspection, Segmentation, Uninspected
from inspector.wire.messages import Begin, End, Fault, Filter, Idle, News, Result, encode, encode_results

NAMES = ("normal", "scratch")
DEADLINE_NS = 1_000
RECIPE = LoadedRecipe(
    Path("r.toml"),
    Recipe(name="r", mm_per_px_across=1.0, mm_per_px_along=1.0, classes={"scratch": ClassRule()}),
    "1",
)


ENGINE = EngineClasses("e@1", NAMES, (1.0, 0.5), (0, 0))


def decide(*cameras: str, meters: Meters | None = None, counted: list[End] | None = None) -> Decide:
    return Decide(
        list(cameras or ["top"]), RECIPE, ENGINE, DEADLINE_NS, meters, captured_before=lambda _: counted or []
    )


INGEST, NEXT_INGEST = 1_000, 2_000
"""When two ingests started."""

CLEAN = Filter(RECIPE.identity, 128)
SHED = Uninspected(Code.SHED, "shed")


def announcement(
    frame_id: int,
    camera: str = "top",
    fault: str | None = None,
    now: int = 0,
    ingest: int = INGEST,
    recipe: str = RECIPE.identity,
) -> Announcement:
    why = None if fault is None else Uninspected(Code.UNREADABLE, fault)
    return Announcement(camera, ingest, frame_id, 5, now, 10.0 * frame_id, 8, None, why, recipe=recipe)


def end(captured: int, ingest: int = INGEST) -> End:
    return End("top", ingest, captured, 6, 10.0 * captured, 8)


def hear(desk: Decide, *messages: News, now: int = 0) -> list[Outcome]:
    """The verdicts that a message from ingest brings about at once."""
    desk.news([encode(list(messages))], now)
    return desk.settle(now)


def announce(desk: Decide, frame_id: int, *args: Any, **more: Any) -> None:
    desk.news([encode([announcement(frame_id, *args, **more)])], 0)


def answer(
    desk: Decide,
    frame_id: int,
    inspection: Inspection | None = None,
    ingest: int = INGEST,
    engine: EngineClasses = ENGINE,
    clean: Filter = CLEAN,
) -> None:
    result = Result("top", ingest, frame_id, inspection or Inspection(engine.engine, 0, 0, 1))
    desk.results(encode_results(engine, [result], clean), 5)


def test_each_way_a_frame_can_go_has_its_decision() -> None:
    """Inspected, unreadable, shed and overdue frames get their decision and reason."""
    desk = decide()
    for frame_id in range(4):
        announce(desk, frame_id, fault="a.png: empty file" if frame_id == 1 else None)
    answer(desk, 0)
    desk.news([encode([Fault("top", INGEST, 2, SHED)])], 0)
    verdicts = [outcome.verdict for now_ns in (1, DEADLINE_NS) for outcome in desk.settle(now_ns)]
    assert [verdict.decision for verdict in verdicts] == [Decision.ACCEPT] + [Decision.UNINSPECTED] * 3
    assert [verdict.reasons for verdict in verdicts[1:]] == [
        ("a.png: empty file",),
        ("shed",),
        ("no result within 0.001 ms",),
    ]
    assert desk.tally.captured == 4
    answer(desk, 3)
    assert desk.late == 1


def test_cameras_keep_their_own_order() -> None:
    """A frame that waits on one camera does not hold up another."""
    desk = decide("top", "bottom")
    announce(desk, 0, "top")
    announce(desk, 0, "bottom", fault="dark")
    assert [outcome.verdict.camera for outcome in desk.settle(1)] == ["bottom"]


def test_ingest_that_starts_again_leaves_no_frame_without_a_verdict() -> None:
    """Frames pending of the first ingest are closed, and ids count from 0 again."""
    desk = decide()
    announce(desk, 0)
    outcomes = hear(desk, Begin("top", NEXT_INGEST, None), now=1)
    assert [outcome.verdict.reasons for outcome in outcomes] == [("ingest started again before a result came",)]
    announce(desk, 0, fault="x", ingest=NEXT_INGEST)
    assert len(desk.settle(1)) == 1


def test_a_result_of_an_ingest_before_this_one_is_not_taken_for_its_own() -> None:
    """Both ingests have a frame 0, and the old pixels must not decide about the new frame."""
    desk = decide()
    announce(desk, 0)
    hear(desk, Begin("top", NEXT_INGEST, None), announcement(0, ingest=NEXT_INGEST), now=1)
    answer(desk, 0, ingest=INGEST)
    assert desk.settle(1) == []
    assert desk.late == 1
    answer(desk, 0, ingest=NEXT_INGEST)
    assert [outcome.verdict.decision for outcome in desk.settle(1)] == [Decision.ACCEPT]


def test_what_must_be_refused_costs_nothing_beside_it() -> None:
    """One wrong entry of a message is refused; the rest is applied."""
    desk = decide()
    with pytest.raises(WireError, match="camera 'side' is not in the config"):
        desk.news([encode([announcement(0), announcement(0, "side"), announcement(1)])], 0)
    wrong = Result("side", INGEST, 0, Inspection("e@1", 1, 2, 3))
    with pytest.raises(WireError, match="camera 'side'"):
        desk.results(
            encode_results(ENGINE, [wrong, Result("top", INGEST, 0, Inspection("e@1", 1, 2, 3))], CLEAN), 5
        )
    assert [outcome.verdict.frame_id for outcome in desk.settle(1)] == [0]


def test_a_refused_entry_costs_none_of_the_verdicts_its_message_brought_about() -> None:
    """The same message closes frames pending of the earlier ingest: their verdicts are handed over too."""
    desk = decide()
    announce(desk, 0)
    begin = Begin("top", NEXT_INGEST, None)
    with pytest.raises(WireError, match="camera 'side'"):
        desk.news([encode([begin, announcement(0, "side")])], 1)
    assert [outcome.verdict.reasons for outcome in desk.settle(1)] == [
        ("ingest started again before a result came",)
    ]
    assert desk.tally.captured == 1


def test_settled_only_when_every_camera_has_ended_and_nothing_is_owed() -> None:
    """The line may stop only when every frame has its verdict."""
    desk = decide()
    announce(desk, 0)
    desk.news([encode([end(2)])], 1)
    assert not desk.settled
    answer(desk, 0)
    assert [outcome.verdict.frame_id for outcome in desk.settle(1)] == [0, 1], "frame 1 was never announced"
    assert desk.settled


def test_a_successor_goes_on_where_the_log_ends() -> None:
    """A restarted decide gives verdicts to frames announced to the previous one that are not in the log."""
    desk = decide()
    desk.resume("top", INGEST, 5)
    announce(desk, 7, fault="x")
    assert [outcome.verdict.frame_id for outcome in desk.settle(1)] == [5, 6, 7]


def test_a_successor_hears_of_an_ingest_that_started_again_too() -> None:
    """Ingest restarted while decide was down: its Begin waits on the link, and ids count from 0."""
    desk = decide()
    desk.resume("top", INGEST, 5)
    desk.news([encode([Begin("top", NEXT_INGEST, None)])], 0)
    announce(desk, 0, fault="x", ingest=NEXT_INGEST)
    assert [outcome.verdict.frame_id for outcome in desk.settle(1)] == [0]


@pytest.mark.parametrize("kind", [0, 2, 255])
def test_a_kind_the_recipe_does_not_know_is_refused(kind: int) -> None:
    """A worker on another engine cannot crash decide."""
    desk = decide()
    announce(desk, 0)
    maps = Segmentation(np.full((8, 8), kind, np.uint8), np.full((8, 8), 255, np.uint8), 1)
    with pytest.raises(WireError, match="lacks"):
        answer(desk, 0, Inspection("e@1", 1, 2, 3, maps, np.zeros((8, 8), np.uint8)))


def test_an_unknown_camera_is_refused() -> None:
    """A message for a camera that is not in the config opens no account."""
    with pytest.raises(WireError, match="camera 'side' is not in the config"):
        announce(decide(), 0, "side")


def seen(kind: int, score: int) -> tuple[Segmentation, np.ndarray]:
    pixels = np.zeros((8, 8), np.uint8)
    return Segmentation(np.full((8, 8), kind, np.uint8), np.full((8, 8), score, np.uint8), 1), pixels


def test_each_engine_is_judged_by_its_own_classes_and_thresholds() -> None:
    """While one takes over from another both answer; a kind has the name, a score the limit, of its engine."""
    desk = decide()
    milder = EngineClasses("e@2", NAMES, (1.0, 0.9), (0, 0))
    for frame_id, engine in enumerate([ENGINE, milder, ENGINE]):
        announce(desk, frame_id)
        answer(desk, frame_id, Inspection(engine.engine, 0, 0, 1, *seen(1, 180)), engine=engine)
    verdicts = [outcome.verdict for outcome in desk.settle(1)]
    assert [verdict.decision for verdict in verdicts] == [Decision.REJECT, Decision.ACCEPT, Decision.REJECT]
    assert [verdict.engine for verdict in verdicts] == ["e@1", "e@2", "e@1"]


def test_an_engine_of_other_classes_is_not_believed() -> None:
    """Its numbers mean something else to the gate and the pictures: its frames end without a result."""
    desk = decide()
    announce(desk, 0)
    stranger = EngineClasses("e@3", ("normal", "pit"), (1.0, 0.5), (0, 0))
    with pytest.raises(WireError, match="classes are normal, pit: this line's are normal, scratch"):
        answer(desk, 0, engine=stranger)
    (outcome,) = desk.settle(DEADLINE_NS)
    assert outcome.verdict.decision is Decision.UNINSPECTED


def test_a_camera_is_silent_until_it_is_heard_of_and_again_after_a_while() -> None:
    """Verdicts do not show that a camera is alive; only its ingest does, with frames or Idle messages."""
    desk = decide("top", "bottom")

    def silent(now: int) -> list[str]:
        return [name for name, camera in desk.cameras.items() if camera.silent(now)]

    assert silent(0) == ["top", "bottom"]
    desk.news([encode([announcement(0, "top")])], 0)
    desk.news([encode([Idle("bottom", INGEST)])], 0)
    assert not desk.silent(SILENT_NS)
    desk.news([encode([Idle("bottom", INGEST)])], SILENT_NS)
    assert silent(SILENT_NS + 1) == ["top"]
    assert desk.silent(SILENT_NS + 1)
    assert len(desk.settle(10 * SILENT_NS)) == 1, "an idle camera owes nothing"


def test_a_camera_whose_ingest_has_ended_is_silent() -> None:
    """A camera whose ingest has ended is silent, until a new ingest starts."""
    desk = decide()
    hear(desk, Begin("top", INGEST, None), now=4)
    hear(desk, end(0), now=5)
    assert desk.silent(5)
    hear(desk, Begin("top", NEXT_INGEST, None), now=6)
    assert not desk.silent(6)


def test_every_captured_frame_is_judged_or_owed_over_restarts() -> None:
    """captured = verdicts + pending at every moment, each counted separately."""
    meters = Meters(RECIPE.bind(ENGINE))
    desk = decide(meters=meters)
    desk.resume("top", INGEST, 7)
    announce(desk, 8)
    answer(desk, 8)
    desk.settle(1)
    announce(desk, 9)
    hear(desk, Begin("top", NEXT_INGEST, None), now=1)
    announce(desk, 0, ingest=NEXT_INGEST)
    answer(desk, 9, ingest=INGEST)
    camera = desk.cameras["top"]
    assert (camera.captured, meters.verdicts["top"], len(camera.ledger)) == (4, 3, 1)
    assert (camera.late, meters.begins["top"]) == (1, 2)
    assert camera.last_verdict_ns == 1


def test_a_worker_is_unanswered_from_the_first_frame_it_owes() -> None:
    """A frame without pixels needs no answer; any answer counts."""
    desk = decide()
    hear(desk, announcement(0, fault="dark"), now=3)
    assert desk.unanswered_ns is None
    hear(desk, announcement(1), now=4)
    hear(desk, announcement(2), now=5)
    assert desk.unanswered_ns == 4
    answer(desk, 1)  # type: ignore[unreachable]
    assert desk.unanswered_ns is None


def test_messages_of_a_replaced_ingest_reopen_nothing() -> None:
    """Its unknown frames end uninspected, each once; its End, Fault and Idle change nothing else."""
    desk = decide()
    announce(desk, 0, ingest=INGEST)
    hear(desk, Begin("top", NEXT_INGEST, None), announcement(0, ingest=NEXT_INGEST), now=1)
    outcomes = hear(
        desk,
        announcement(2, ingest=INGEST),
        announcement(1, ingest=NEXT_INGEST),
        Idle("top", INGEST),
        Fault("top", INGEST, 2, SHED),
        end(4, ingest=INGEST),
        Begin("top", INGEST, None),
        now=2,
    )
    given = [(each.verdict.ingest_epoch, each.verdict.frame_id, each.verdict.codes) for each in outcomes]
    assert given == [(INGEST, frame_id, ("ingest_restarted",)) for frame_id in (1, 2, 3)]
    with pytest.raises(WireError, match="announced before"):
        announce(desk, 2, ingest=INGEST)
    camera = desk.cameras["top"]
    assert (camera.ingest_epoch, camera.captured, len(camera.ledger), camera.ended) == (NEXT_INGEST, 6, 2, False)
    assert desk.tally.captured == 4


def test_two_ingests_that_talk_at_once_invent_no_frames() -> None:
    """Each frame that one of them captured has one verdict, however their messages interleave."""
    desk = decide()
    desk.resume("top", INGEST, 90_000)
    announce(desk, 90_000, ingest=INGEST)
    hear(desk, Begin("top", NEXT_INGEST, None))
    for count in range(100):
        announce(desk, 90_001 + count, ingest=INGEST)
        announce(desk, count, ingest=NEXT_INGEST)
    desk.settle(1)
    desk.close(1)
    assert desk.tally.captured == 1 + 2 * 100


def test_results_of_an_ingest_that_nobody_announced_are_not_taken_for_the_next_ones() -> None:
    """Its results wait when decide starts; the next ingest's frames have the same ids and other pixels."""
    desk = decide()
    for frame_id in range(3):
        answer(desk, frame_id, ingest=INGEST)
    hear(desk, Begin("top", NEXT_INGEST, None))
    announce(desk, 0, ingest=NEXT_INGEST)
    assert desk.settle(1) == []
    assert desk.late == 3


def test_a_result_may_come_before_its_ingest_is_heard() -> None:
    """Messages of one ingest travel on two links."""
    desk = decide()
    answer(desk, 0)
    announce(desk, 0)
    assert [each.verdict.decision for each in desk.settle(1)] == [Decision.ACCEPT]


def test_early_results_are_bounded() -> None:
    """Results of unannounced frames cannot fill decide's memory."""
    desk = decide()
    for frame_id in range(MAX_EARLY + 10):
        answer(desk, frame_id, ingest=INGEST)
    assert len(desk.cameras["top"].early) == MAX_EARLY
    pixels = decide()
    for frame_id in range(MAX_EARLY_PICTURES + 10):
        answer(pixels, frame_id, Inspection("e@1", 1, 2, 3, *seen(1, 200)), ingest=INGEST)
    assert len(pixels.cameras["top"].early) == MAX_EARLY_PICTURES


def test_a_result_older_than_its_frame_is_no_accept() -> None:
    """The worker had it before the frame was captured: it is about other pixels, whatever its id says."""
    desk = decide()
    announce(desk, 0, now=500)
    answer(desk, 0, Inspection("e@1", 499, 499, 499))
    (outcome,) = desk.settle(501)
    assert (outcome.verdict.decision, outcome.verdict.codes) == (Decision.UNINSPECTED, ("result_refused",))


@pytest.mark.parametrize("times", [(2, 3, 9), (2, 9, 9), (9, 9, 9), (3, 2, 4), (2, 4, 3)])
def test_a_result_whose_times_contradict_each_other_is_no_accept(times: tuple[int, int, int]) -> None:
    """Its worker has another clock, or the message is damaged: nothing says which pixels it is about."""
    desk = decide()
    announce(desk, 0, now=1)
    answer(desk, 0, Inspection("e@1", *times))
    assert [outcome.verdict.codes for outcome in desk.settle(8)] == [("result_refused",)]


def test_a_capture_time_that_is_still_to_come_holds_nothing_back() -> None:
    """The frame ends at its deadline from now, without an accept, and the frames after it as ever."""
    desk = decide()
    announce(desk, 0, now=10**15)
    announce(desk, 1)
    answer(desk, 0)
    answer(desk, 1)
    decisions = [outcome.verdict.decision for outcome in desk.settle(DEADLINE_NS - 1)]
    assert decisions == [Decision.UNINSPECTED, Decision.ACCEPT]
    announce(desk, 2, now=10**15)
    assert len(desk.settle(DEADLINE_NS)) == 1


DAMAGED = [{"frame_id": 2**64 - 1}, {"height": 0}, {"captured_ns": 2**63}, {"position_mm": float("inf")}]


@pytest.mark.parametrize("ingest", [INGEST, NEXT_INGEST])
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_number_is_refused_and_the_next_frame_counts(damage: dict[str, Any], ingest: int) -> None:
    """Of the current ingest or of the one before; what no database holds never reaches one."""
    desk = decide()
    hear(desk, announcement(0, fault="x"))
    hear(desk, Begin("top", ingest, None))
    with pytest.raises(WireError, match="camera top: frame"):
        hear(desk, msgspec.structs.replace(announcement(1), **damage))
    late = {"frame_id": "captured"}
    damaged_end = msgspec.structs.replace(end(1), **{late.get(key, key): value for key, value in damage.items()})
    with pytest.raises(WireError, match="camera top: frame"):
        hear(desk, damaged_end)
    frame = 2 if ingest == INGEST else 0
    assert hear(desk, announcement(frame, fault="x", ingest=ingest))[-1].verdict.frame_id == frame


@pytest.mark.parametrize("clean", [Filter("r@2", 128), Filter(RECIPE.identity, 129)])
def test_a_worker_with_another_recipe_decides_nothing(clean: Filter) -> None:
    """A frame that it calls clean may be a defect by decide's recipe."""
    desk = decide()
    announce(desk, 0)
    announce(desk, 1)
    answer(desk, 0, clean=clean)
    answer(desk, 1)
    verdicts = [outcome.verdict for outcome in desk.settle(1)]
    assert [verdict.codes for verdict in verdicts] == [("recipe_mismatch",), ()]
    assert not desk.foreign_recipes, "the newest answer goes by this line's recipe"


@pytest.mark.parametrize("first", [announce, answer])
def test_an_ingest_with_another_recipe_decides_nothing(first: Any) -> None:
    """Its positions have another scale, its pictures other limits: no result counts, however early."""
    desk = decide()
    if first is answer:
        answer(desk, 0)
    announce(desk, 0, recipe="r@2")
    answer(desk, 0)
    assert [outcome.verdict.codes for outcome in desk.settle(1)] == [("recipe_mismatch",)]
    assert desk.foreign_recipes == {"ingest of camera top": "r@2"}


def test_a_coil_that_begins_with_a_foreign_plan_leaves_its_frame_uninspected() -> None:
    """The first coil's plan alone must not judge the head of the second."""
    desk = decide()
    desk.news([encode([msgspec.structs.replace(announcement(0), next_recipe="r@2")])], 0)
    answer(desk, 0)
    assert [outcome.verdict.codes for outcome in desk.settle(1)] == [("recipe_mismatch",)]


def test_a_dirty_camera_delays_another_by_one_frame() -> None:
    """Cameras take turns, and a turn ends before a backlog does."""
    desk = decide("dirty", "clean")
    for frame_id in range(TURN_FRAMES + 5):
        announce(desk, frame_id, "dirty", fault="x")
    announce(desk, 0, "clean", fault="x")
    cameras = [outcome.verdict.camera for outcome in desk.settle(1)]
    assert cameras[:3] == ["dirty", "clean", "dirty"]
    assert (len(cameras), desk.behind) == (TURN_FRAMES + 1, True)
    assert (len(desk.settle(1)), desk.behind) == (5, False)


def test_a_turn_full_of_defects_ends_early_and_each_verdict_has_its_own_time() -> None:
    """A frame that takes 6 ms to judge must not make the verdicts of its turn look younger than they are."""
    desk = decide("dirty", "clean")
    for frame_id in range(5):
        for camera in ("dirty", "clean"):
            announce(desk, frame_id, camera, fault="x")
    clock = itertools.count(6_000_000, 6_000_000)
    given: list[list[float | None]] = []
    while not given or desk.behind:
        given.append([each.total_ms for each in desk.settle(1, lambda: next(clock))])
    assert given[0] == [0.0, 6.0, 12.0, 18.0]
    assert sum(map(len, given)) == 10


def test_frames_lost_before_the_first_one_heard_have_its_time_and_place() -> None:
    """They do not get position 0 and the year 1970."""
    desk = decide()
    announce(desk, 3)
    lost = desk.settle(1)
    assert [(each.verdict.position_mm, each.verdict.captured_ns) for each in lost] == [
        (6.0, 5), (14.0, 5), (22.0, 5),
    ]  # fmt: skip


def test_a_long_gap_outlives_decide() -> None:
    """decide was killed while it gave the gap's verdicts; the next one gives the rest, each once."""
    first = decide()
    announce(first, 2_000)
    given = {outcome.verdict.frame_id for outcome in first.settle(1)}
    assert 0 < len(given) < 2_000
    second = decide()
    second.resume("top", INGEST, 2_001)
    second.resume_gaps("top", [(INGEST, max(given) + 1, 2_000)])
    announce(second, 2_001)
    for now_ns in range(1, 50):
        given |= {outcome.verdict.frame_id for outcome in second.settle(now_ns)}
    given |= {outcome.verdict.frame_id for outcome in second.settle(DEADLINE_NS)}
    assert given | {2_000} == set(range(2_002))
    camera = second.cameras["top"]
    assert camera.captured == second.tally.captured


def test_an_end_of_an_unknown_ingest_invents_no_frame() -> None:
    """decide knows nothing of that ingest, and its frames may have verdicts in another log."""
    desk = decide()
    announce(desk, 0, ingest=NEXT_INGEST)
    assert hear(desk, end(50, ingest=INGEST), now=1) == []


def ids(outcomes: list[Outcome]) -> list[tuple[int, int, str]]:
    verdicts = [outcome.verdict for outcome in outcomes]
    return [(verdict.ingest_epoch, verdict.frame_id, verdict.codes[0]) for verdict in verdicts]


LOST = Code.ANNOUNCEMENT_LOST


def test_an_ended_ingest_is_brought_to_account_by_its_count() -> None:
    """It captured five frames and three announcements were never read; they change nothing later."""
    desk = decide(counted=[end(5)])
    announce(desk, 0)
    announce(desk, 1)
    outcomes = hear(desk, Begin("top", NEXT_INGEST, None), now=1)
    assert ids(outcomes) == [
        (INGEST, 0, Code.INGEST_RESTARTED),
        (INGEST, 1, Code.INGEST_RESTARTED),
        (INGEST, 2, LOST),
        (INGEST, 3, LOST),
        (INGEST, 4, LOST),
    ]
    assert [outcome.verdict.position_mm for outcome in outcomes[2:]] == [18.0, 26.0, 34.0]
    assert hear(desk, announcement(2), announcement(3), end(5), now=1) == []
    assert (desk.refused, desk.cameras["top"].captured, desk.tally.captured) == (0, 5, 5)


def test_a_decide_that_starts_later_finds_what_nobody_announced() -> None:
    """The one before died with the announcements of two ingests; frames 0 to 2 of the first have verdicts."""
    desk = decide(counted=[end(9, ingest=500), end(5), end(2, ingest=1_500), end(1, ingest=NEXT_INGEST)])
    desk.resume("top", INGEST, 3)
    outcomes = hear(desk, announcement(0, ingest=NEXT_INGEST, fault="x"), now=1)
    assert ids(outcomes) == [
        (INGEST, 3, LOST), (INGEST, 4, LOST), (1_500, 0, LOST), (1_500, 1, LOST),
        (NEXT_INGEST, 0, Code.UNREADABLE),
    ]  # fmt: skip
    assert desk.cameras["top"].captured == desk.tally.captured == 5


def test_a_log_of_before_a_restart_of_the_pc_hides_no_ingest() -> None:
    """Its epoch is later than all of today's: the clock that gives them began again."""
    desk = decide(counted=[end(2)])
    desk.resume("top", 10**15, 50)
    outcomes = hear(desk, announcement(0, ingest=NEXT_INGEST, fault="x"), now=1)
    assert ids(outcomes) == [(INGEST, 0, LOST), (INGEST, 1, LOST), (NEXT_INGEST, 0, Code.UNREADABLE)]


def test_gaps_that_a_killed_decide_left_are_settled_though_their_ingest_has_ended() -> None:
    """Frames 2 and 3 have none, 4 to 6 have verdicts, 7 was never announced."""
    desk = decide(counted=[end(8)])
    desk.resume("top", INGEST, 7)
    desk.resume_gaps("top", [(INGEST, 2, 4)])
    outcomes = hear(desk, Begin("top", NEXT_INGEST, None), now=1)
    assert sorted(ids(outcomes)) == [(INGEST, 2, LOST), (INGEST, 3, LOST), (INGEST, 7, LOST)]
    assert desk.cameras["top"].captured == desk.tally.captured == 3


def test_an_ingest_that_decide_never_heard_of_costs_a_bounded_number_of_verdicts() -> None:
    """The links hold no more; what an earlier run's decide has on record elsewhere is not invented again."""
    desk = decide(counted=[end(1_000_000)])
    outcomes = hear(desk, Begin("top", NEXT_INGEST, None), now=1)
    assert [outcome.verdict.frame_id for outcome in outcomes] == list(range(1_000_000 - MAX_UNHEARD, 1_000_000))
    assert desk.cameras["top"].captured == desk.tally.captured == MAX_UNHEARD


def test_an_idle_worker_is_heard_and_answers_no_frame() -> None:
    """Its empty messages do not hide frames that wait for a result."""
    desk = decide()
    desk.results(encode_results(ENGINE, [], CLEAN), 7)
    assert (desk.worker_heard_ns, desk.unanswered_ns) == (7, None)
    announce(desk, 0)
    desk.results(encode_results(ENGINE, [], CLEAN), 9)
    assert (desk.worker_heard_ns, desk.unanswered_ns) == (9, 0)


def test_each_end_is_noted_for_its_confirmation() -> None:
    """Each end is confirmed, also that of a replaced ingest."""
    desk = decide()
    hear(desk, announcement(0, fault="x"), Begin("top", NEXT_INGEST, None), end(1), now=1)
    hear(desk, end(0, ingest=NEXT_INGEST), now=1)
    assert [each.ingest_epoch for each in desk.ended] == [INGEST, NEXT_INGEST]


SCORING = EngineClasses("s@1", NAMES, (1.0, 0.5), (0, 0), 0.5)


def scored(frame_score: int | None, threshold: float | None = 0.5, recorded: bool = False) -> Outcome:
    """The outcome of a frame with one region of a scratch, and this frame score."""
    action = "record" if recorded else "reject"
    rules = RECIPE.recipe.model_copy(
        update={"frame_score": threshold, "classes": {"scratch": ClassRule(action=action)}}
    )
    desk = Decide(
        ["top"], LoadedRecipe(Path("r.toml"), rules, "1"), SCORING, DEADLINE_NS, None, captured_before=lambda _: []
    )
    score = np.full((8, 8), 255, np.uint8)
    maps = Segmentation(np.ones_like(score), score, 1)
    found = Inspection(SCORING.engine, 0, 0, 1, maps, np.zeros((8, 8), np.uint8), frame_score=frame_score)
    desk.news([encode([Begin("top", INGEST, None), announcement(0)])], 0)
    desk.results(encode_results(SCORING, [Result("top", INGEST, 0, found)], CLEAN), 5)
    (outcome,) = desk.settle(5)
    return outcome


@pytest.mark.parametrize(
    ("frame_score", "threshold", "decision", "shown"),
    [
        (128, 0.5, Decision.REJECT, 0.5),
        (127, 0.5, Decision.ACCEPT, 0.4961),
        (1, 0.001, Decision.REJECT, 0.0),
        (1, None, Decision.REJECT, 0.0),
        (254, 1.0, Decision.ACCEPT, 0.9961),
        (255, 1.0, Decision.REJECT, 1.0),
    ],
)
def test_defects_reject_only_a_frame_whose_score_reaches_the_recipes(
    frame_score: int, threshold: float | None, decision: Decision, shown: float
) -> None:
    """Below it they are recorded; without a threshold every frame's defects reject. The verdict has the score."""
    verdict = scored(frame_score, threshold).verdict
    assert (verdict.decision, verdict.frame_score) == (decision, shown)
    assert len(verdict.defects) == 1
    assert bool(verdict.reasons) == (decision is Decision.REJECT)


def test_a_missing_frame_score_is_no_accept() -> None:
    """An engine that scores frames, and a result without the score: the frame is uninspected."""
    verdict = scored(None).verdict
    assert (verdict.decision, verdict.codes) == (Decision.UNINSPECTED, (Code.ENGINE_FAILED,))
    assert scored(None, None).verdict.decision is Decision.REJECT


def test_an_engine_without_frame_scores_does_not_fit_a_recipe_that_asks_for_them() -> None:
    """Its results are refused in a line that says so, whatever engine the line began with."""
    rules = RECIPE.recipe.model_copy(update={"frame_score": 0.5})
    desk = Decide(
        ["top"], LoadedRecipe(Path("r.toml"), rules, "1"), SCORING, DEADLINE_NS, None, captured_before=lambda _: []
    )
    with pytest.raises(WireError, match=r"e@1.*does not score frames"):
        desk.results(encode_results(ENGINE, [], CLEAN), 0)


@pytest.mark.parametrize(("width", "decision"), [(16, Decision.REJECT), (0, Decision.ACCEPT)])
def test_what_the_camera_beside_sees_follows_from_its_own_pictures(width: int, decision: Decision) -> None:
    """Its tiled frames are wider than the engine's: beyond its neighbour's border it shows a defect's rest."""
    rules = RECIPE.recipe.model_copy(update={"classes": {"scratch": ClassRule(min_area_mm2=20)}})
    strip = StripSettings(cameras={"left": CameraPlace(), "right": CameraPlace(offset_across_mm=16)})
    desk = Decide(
        ["left", "right"],
        LoadedRecipe(Path("r.toml"), rules, "1"),
        ENGINE,
        DEADLINE_NS,
        captured_before=lambda _: [],
        beside=partial(strip.beside, mm_per_px_across=1.0),
        engine_px=(8, 8),
    )
    score = np.zeros((8, 16), np.uint8)
    score[2:5, 12:] = 255  # 12 mm²
    maps = Segmentation(np.ones_like(score), score, 1)
    found = Inspection(ENGINE.engine, 0, 0, 1, maps, np.zeros((8, 16), np.uint8))
    begins = [Begin(camera, INGEST, None) for camera in ("left", "right")]
    frames = [msgspec.structs.replace(announcement(0, "right"), width=width), announcement(0, "left")]
    desk.news([encode([*begins, *frames])], 0)
    desk.results(encode_results(ENGINE, [Result("left", INGEST, 0, found)], CLEAN), 5)
    assert [outcome.verdict.decision for outcome in desk.settle(5)] == [decision]
