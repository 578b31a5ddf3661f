"""`inspector opcua` against clients that have logged in and send broken, hostile or greedy requests."""

import asyncio
import contextlib
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from inspector.opcua.space import MACHINE_VISION
from tests.support import opcua_attacks as attacks
from tests.support import opcua_greed as greed
from tests.support.opcua import Opcua, client_certificate
from tests.support.written import WrittenLog

MEGABYTE = 1_000_000

HARD_LIMIT_BYTES = 4_000 * MEGABYTE
"""Address space of the server: a bomb that goes off must not take the PC with it."""

MOST_BYTES = 450 * MEGABYTE
"""Memory of the server whatever clients send; it has 150 MB when it starts."""

MOST_WAIT_S = 15.0
"""How long another client waits for an answer meanwhile."""

MOST_LINES = 30
"""Log lines for one kind of attack, of thousands of requests."""

KINDS: dict[str, attacks.Attack] = {
    each.__name__: each
    for each in (
        attacks.random_bodies,
        attacks.changed_bytes,
        attacks.bombs,
        attacks.wrong_arguments,
        attacks.long_names,
        attacks.wrong_nodes,
        greed.poisoned_filters,
        greed.many_subscriptions,
        greed.many_items,
        greed.changes_of_nodes,
        greed.what_others_own,
        greed.many_sessions,
        greed.broken_chunks,
        greed.unread_answers,
    )
}


@pytest.fixture(scope="module")
def opcua(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opcua]:
    """A server beside a log."""
    opcua = Opcua(tmp_path_factory.mktemp("opcua"), "[strip]")
    WrittenLog(opcua.out).frames(0, 5)
    yield opcua
    if opcua.process is not None:
        opcua.stop()


def running(opcua: Opcua) -> "subprocess.Popen[bytes]":
    """The server, started if the test before has killed it."""
    process = opcua.process
    if process is None:
        opcua.start()
        process = opcua.process
        assert process is not None
        resource.prlimit(process.pid, resource.RLIMIT_AS, (HARD_LIMIT_BYTES, HARD_LIMIT_BYTES))
    return process


class Neighbour:
    """Another client, which listens to events while the attack runs."""

    def __init__(self, client: Client) -> None:
        self.client, self.texts = client, list[str]()
        self.longest_s = 0.0

    async def begin(self) -> None:
        self.vision = await self.client.get_namespace_index(MACHINE_VISION)
        if not hasattr(ua, "ResultIdDataType"):
            await self.client.load_data_type_definitions()
        own = await self.client.get_namespace_index("urn:strip-inspector")
        self.system = await self.client.nodes.objects.get_child([f"{own}:test"])
        self.health = await self.system.get_child([f"{own}:Strip", f"{own}:Health"])
        subscription = await self.client.create_subscription(100, self)
        await subscription.subscribe_events(self.system, evtypes=[ua.NodeId(1022, self.vision)])

    def event_notification(self, event: Any) -> None:
        self.texts.append(event.Message.Text)

    async def ask(self) -> None:
        """Ask again and again, and note the longest answer."""
        while True:
            started_s = time.monotonic()
            await self.health.read_value()
            self.longest_s = max(self.longest_s, time.monotonic() - started_s)
            await asyncio.sleep(0.1)

    async def prepare(self) -> None:
        """Events still come: a prepared plan is told."""
        self.texts.clear()
        management = await self.system.get_child([f"{self.vision}:RecipeManagement"])
        ids = ua.RecipeIdExternalDataType(Id="strict"), ua.RecipeIdInternalDataType(Id="")
        await management.call_method(f"{self.vision}:PrepareRecipe", *ids)
        end = time.monotonic() + MOST_WAIT_S
        while not self.texts:
            assert time.monotonic() < end, "no event of a prepared plan"
            await asyncio.sleep(0.05)


