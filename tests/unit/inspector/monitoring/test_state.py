"""What is wrong with a line, in words."""

from typing import Any

import msgspec
import pytest

from inspector.monitoring.prometheus import exposition
from inspector.monitoring.state import (
    CameraState,
    GateState,
    HistogramState,
    LineState,
    SinkState,
    WorkerState,
    findings,
)
from inspector.monitoring.strip import StripState

CAMERA = CameraState(
    captured=100, accepted=90, rejected=5, uninspected=2, pending=3, late=0, shed=0, begins=1,
    frames_per_second=40.0, newest=200, newest_uninspected=20, last_frame=99, last_verdict_s=0.1, heard_s=0.1,
    silent=False, ended=False,
)  # fmt: skip
NOTHING = HistogramState((1.0,), (0, 0), 0.0)
GATE = GateState(True, (), 97, 97, 0, 97, 0, 0, 0, 1.0, NOTHING)
LINE = LineState(
    taken_ns=10**10, started_s=0.0, version="0", config="c@1", recipe="r@1", engine="e@1", deadline_ms=500.0,
    out="/out", cameras={"top": CAMERA}, frames=(), stages={}, batches=NOTHING,
    worker=WorkerState(1, 0, 0.2, "e@1", 0.3), refused=0, refused_s=None, foreign_recipes={},
    sinks=SinkState(0, 0, 0, 0, False, 0, 0), gate=GATE,
)  # fmt: skip

STRIP = StripState(
    taken_ns=10**10, position_mm=118_912.0, speed_mm_s=2500.0, motion="running", source="modbus 10.0.0.9:502",
    source_answers=True, source_age_s=0.02, coil="C-1", coil_mm=71_200.0, plan="deep", plan_why="grade DC04",
    level2="10.0.0.20:7100", level2_connected=True, results_waiting=1, roll_marks=("roll mark, top roll",),
)  # fmt: skip

NOW_NS = LINE.taken_ns + 200_000_000


def changed(**more: Any) -> LineState:
    return msgspec.structs.replace(LINE, **more)


def camera(**more: Any) -> LineState:
    return changed(cameras={"top": msgspec.structs.replace(CAMERA, **more)})


def strip(**more: Any) -> LineState:
    return changed(has_strip=True, strip=msgspec.structs.replace(STRIP, **more))


def gate(**more: object) -> LineState:
    return changed(gate=msgspec.structs.replace(GATE, **more))


def test_a_line_that_works_has_no_findings() -> None:
    """Pending frames and frames in the worker are not a fault."""
    assert findings(gate(newest=200, newest_late=20), NOW_NS) == []
    assert findings(camera(stated_per_second=100.0, measured_per_second=None), NOW_NS) == []
    assert findings(camera(stated_per_second=100.0, measured_per_second=99.0, wrong_rate_s=61.0), NOW_NS) == []
    assert findings(LINE, NOW_NS) == []
    assert findings(changed(gate=None), NOW_NS) == []
    assert findings(strip(), NOW_NS) == [], "a roll mark is no fault of the line"
    assert findings(strip(source_answers=None), NOW_NS) == []
    assert findings(strip(level2_connected=False, results_waiting=0), NOW_NS) == []
    assert findings(camera(newest=10, newest_uninspected=9), NOW_NS) == [], "too few to judge by"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (None, "decide is starting"),
        (
            camera(captured=101),
            "camera top: the ledger does not balance: captured 101, but 97 verdicts and 3 pending",
        ),
        (camera(silent=True, heard_s=12.0), "camera top: its ingest has sent nothing for 12.0 s"),
        (camera(silent=True, heard_s=None), "camera top: its ingest has sent nothing yet"),
        (camera(silent=True, ended=True), "camera top: its ingest has ended"),
        (camera(newest_uninspected=21), "camera top: 21 of its newest 200 frames were not inspected"),
        (camera(newest=11, newest_uninspected=11), "camera top: 11 of its newest 11 frames were not inspected"),
        (changed(worker=WorkerState(1, 0, 2.5, "e@1", 2.5)), "worker: no result for 2.5 s"),
        (changed(worker=WorkerState(0, 0, None, "")), "worker: none has reported yet"),
        (changed(worker=WorkerState(1, 0, None, "e@1", 2.5)), "worker: none has reported for 2.5 s"),
        (
            camera(stated_per_second=100.0, measured_per_second=50.2, wrong_rate_s=3.0, frames_missing=1249),
            "camera top: gives 50.2 frames/s, its config says 100; 1\u202f249 missing so far",
        ),
        (gate(newest=100, newest_late=100), "gate: 100 of the newest 100 verdicts were late or missed"),
        (gate(newest=4, newest_late=4), "gate: 4 of the newest 4 verdicts were late or missed"),
        (changed(gate=msgspec.structs.replace(GATE, taking=False, missed=9)), "gate: takes no verdicts, 9 missed"),
        (camera(newest=5, newest_uninspected=5), "camera top: 5 of its newest 5 frames were not inspected"),
        (changed(sinks=SinkState(0, 0, 0, 0, True, 0, 0)), "log: verdicts reach the disk only"),
        (changed(refused=7, refused_s=12.0), "decide: 7 messages refused, the last 12 s ago"),
        (changed(foreign_recipes={"ingest of camera top": "r@2"}), "ingest of camera top uses recipe r@2"),
        (changed(has_strip=True), "strip: its process has reported nothing yet: start it"),
        (strip(taken_ns=10**9), "strip: its process has been silent for 9 s: positions are counted, a gate gets"),
        (
            strip(source_answers=False, source_age_s=3.2),
            "strip: the position source modbus 10.0.0.9:502 has not answered for 3.2 s: positions are counted",
        ),
        (
            strip(source_answers=False, source_age_s=None),
            "strip: the position source modbus 10.0.0.9:502 has not answered yet",
        ),
        (
            strip(level2_connected=False, results_waiting=1200),
            "strip: Level 2 10.0.0.20:7100 is not connected, 1\u202f200 results of coils wait on the disk",
        ),
        (changed(sinks=SinkState(0, 0, 0, 4, False, 0, 0)), "log: 4 verdicts lost: free some space at /out"),
    ],
)
def test_each_fault_is_one_line_that_says_what_to_do(state: LineState | None, said: str) -> None:
    """Each fault gives exactly one line with advice."""
    (found,) = findings(state, NOW_NS)
    assert found.startswith(said)


