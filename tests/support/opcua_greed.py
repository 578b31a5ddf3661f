"""Requests of a client that has logged in and takes more than its share, or what belongs to others."""

import asyncio
import random
import socket
import struct
from typing import Any

from asyncua import Client, ua

from tests.support.opcua_attacks import MANY, Deaf, quietly, raw, send

SERVER = ua.NodeId(ua.ObjectIds.Server)
TIME = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)


def operand(*names: str, attribute: int = 13) -> ua.SimpleAttributeOperand:
    """What a filter asks of an event."""
    made = ua.SimpleAttributeOperand(
        TypeDefinitionId=ua.NodeId(ua.ObjectIds.BaseEventType),
        BrowsePath=[ua.QualifiedName(each) for each in names],
    )
    made.AttributeId = attribute
    return made


async def monitor(
    client: Client, subscription: int, node: ua.NodeId, attribute: int, asked: Any, **more: Any
) -> Any:
    """Ask for a monitored item with any filter."""
    value = ua.ReadValueId(NodeId=node)
    value.AttributeId = attribute
    request = ua.CreateMonitoredItemsRequest()
    request.Parameters.SubscriptionId = subscription
    parameters = ua.MonitoringParameters(Filter=asked)
    request.Parameters.ItemsToCreate = [
        ua.MonitoredItemCreateRequest(
            ItemToMonitor=value, MonitoringMode=ua.MonitoringMode.Reporting, RequestedParameters=parameters
        )
    ]
    return await quietly(send(client, request))


def endless_where() -> ua.ContentFilter:
    """Sixty ANDs, each of the next one twice: 2^60 steps for an evaluation that follows them."""
    elements = [
        ua.ContentFilterElement(
            ua.FilterOperator.And, [ua.ElementOperand(index + 1), ua.ElementOperand(index + 1)]
        )
        for index in range(60)
    ]
    last = ua.LiteralOperand(ua.Variant(True))
    elements.append(ua.ContentFilterElement(ua.FilterOperator.Equals, [last, last]))
    return ua.ContentFilter(elements)


async def poisoned_filters(client: Client) -> None:
    """Filters that break at the next event or change of a value."""
    subscription = await client.create_subscription(100, Deaf())
    number = subscription.subscription_id
    assert isinstance(number, int)
    good = [operand("Message")]
    circle = ua.ContentFilter([ua.ContentFilterElement(ua.FilterOperator.Not, [ua.ElementOperand(0)])])
    like = ua.ContentFilter(
        [ua.ContentFilterElement(ua.FilterOperator.Like, [operand("Message"), operand("Message")])]
    )
    for asked in (
        None,
        ua.DataChangeFilter(),
        *(ua.EventFilter([operand(name)]) for name in ("data_types", "trigger", "__class__", "emitting_node")),
        ua.EventFilter([operand(attribute=77)]),
        ua.EventFilter([ua.SimpleAttributeOperand(BrowsePath=[ua.QualifiedName(None)])]),
        ua.EventFilter([operand("Message")] * 5_000),
        ua.EventFilter(good, endless_where()),
        ua.EventFilter(good, circle),
        ua.EventFilter(good, like),
        ua.EventFilter(good, ua.ContentFilter([ua.ContentFilterElement(ua.FilterOperator.Between, [])])),
    ):
        await monitor(client, number, SERVER, ua.AttributeIds.EventNotifier, asked)
    change = ua.ModifyMonitoredItemsRequest()
    await monitor(client, number, SERVER, ua.AttributeIds.EventNotifier, ua.EventFilter(good))
    for item in range(100, 140):
        change.Parameters.SubscriptionId = number
        parameters = ua.MonitoringParameters(Filter=ua.DataChangeFilter(), QueueSize=0)
        change.Parameters.ItemsToModify = [ua.MonitoredItemModifyRequest(item, parameters)]
        await quietly(send(client, change))
    for kind in (ua.DeadbandType.Absolute, ua.DeadbandType.Percent):
        for value in (1.0, float("nan"), -1.0):
            asked = ua.DataChangeFilter(DeadbandValue=value)
            asked.DeadbandType = int(kind)
            await monitor(client, number, TIME, ua.AttributeIds.Value, asked)
    await monitor(client, number, TIME, ua.AttributeIds.Value, ua.EventFilter(good))


async def many_subscriptions(client: Client) -> None:
    """Subscriptions by the thousand, with every interval that a number can be."""
    intervals = [0.0, -1.0, 1e-300, float("nan"), float("inf"), 1e300, 1.0]
    for attempt in range(MANY):
        request = ua.CreateSubscriptionRequest()
        request.Parameters.RequestedPublishingInterval = intervals[attempt % len(intervals)]
        request.Parameters.RequestedLifetimeCount = 2**32 - 1
        request.Parameters.RequestedMaxKeepAliveCount = 2**32 - 1 if attempt % 2 else 1
        request.Parameters.PublishingEnabled = True
        await quietly(send(client, request))
    for _ in range(200):
        client.uaclient.protocol._send_request(ua.PublishRequest())


