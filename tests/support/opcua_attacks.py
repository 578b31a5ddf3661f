"""Broken and hostile requests of a client that has logged in, one function a kind."""

import asyncio
import contextlib
import random
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from asyncua import Client, ua
from asyncua.ua.ua_binary import nodeid_to_binary, struct_to_binary, to_binary

from inspector.opcua.space import MACHINE_VISION

Attack = Callable[[Client], Awaitable[None]]

REFUSALS = (ua.UaError, ConnectionError, TimeoutError)
"""How a server says no. Everything else is a fault of the test."""

MANY = 1_000

FIRST_ITEM = 112
"""asyncua's number of a subscription's first item."""


async def alive(client: Client) -> None:
    """Log in again if the server has closed the connection, as it should after some requests."""
    protocol: Any = client.uaclient.protocol
    if protocol is None or protocol.transport is None or protocol.transport.is_closing():
        with contextlib.suppress(Exception):
            await asyncio.wait_for(client.disconnect(), 5)
        await client.connect()


async def raw(client: Client, body: bytes, wait_s: float = 1) -> None:
    """Send a body inside the secure channel, signed and encrypted as it must be."""
    await alive(client)
    protocol: Any = client.uaclient.protocol
    protocol._request_id += 1
    message = protocol._connection.message_to_binary(body, request_id=protocol._request_id)
    answer = protocol._callbackmap[protocol._request_id] = asyncio.get_running_loop().create_future()
    protocol.transport.write(message)
    await asyncio.wait_for(answer, wait_s)


def head(client: Client, service: str) -> bytes:
    """The beginning of a request: its type and a valid header."""
    protocol: Any = client.uaclient.protocol
    header = ua.RequestHeader(AuthenticationToken=protocol.authentication_token, RequestHandle=1)
    kind = ua.NodeId(getattr(ua.ObjectIds, f"{service}_Encoding_DefaultBinary"))
    return nodeid_to_binary(kind) + struct_to_binary(header)


async def send(client: Client, request: Any) -> Any:
    """A request of the library; returns the answer's bytes."""
    await alive(client)
    return await client.uaclient.protocol.send_request(request)


async def quietly(work: Awaitable[Any]) -> Any:
    """Refusals are fine, and so is no answer."""
    try:
        return await work
    except REFUSALS:
        return None


async def random_bodies(client: Client) -> None:
    """Every service with random bytes instead of its parameters, and bodies that end too early."""
    dice = random.Random(1)  # noqa: S311
    left_out = ("CloseSession", "CloseSecureChannel")
    services = [
        name.removesuffix("_Encoding_DefaultBinary")
        for name in dir(ua.ObjectIds)
        if name.endswith("Request_Encoding_DefaultBinary") and not name.startswith(left_out)
    ]
    for service in services:
        start = head(client, service)
        for body in (b"", dice.randbytes(60), b"\x05\0\0\0" + dice.randbytes(200), b"\xff" * 40):
            await quietly(raw(client, start + body))
    for length in (0, 1, 3, 10):
        await quietly(raw(client, head(client, "ReadRequest")[:length]))
    for _ in range(50):
        await quietly(raw(client, dice.randbytes(dice.randrange(1, 400))))


async def changed_bytes(client: Client) -> None:
    """Valid requests with some bytes changed."""
    dice = random.Random(2)  # noqa: S311
    status = ua.NodeId(ua.ObjectIds.Server_ServerStatus)
    value = ua.ReadValueId(NodeId=status, AttributeId=ua.AttributeIds.Value)
    read = ua.ReadRequest()
    read.Parameters.NodesToRead = [value] * 3
    browse = ua.BrowseRequest()
    browse.Parameters.NodesToBrowse = [ua.BrowseDescription(NodeId=status)]
    call = ua.CallRequest()
    variant = ua.Variant(["a", "b"], ua.VariantType.String, is_array=True)
    call.Parameters.MethodsToCall = [ua.CallMethodRequest(status, status, [variant])]
    paths = ua.TranslateBrowsePathsToNodeIdsRequest()
    element = ua.RelativePathElement(TargetName=ua.QualifiedName("x"))
    paths.Parameters.BrowsePaths = [ua.BrowsePath(status, ua.RelativePath([element] * 3))]
    subscribe = ua.CreateSubscriptionRequest()
    subscribe.Parameters.RequestedPublishingInterval = 100.0
    for attempt in range(300):
        body = bytearray(struct_to_binary([read, browse, call, paths, subscribe][attempt % 5]))
        for _ in range(dice.randrange(1, 5)):
            body[dice.randrange(4, len(body))] = dice.randrange(256)
        await quietly(raw(client, bytes(body)))


async def bombs(client: Client) -> None:
    """Few bytes that decode to much: endless arrays of nothing, lengths below zero, nesting."""
    start = head(client, "CallRequest") + struct.pack("<i", 1) + b"\0\0" + b"\0\0" + struct.pack("<i", 1)
    endless = struct.pack("<i", 2**31 - 1)
    nothing = b"\x80" + endless
    backwards = b"\x8c" + endless + struct.pack("<i", -4) * 4
    bytes_backwards = b"\x8f" + endless + struct.pack("<i", -4) * 4
    dimensions = b"\xc1" + struct.pack("<i", 1) + b"\1" + struct.pack("<iiii", 3, 99, 99, 99)
    variants = b"\x98" + struct.pack("<i", 1) + nothing
    nested = b"\x98\1\0\0\0" * 20_000
    diagnostics = b"\x19" + b"\x40" * 60_000
    values = b"\x97" + struct.pack("<i", 700_000) + b"\0" * 700_000
    for bomb in (nothing, backwards, bytes_backwards, dimensions, variants, nested, diagnostics, values):
        await quietly(raw(client, start + bomb, 20))
    header = head(client, "ReadRequest")
    hint = ua.LiteralOperand(ua.Variant(1))
    additional = nodeid_to_binary(ua.NodeId(ua.ObjectIds.LiteralOperand_Encoding_DefaultBinary))
    assert to_binary(ua.LiteralOperand, hint)
    body = additional + b"\1" + struct.pack("<i", len(nothing)) + nothing
    await quietly(raw(client, header[:-3] + body, 20))


