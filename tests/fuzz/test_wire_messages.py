"""Messages from a stage that has gone mad, or from no stage at all."""

import contextlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.config.recipe import ClassRule, LoadedRecipe, Recipe
from inspector.core import ledger
from inspector.core.rules import EngineClasses
from inspector.decide import camera
from inspector.decide.decide import Decide
from inspector.errors import WireError
from inspector.values import Announcement, Code, Inspection, Segmentation, Uninspected, Verdict
from inspector.wire.messages import (
    IN_MESSAGE,
    WIRE_VERSION,
    Begin,
    Credit,
    End,
    Fault,
    Filter,
    FrameHeader,
    Frames,
    Hello,
    Idle,
    Leaving,
    Parted,
    Readings,
    Result,
    ResultHeader,
    Results,
    Welcome,
    decode_news,
    decode_results,
    decode_to_ingest,
    decode_to_worker,
    encode,
    encode_results,
)
from tests.fuzz.bounds import fuzz

ENGINE = EngineClasses("e@1", ("normal", "scratch"), (1.0, 0.5), (0, 0))
DEADLINE_NS = 1_000

DECODERS = (decode_news, decode_results, decode_to_ingest, decode_to_worker)

MESSAGES = [
    encode(
        [
            Begin("top", 1, None),
            Announcement("top", 1, 0, 5, 6, 0.0, 8),
            Fault("top", 1, 0, Uninspected(Code.SHED, "shed")),
            Idle("top", 1),
            Readings("top", 1, {"temperature_celsius": 41.5}),
            End("top", 1, 1, 5, 8.0, 8),
        ]
    ),
    encode(Frames("top", 1, [FrameHeader(0, 5, 6, 0.0, 2, 2, IN_MESSAGE, view=True, lent_until_ns=9)])),
    encode(Welcome(1, "/run/inspector/pixels-top", 4)),
    encode(Parted()),
    encode(Hello()),
    encode(Credit(1, 2, [0])),
    encode(Leaving()),
    encode(Results(ENGINE, 1, 0, (), "r@1", 128, [ResultHeader("top", 1, 0, 1, 2, 3)])),
]

DEEP = b"\x91" * 200_000 + b"\xc0"
"""Lists in lists, each one byte."""

SHORT = st.integers(-2, 40)
NUMBER = st.one_of(SHORT, st.integers(2**31, 2**64 - 1), st.integers(-(2**63), -(2**31)))


def must_be_refused_or_decoded(parts: list[bytes]) -> None:
    for decode in DECODERS:
        with contextlib.suppress(WireError):
            decode(parts)


