"""`inspector opcua` with independent clients: certificates, users, plans, results, faults, and broken requests."""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from asyncua import Client, Node, ua

from inspector.opcua.space import MACHINE_VISION, OWN, RECIPE_PREPARED, RESULT_READY, STATE_CHANGED
from tests.support.opcua import PASSWORD, Opcua, client_certificate
from tests.support.written import WrittenLog

REPOSITORY = Path(__file__).parents[2]
NODE_MODULES = Path(os.environ.get("INSPECTOR_TEST_NODE", REPOSITORY / "out/node/node_modules"))
HAS_NODE = shutil.which("node") is not None and (NODE_MODULES / "node-opcua-client").is_dir()
SCHEMAS = REPOSITORY / "docs" / "schemas"

FAULTS = 1019

ANY = ua.Variant(0, ua.VariantType.UInt32)
NO_HURRY = ua.Variant(0, ua.VariantType.Int32)


@pytest.fixture(scope="module")
def opcua(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opcua]:
    """A server beside a log; no line runs, which is a fault that it tells."""
    opcua = Opcua(tmp_path_factory.mktemp("opcua"), "[strip]")
    WrittenLog(opcua.out).frames(0, 5)
    opcua.start()
    yield opcua
    if opcua.process is not None:
        assert opcua.stop() == 0


class Session:
    """A connected client and the nodes it needs."""

    def __init__(self, client: Client) -> None:
        self.client, self.events = client, list[tuple[int, Any]]()

    async def begin(self) -> None:
        self.vision = await self.client.get_namespace_index(MACHINE_VISION)
        self.own = await self.client.get_namespace_index(OWN)
        if not hasattr(ua, "ResultIdDataType"):  # the classes stay for the next sessions
            await self.client.load_data_type_definitions()
        self.system = await self.client.nodes.objects.get_child([f"{self.own}:test"])

    async def hear(self) -> None:
        subscription = await self.client.create_subscription(50, self)
        kinds = (RESULT_READY, STATE_CHANGED, RECIPE_PREPARED, FAULTS)
        types = [self.client.get_node(ua.NodeId(kind, self.vision)) for kind in kinds]
        await subscription.subscribe_events(self.system, evtypes=types)

    def event_notification(self, event: Any) -> None:
        self.events.append((event.EventType.Identifier, event))

    def heard(self, kind: int) -> list[Any]:
        return [event for of, event in self.events if of == kind]

    async def call(self, part: str, method: str, *arguments: Any) -> Any:
        node = self.system
        for name in part.split("/"):
            node = await node.get_child([f"{self.vision}:{name}"])
        return await node.call_method(f"{self.vision}:{method}", *arguments)

    async def prepare(self, plan: str) -> Any:
        ids = ua.RecipeIdExternalDataType(Id=plan), ua.RecipeIdInternalDataType(Id="")
        return await self.call("RecipeManagement", "PrepareRecipe", *ids)

    async def own_value(self, name: str) -> Any:
        node: Node = await self.system.get_child([f"{self.own}:Strip", f"{self.own}:{name}"])
        return await node.read_value()


def with_session(opcua: Opcua, work: Callable[[Session], Awaitable[None]], user: str = "kim") -> None:
    async def run() -> None:
        client = await opcua.client(user)
        async with client:
            session = Session(client)
            await session.begin()
            await work(session)

    asyncio.run(asyncio.wait_for(run(), 240))


async def until(condition: Callable[[], Any], what: str, timeout_s: float = 60) -> Any:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if found := condition():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def refused(opcua: Opcua, user: str | None, password: str = PASSWORD, name: str = "friend") -> str:
    """Try to get in; returns why not."""

    async def run() -> str:
        client = await opcua.client(user, password, name)
        try:
            async with client:
                return ""
        except (ua.UaError, ConnectionError, TimeoutError) as error:
            return type(error).__name__

    return asyncio.run(asyncio.wait_for(run(), 240))