async def nested_methods(client: Client) -> dict[str, tuple[ua.NodeId, ua.NodeId]]:
    """Every method below the vision system: its object's node and its own."""
    own = await client.get_namespace_index("urn:strip-inspector")
    vision = await client.get_namespace_index(MACHINE_VISION)
    system = await client.nodes.objects.get_child([f"{own}:test"])
    found: dict[str, tuple[ua.NodeId, ua.NodeId]] = {}
    todo = [system]
    while todo:
        node = todo.pop()
        for child in await node.get_children():
            if await child.read_node_class() == ua.NodeClass.Method:
                found[(await child.read_browse_name()).Name] = (node.nodeid, child.nodeid)
            elif child.nodeid.NamespaceIndex in (own, vision):
                todo.append(child)
    return found


async def call(client: Client, node: ua.NodeId, method: ua.NodeId, arguments: list[ua.Variant]) -> ua.StatusCode:
    """Call a method; returns the status of the call."""
    request = ua.CallMethodRequest(node, method, arguments)
    await alive(client)
    (answer,) = await client.uaclient.call([request])
    return answer.StatusCode


async def wrong_arguments(client: Client) -> None:
    """Every method with too few, too many, wrong and huge arguments; none of the calls is good."""
    huge = "x" * 200_000
    some: list[Any] = [
        ua.Variant(None), ua.Variant(7), ua.Variant(huge), ua.Variant([huge] * 3), ua.Variant(float("nan")),
        ua.Variant([1, 2]), ua.Variant(ua.LocalizedText(huge)), ua.Variant(ua.ReadValueId()),
        ua.Variant([ua.ReadValueId()] * 3), ua.Variant(ua.NodeId(1, 1)), ua.Variant(b"\0" * 5),
    ]  # fmt: skip
    methods = await nested_methods(client)
    assert len(methods) >= 15
    for name, (node, method) in methods.items():
        properties = [await each.read_browse_name() for each in await client.get_node(method).get_properties()]
        least = 0 if any(each.Name == "InputArguments" for each in properties) else 1
        for count in (0, 1, 2, 3, 5, 11, 12, 40)[least:]:
            for value in some[:2] if count > 11 else some:
                status = await quietly(call(client, node, method, [value] * count))
                if status is not None and status.is_good():
                    raise AssertionError(f"{name} takes {count} × {str(value)[:60]}")


async def long_names(client: Client) -> None:
    """Arguments of the right types that are far too long, or hold characters that no name has."""
    methods = await nested_methods(client)
    nothing = ua.Variant([], ua.VariantType.String, is_array=True)
    for text in ("x" * 900_000, "x" * 100_000, "\0\x1b[31m\n{}\u202e" * 50, "../../etc/passwd", "\udc80"):
        external, internal = ua.RecipeIdExternalDataType(Id=text), ua.RecipeIdInternalDataType(Id=text)
        part, measure = ua.PartIdDataType(Id=text), ua.MeasIdDataType(Id="")
        product, result = ua.ProductIdDataType(Id=text), ua.ResultIdDataType(Id=text)
        for name, arguments in {
            "PrepareRecipe": [external, internal],
            "UnprepareRecipe": [external, internal],
            "GetResultById": [result, ua.Variant(0, ua.VariantType.Int32)],
            "StartContinuous": [measure, part, external, product, nothing],
        }.items():
            given = [each if isinstance(each, ua.Variant) else ua.Variant(each) for each in arguments]
            await quietly(call(client, *methods[name], given))


async def wrong_nodes(client: Client) -> None:
    """Nodes and attributes that do not exist, of every kind of id, in every service that takes one."""
    ids = [
        ua.NodeId(2**32 - 1, 65535), ua.NodeId("no such", 3), ua.NodeId("x" * 100_000, 1), ua.NodeId(b"\0\xff", 2),
        ua.NodeId(), ua.ExpandedNodeId(1, 1, NamespaceUri="urn:nobody", ServerIndex=9),
    ]  # fmt: skip
    subscription = await quietly(client.create_subscription(1000, Deaf()))
    for node in ids:
        for attribute in (0, 13, 99, 2**31):
            value = ua.ReadValueId(NodeId=node)
            value.AttributeId = attribute
            read = ua.ReadRequest()
            read.Parameters.NodesToRead = [value]
            await quietly(send(client, read))
            if subscription is not None:
                monitor = ua.CreateMonitoredItemsRequest()
                monitor.Parameters.SubscriptionId = subscription.subscription_id
                monitor.Parameters.ItemsToCreate = [ua.MonitoredItemCreateRequest(ItemToMonitor=value)]
                await quietly(send(client, monitor))
        await quietly(call(client, node, node, []))
        browse = ua.BrowseRequest()
        browse.Parameters.NodesToBrowse = [ua.BrowseDescription(NodeId=node, ReferenceTypeId=node)]
        await quietly(send(client, browse))


class Deaf:
    """Takes what a subscription brings, and forgets it."""

    def event_notification(self, event: Any) -> None: ...

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None: ...

    def status_change_notification(self, status: Any) -> None: ...