async def attacked(opcua: Opcua, attack: attacks.Attack, user: str) -> Neighbour:
    async with await opcua.client("kim") as calm:
        neighbour = Neighbour(calm)
        await neighbour.begin()
        asking = asyncio.create_task(neighbour.ask())
        hostile = await opcua.client(user)
        hostile.connection_lost_callback = None
        await hostile.connect()
        with contextlib.suppress(*attacks.REFUSALS):  # the connection is closed, or a request has no answer
            await asyncio.wait_for(attack(hostile), 60)
        await neighbour.prepare()
        assert not asking.done() or asking.exception() is None
        asking.cancel()
        with contextlib.suppress(Exception):  # what the attack left of the client is of no interest
            await asyncio.wait_for(hostile.disconnect(), 10)
    return neighbour


# One user may take over the subscriptions of his other session: that is no attack.
CASES = [(user, kind) for user in ("view", "kim") for kind in KINDS if (user, kind) != ("kim", "what_others_own")]


@pytest.mark.parametrize(("user", "kind"), CASES)
def test_a_hostile_client_stops_nothing(opcua: Opcua, kind: str, user: str) -> None:
    """The server goes on, the other client gets answers and events, memory and log stay bounded."""
    process = running(opcua)
    lines = len(opcua.logged(""))
    peak = Peak(opcua)
    try:
        neighbour = asyncio.run(asyncio.wait_for(attacked(opcua, KINDS[kind], user), 90))
    except Exception:
        process.kill()  # it may hang; the next kind has a new one
        process.wait()
        opcua.process = None
        raise
    assert process.poll() is None, opcua.errors.read_text()[-3000:]
    assert neighbour.longest_s < MOST_WAIT_S
    assert peak.bytes() < MOST_BYTES
    said = opcua.logged("")[lines:]
    assert len(said) < MOST_LINES, said
    assert all(len(str(line)) < 2_000 for line in said), max(said, key=lambda line: len(str(line)))


class Peak:
    """The most memory that the server had since."""

    def __init__(self, opcua: Opcua) -> None:
        assert opcua.process is not None
        self._folder = Path(f"/proc/{opcua.process.pid}")
        (self._folder / "clear_refs").write_text("5")  # begins the peak anew

    def bytes(self) -> int:
        lines = (self._folder / "status").read_text().splitlines()
        return 1024 * int(next(each for each in lines if each.startswith("VmHWM")).split()[1])


def test_announced_gigabytes_are_not_collected(opcua: Opcua) -> None:
    """Before any login: a message that announces more than a chunk may hold ends the connection."""
    process = running(opcua)
    peak = Peak(opcua)
    greed.huge_announcements(opcua.port)
    assert process.poll() is None
    assert peak.bytes() < MOST_BYTES


@pytest.mark.parametrize("named", ["nothing", "a friend"])
def test_a_stranger_does_not_hide_behind_another_certificate(opcua: Opcua, named: str) -> None:
    """The certificate of the secure channel counts: not the one that a client names, and not none."""
    if opcua.process is not None:
        opcua.stop()  # sessions of the attacks may fill the server
    opcua.process = None
    running(opcua)
    client_certificate(opcua.certificates, f"stranger-{len(named)}")
    friend = (opcua.certificates / "friend.der").read_bytes() if named == "a friend" else None

    async def run() -> None:
        client = await opcua.client("kim", name=f"stranger-{len(named)}")
        create = client.uaclient.create_session

        async def lying(parameters: ua.CreateSessionParameters) -> Any:
            parameters.ClientCertificate = friend
            return await create(parameters)

        client.uaclient.create_session = lying
        with pytest.raises((ua.UaError, ConnectionError)) as refused:
            async with client:
                pass
        said.append(repr(refused.value))

    before = len(opcua.logged("certificate is refused"))
    said: list[str] = []
    asyncio.run(asyncio.wait_for(run(), 60))
    end = time.monotonic() + MOST_WAIT_S
    while len(opcua.logged("certificate is refused")) == before:
        assert time.monotonic() < end, said
        time.sleep(0.1)