def test_a_client_chooses_a_plan_hears_results_and_sees_faults(opcua: Opcua) -> None:
    """With certificate and user; results of frames are events, and can be asked for again by their ids."""

    async def work(session: Session) -> None:
        await session.hear()
        _, count, _, recipes, error = await session.call(
            "RecipeManagement", "GetRecipeListFiltered", ua.RecipeIdExternalDataType(Id=""),
            ua.ProductIdDataType(Id=""), ua.Variant(2, ua.VariantType.Int32), ANY, ANY, NO_HURRY,
        )  # fmt: skip
        assert (count, error) == (2, 0)
        assert {recipe.Id for recipe in recipes} == {"test", "strict"}
        prepared, complete, error = await session.prepare("strict")
        assert (prepared.Id, complete, error) == ("strict", True, 0)
        (event,) = await until(lambda: session.heard(RECIPE_PREPARED), "the prepared plan")
        assert "strict" in event.Message.Text
        assert await session.own_value("Plan") == "strict"
        assert (await session.prepare("no such"))[2] != 0
        assert "no plan no such" in await session.own_value("LastRefusal")
        WrittenLog(opcua.out).frames(20, 41)
        results = await until(
            lambda: len(session.heard(RESULT_READY)) >= 3 and session.heard(RESULT_READY), "results"
        )
        content = json.loads(results[0].ResultContent[0])
        assert (content["frame_id"], content["decision"]) == (20, "reject")
        schema = json.loads((SCHEMAS / "defect.schema.json").read_text())
        for defect in content["defects"]:
            jsonschema.validate(defect, schema)
        _, found, error = await session.call("ResultManagement", "GetResultById", results[0].ResultId, NO_HURRY)
        assert (error, found.ResultId, found.IsPartial) == (0, results[0].ResultId, True)
        assert "no line is running" in (await session.own_value("Findings"))[0]
        state = await session.system.get_child([f"{session.vision}:VisionStateMachine", "0:CurrentState"])
        assert (await state.read_value()).Text == "Halted"

    with_session(opcua, work)


def test_a_viewer_reads_and_changes_nothing(opcua: Opcua) -> None:
    """Its calls of methods that change something are refused, and so is every write."""

    async def work(session: Session) -> None:
        assert (await session.call("ResultManagement", "GetResultById", ua.ResultIdDataType(Id="x"), NO_HURRY))[
            2
        ] < 0
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await session.prepare("strict")
        strip = await session.system.get_child([f"{session.own}:Strip", f"{session.own}:Plan"])
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await strip.write_value("mine")

    with_session(opcua, work, "view")


def test_a_stranger_stays_out_until_its_certificate_is_trusted(opcua: Opcua) -> None:
    """An unknown certificate, a wrong password and no user are refused; a moved certificate gets in at once."""
    client_certificate(opcua.certificates, "stranger")
    assert refused(opcua, "kim", name="stranger")
    assert refused(opcua, "kim", "wrong")
    assert refused(opcua, None)
    (kept,) = (opcua.out / "opcua" / "rejected").iterdir()
    assert str(kept) in opcua.logged("certificate is refused")[0]["certificate"]
    shutil.move(kept, opcua.trusted)
    assert refused(opcua, "kim", name="stranger") == ""


def test_broken_requests_do_not_stop_it(opcua: Opcua) -> None:
    """Noise, huge lengths, real messages with bytes changed: clients still get in, and the log stays short."""
    dice = random.Random(40100)  # noqa: S311
    hello = (
        struct.pack("<4sIIIIIII", b"HELF", 32 + 30, 0, 65535, 65535, 0, 0, 30) + b"opc.tcp://127.0.0.1:4840/xxxxx"
    )
    request = bytes(dice.randbytes(120))
    opening = b"OPNF" + struct.pack("<II", 132, 0) + request
    seeds = [hello, hello + opening, b"MSGF" + struct.pack("<I", 2**31 - 1), b"\x16\x03\x01" + request]
    for attempt in range(150):
        message = bytearray(seeds[attempt % len(seeds)])
        for _ in range(dice.randrange(6)):
            message[dice.randrange(len(message))] = dice.randrange(256)
        with socket.create_connection(("127.0.0.1", opcua.port), 10) as connection:
            connection.settimeout(0.02)
            try:
                connection.sendall(message)
                connection.recv(4096)
            except (TimeoutError, ConnectionError):
                continue
    assert opcua.process is not None
    assert opcua.process.poll() is None
    assert refused(opcua, "view") == ""
    assert len(opcua.logged("could not be answered")) < 20