def test_a_worker_has_two_deadlines_before_it_is_missed() -> None:
    """A line with a long deadline is not called broken too early."""
    slow = changed(deadline_ms=60_000.0, worker=WorkerState(1, 0, 100.0, "e@1", 100.0))
    assert findings(slow, NOW_NS) == []


def test_a_decide_that_hangs_is_all_there_is_to_say() -> None:
    """Other findings of a hung decide would be out of date."""
    (found,) = findings(camera(captured=0), LINE.taken_ns + 5 * 10**9)
    assert found.startswith("decide has not moved for 5.0 s")


def test_a_camera_that_measures_itself_has_metrics() -> None:
    """Its temperature is a gauge, what its stream counts are counters; no value is made up for other sources."""
    pytest.importorskip("prometheus_client")
    from inspector.monitoring.prometheus import exposition

    readings = {"temperature_celsius": 41.5, "packets_missing": 12.0, "buffers_incomplete": 3.0}
    text = exposition(camera(readings=readings), NOW_NS, None).decode()
    assert 'inspector_camera_temperature_celsius{camera="top"} 41.5' in text
    assert 'inspector_camera_stream_total{camera="top",what="packets_missing"} 12.0' in text
    assert 'inspector_camera_stream_total{camera="top",what="buffers_incomplete"} 3.0' in text
    assert 'camera="top",what' not in exposition(camera(), NOW_NS, None).decode()


def test_metrics_of_the_strip() -> None:
    """Each figure has its name; a silent process is down, and a line without a strip has none of them."""
    text = exposition(strip(), NOW_NS, None).decode()
    for said in (
        "inspector_strip_up 1.0",
        "inspector_strip_position_metres 118.912",
        "inspector_strip_speed_metres_per_second 2.5",
        'inspector_strip_motion{motion="running"} 1.0',
        'inspector_strip_motion{motion="reverse"} 0.0',
        "inspector_strip_source_answers 1.0",
        "inspector_strip_source_age_seconds 0.02",
        'inspector_strip_coil_info{coil="C-1",plan="deep"} 1.0',
        "inspector_strip_coil_metres 71.2",
        "inspector_strip_roll_marks 1.0",
        "inspector_level2_connected 1.0",
        "inspector_level2_results_waiting 1.0",
    ):
        assert f"\n{said}\n" in text, said
    assert "inspector_strip_up 0.0" in exposition(strip(taken_ns=10**9), NOW_NS, None).decode()
    assert "inspector_strip_up 0.0" in exposition(changed(has_strip=True), NOW_NS, None).decode()
    assert "strip_" not in exposition(LINE, NOW_NS, None).decode()