@fuzz
@given(st.sampled_from(MESSAGES), st.data())
def test_damaged_messages(message: bytes, data: st.DataObject) -> None:
    """A few bytes changed, lost or added, and surplus parts: refused by name, or read as something valid."""
    damaged = bytearray(message)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(1, max(1, len(damaged) - 1)))
        damaged[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    must_be_refused_or_decoded([bytes(damaged), *data.draw(st.lists(st.binary(max_size=8), max_size=3))])


@fuzz
@given(
    st.recursive(
        st.none() | st.integers(-5, 5) | st.text(max_size=5) | st.binary(max_size=5), st.lists, max_leaves=30
    )
)
def test_well_formed_nonsense(value: Any) -> None:
    """Valid msgpack that is not a message is refused."""
    must_be_refused_or_decoded([bytes([WIRE_VERSION]) + msgspec.msgpack.encode(value)])


@pytest.mark.parametrize("head", [b"", b"\x92\xa5hello", b"\x91\x94\xa3end\xa3top\x01"])
def test_lists_in_lists_do_not_exhaust_the_stack(head: bytes) -> None:
    """Where a message may grow in later versions, what follows is skipped, however deep."""
    must_be_refused_or_decoded([bytes([WIRE_VERSION]) + head + DEEP])


@pytest.mark.parametrize("claim", [b"\xdd\xff\xff\xff\xff", b"\x91\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"])
def test_what_a_header_promises_is_not_laid_out_beforehand(claim: bytes) -> None:
    """Five bytes that announce four thousand million entries cost nothing."""
    must_be_refused_or_decoded([bytes([WIRE_VERSION]) + claim])


def decide() -> Decide:
    recipe = Recipe(name="r", mm_per_px_across=1.0, mm_per_px_along=1.0, classes={"scratch": ClassRule()})
    return Decide(["top", "side"], LoadedRecipe(Path("r.toml"), recipe, "1"), ENGINE, DEADLINE_NS)


WHY = st.builds(Uninspected, st.sampled_from(list(Code)), st.text(max_size=3))
CAMERA = st.sampled_from(["top", "side", "gone", ""])
NEWS = st.one_of(
    st.builds(Begin, CAMERA, SHORT, st.none() | NUMBER),
    st.builds(
        Announcement, CAMERA, SHORT, NUMBER, NUMBER, NUMBER, st.floats(), NUMBER, st.none() | st.text(max_size=3),
        st.none() | WHY, st.none() | st.text(max_size=3), st.sampled_from(["", "r@1", "r@2"]),
    ),
    st.builds(Fault, CAMERA, SHORT, NUMBER, WHY),
    st.builds(End, CAMERA, SHORT, NUMBER, NUMBER, st.floats(), NUMBER),
    st.builds(Idle, CAMERA, SHORT),
    st.builds(Readings, CAMERA, SHORT, st.dictionaries(st.text(max_size=8), st.floats())),
)  # fmt: skip


def result(
    engine: EngineClasses,
    camera: str,
    ingest: int,
    frame: int,
    times: tuple[int, int, int],
    kind: int | None,
    clean: Filter,
) -> list[Any]:
    maps = pixels = None
    if kind is not None:
        maps = Segmentation(np.full((2, 2), kind, np.uint8), np.full((2, 2), 255, np.uint8), 2)
        pixels = np.zeros((4, 4), np.uint8)
    return encode_results(engine, [Result(camera, ingest, frame, Inspection("e@1", *times, maps, pixels))], clean)


ENGINES = st.sampled_from(
    [
        ENGINE,
        EngineClasses("e@2", ENGINE.names, (1.0, 0.9), (0, 3)),
        EngineClasses("e@3", ("normal", "stain"), (1.0, 0.5), (0, 0)),
        EngineClasses("e@4", ("normal", "scratch", "stain"), (1.0, 0.5, 0.5), (0, 0, -1)),
    ]
)
RESULTS = st.builds(
    result,
    ENGINES,
    CAMERA,
    SHORT,
    NUMBER,
    st.tuples(NUMBER, NUMBER, NUMBER),
    st.none() | st.integers(0, 255),
    st.builds(Filter, st.sampled_from(["r@1", "r@2"]), st.integers(0, 255)),
)


@fuzz
@given(st.lists(st.one_of(st.lists(NEWS, max_size=4), RESULTS, st.integers(0, 2 * DEADLINE_NS)), max_size=15))
def test_no_valid_message_stops_decide(events: list[Any]) -> None:
    """Whatever anyone claims is refused by name, or each frame has one verdict that can be read again."""
    desk, now_ns = decide(), 0
    outcomes: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        # A frame id of 2⁶³ requires a million verdicts; a hundred show the same.
        patch.setattr(ledger, "MAX_LOST", 100)
        patch.setattr(camera, "MAX_LOST", 100)
        run(desk, events, outcomes, now_ns)


def run(desk: Decide, events: list[Any], outcomes: list[Any], now_ns: int) -> None:
    for event in events:
        with contextlib.suppress(WireError):
            if isinstance(event, int):
                now_ns += event
                outcomes += desk.settle(now_ns)
            elif event and isinstance(event[0], msgspec.Struct):
                desk.news([encode(event)], now_ns)
            elif event:
                desk.results(event, 5)
    outcomes += desk.settle(now_ns)
    outcomes += desk.close(now_ns)
    assert desk.tally.captured == sum(desk.tally.decisions.values()) == len(outcomes)
    for outcome in outcomes[:50]:
        line = msgspec.json.encode(outcome.verdict)
        assert msgspec.json.decode(line, type=Verdict) == outcome.verdict
        assert all(took_ms >= 0 for took_ms in outcome.verdict.stage_ms.values())