@pytest.mark.skipif(
    not HAS_NODE,
    reason="node-opcua is not there: npm install --prefix out/node node-opcua-client",
)
def test_node_opcua_gets_on_with_it(opcua: Opcua, tmp_path: Path) -> None:
    """The client of another house: chooses a plan, hears a result, reads health and state."""
    friend = opcua.certificates / "friend"
    node = subprocess.Popen(
        ["node", REPOSITORY / "tests/support/opcua_client.js", opcua.url, f"{friend}.crt", f"{friend}.pem",
         "urn:test:friend", tmp_path, "kim", PASSWORD, "4"],
        env=os.environ | {"NODE_PATH": str(NODE_MODULES)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert node.stderr is not None
    lines = []
    for line in node.stderr:
        lines.append(line)
        if line == "ready\n":
            break
    assert lines[-1:] == ["ready\n"], lines
    WrittenLog(opcua.out).frames(80, 21)
    told = json.loads(node.communicate(timeout=240)[0].splitlines()[-1])
    assert (told["prepared"], told["error"], told["plan"]) == ("strict", 0, "strict")
    assert told["health"] == "down"
    assert any("reject" in event["text"] for event in told["events"])


def test_it_goes_on_after_a_kill_and_starts_and_ends_coils(opcua: Opcua) -> None:
    """A client comes back, hears what was judged meanwhile, and starts a coil on its plan on a real line."""
    opcua.stop(signal.SIGKILL)
    WrittenLog(opcua.out).frames(120, 21)
    line = opcua.line.start("run", "--config", opcua.line.config)
    opcua.start()

    async def work(session: Session) -> None:
        _, count, _, results, _ = await session.call(
            "ResultManagement", "GetResultListFiltered", NO_HURRY, ua.MeasIdDataType(Id=""),
            ua.PartIdDataType(Id=""), ua.RecipeIdExternalDataType(Id=""), ua.RecipeIdInternalDataType(Id=""),
            ua.ConfigurationIdDataType(Id=""), ua.ConfigurationIdDataType(Id=""), ua.ProductIdDataType(Id=""),
            ua.JobIdDataType(Id=""), ANY, ANY, NO_HURRY,
        )  # fmt: skip
        assert count >= 1
        assert any(":120:" in result.ResultId.Id for result in results)
        await session.hear()
        end = time.monotonic() + 90
        while await session.own_value("Health") != "healthy":
            assert time.monotonic() < end, await session.own_value("Findings")
            await asyncio.sleep(0.2)
        automatic = "VisionStateMachine/AutomaticModeStateMachine"
        job, error = await session.call(
            automatic, "StartContinuous", ua.MeasIdDataType(Id=""), ua.PartIdDataType(Id="C-1"),
            ua.RecipeIdExternalDataType(Id="strict"), ua.ProductIdDataType(Id=""),
            ua.Variant([], ua.VariantType.String, is_array=True),
        )  # fmt: skip
        assert (job.Id, error) == ("1", 0), await session.own_value("LastRefusal")
        await until(
            lambda: any("ContinuousExecution" in e.Message.Text for e in session.heard(STATE_CHANGED)), "a state"
        )
        assert await session.own_value("Coil") == "C-1"
        await asyncio.sleep(1.0)
        stopped = await session.call(automatic, "Stop", NO_HURRY, "end")
        assert stopped == 0
        coils = await until(
            lambda: [event for event in session.heard(RESULT_READY) if not event.IsPartial], "the coil's result"
        )
        assert coils[0].PartId.Id == "C-1"
        assert coils[0].ExternalRecipeId.Id == "strict"

    try:
        with_session(opcua, work)
    finally:
        line.send_signal(signal.SIGINT)
        line.communicate(timeout=90)