async def many_items(client: Client) -> None:
    """Monitored items by the ten thousand, with endless queues, on values that change."""
    subscription = await client.create_subscription(50, Deaf())
    for _ in range(20):
        request = ua.CreateMonitoredItemsRequest()
        request.Parameters.SubscriptionId = subscription.subscription_id
        value = ua.ReadValueId(NodeId=TIME, AttributeId=ua.AttributeIds.Value)
        parameters = ua.MonitoringParameters(QueueSize=2**32 - 1)
        item = ua.MonitoredItemCreateRequest(value, ua.MonitoringMode.Reporting, parameters)
        request.Parameters.ItemsToCreate = [item] * MANY
        await quietly(send(client, request))
    nodes = ua.ReadRequest()
    status = ua.ReadValueId(NodeId=ua.NodeId(ua.ObjectIds.OpcUa_BinarySchema), AttributeId=ua.AttributeIds.Value)
    nodes.Parameters.NodesToRead = [status] * (10 * MANY)
    await quietly(send(client, nodes))


async def changes_of_nodes(client: Client) -> None:
    """Writes, new nodes, deleted nodes and references: refused for everybody."""
    for attribute in range(1, 28):
        for node in (SERVER, TIME, client.nodes.objects.nodeid):
            value = ua.WriteValue(NodeId=node, Value=ua.DataValue(ua.Variant("mine")))
            value.AttributeId = attribute
            write = ua.WriteRequest()
            write.Parameters.NodesToWrite = [value]
            answer = await quietly(send(client, write))
            assert answer is None, f"attribute {attribute} of {node} is written"
    delete = ua.DeleteNodesRequest()
    delete.Parameters.NodesToDelete = [ua.DeleteNodesItem(NodeId=SERVER)]
    cut = ua.DeleteReferencesRequest()
    cut.Parameters.ReferencesToDelete = [ua.DeleteReferencesItem(SourceNodeId=client.nodes.objects.nodeid)]
    add = ua.AddReferencesRequest()
    add.Parameters.ReferencesToAdd = [ua.AddReferencesItem(SourceNodeId=SERVER, TargetNodeId=TIME)]
    new = ua.AddNodesRequest()
    new.Parameters.NodesToAdd = [ua.AddNodesItem(ParentNodeId=ua.ExpandedNodeId(ua.ObjectIds.ObjectsFolder))]
    register = ua.RegisterServerRequest()
    for request in (delete, cut, add, new, register):
        await quietly(send(client, request))


async def what_others_own(client: Client) -> None:
    """Each subscription of the others: deleted, silenced, taken over, changed."""
    numbers = list(range(70, 400))
    delete = ua.DeleteSubscriptionsRequest()
    delete.Parameters.SubscriptionIds = numbers
    silence = ua.SetPublishingModeRequest()
    silence.Parameters.PublishingEnabled = False
    silence.Parameters.SubscriptionIds = numbers
    take = ua.TransferSubscriptionsRequest()
    take.Parameters.SubscriptionIds = numbers
    for request in (silence, take, delete):
        await quietly(send(client, request))
    for number in numbers:
        items = ua.DeleteMonitoredItemsRequest()
        items.Parameters.SubscriptionId = number
        items.Parameters.MonitoredItemIds = list(range(100, 130))
        await quietly(send(client, items))


async def many_sessions(client: Client) -> None:
    """Sessions by the thousand on one connection."""
    for _ in range(MANY):
        request = ua.CreateSessionRequest()
        request.Parameters.ClientCertificate = client.security_policy.host_certificate
        request.Parameters.RequestedSessionTimeout = 1e12
        await quietly(send(client, request))


async def broken_chunks(client: Client) -> None:
    """A message that never ends, then noise, inside the secure channel."""
    protocol: Any = client.uaclient.protocol
    connection = protocol._connection
    dice = random.Random(3)  # noqa: S311
    for _ in range(200):
        message = bytearray(connection.message_to_binary(dice.randbytes(60_000), request_id=7))
        message[3:4] = b"C"
        protocol.transport.write(bytes(message))
    await asyncio.sleep(0.5)
    await raw(client, dice.randbytes(100), 5)


async def unread_answers(client: Client) -> None:
    """Thousands of large answers that the client does not take from its socket."""
    protocol: Any = client.uaclient.protocol
    protocol.transport.pause_reading()
    request = ua.ReadRequest()
    value = ua.ReadValueId(NodeId=ua.NodeId(ua.ObjectIds.OpcUa_BinarySchema), AttributeId=ua.AttributeIds.Value)
    request.Parameters.NodesToRead = [value] * 4
    for _ in range(2 * MANY):
        if protocol.transport is None or protocol.transport.is_closing():
            return
        protocol._send_request(request)
        await asyncio.sleep(0)
    await asyncio.sleep(3)
    protocol.transport.abort()


def huge_announcements(port: int) -> None:
    """Messages that announce gigabytes, sent before any login."""
    for kind in (b"MSGF", b"HELF", b"OPNF"):
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.settimeout(5)
            try:
                connection.sendall(kind + struct.pack("<I", 2**31 - 1))
                for _ in range(300):
                    connection.sendall(b"\0" * 1_000_000)
            except (TimeoutError, ConnectionError):
                continue
