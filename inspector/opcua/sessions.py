"""What one client may have and ask for: bounded numbers, and only what is its own.

asyncua keeps all subscriptions in one place, and asks nobody whose they are.
"""

import asyncio
import math
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import structlog
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.subscription_service import SubscriptionService

from inspector.opcua.filters import event_refusal, value_refusal
from inspector.repeated import Repeated

MOST_SESSIONS: Final = 50
SILENT_S: Final = 2.0
"""A session that has been silent for so long makes room for a new one, seconds."""
MOST_SUBSCRIPTIONS: Final = 10
"""Of one session."""
MOST_ITEMS: Final = 1_000
MOST_EVENT_ITEMS: Final = 10
"""Of one session; most clients have one."""
MOST_EVENTS: Final = 500
"""Events that wait for a client; an older one is dropped, its result can be asked for."""
MOST_CHANGES: Final = 10
"""Changes of a value that wait for a client."""
MOST_UNACKNOWLEDGED: Final = 10
"""Messages of a subscription kept until the client acknowledges them."""
INTERVALS_MS: Final = (50.0, 60_000.0)
"""Publishing intervals that are given."""

MOST_READ: Final = 1_000
MOST_BROWSED: Final = 200
MOST_CALLED: Final = 20
"""Operations of one request."""
MOST_ANSWER_BYTES: Final = 4_000_000
"""Values of one answer: a client that takes less gets none of it."""

T = TypeVar("T")

log = structlog.get_logger()


class Subscriptions(SubscriptionService):
    """Tells each event to all, whatever one of them makes of it."""

    _broken = Repeated()

    async def trigger_event(self, event: Any, subscription_id: int | None = None) -> None:
        """Tell an event."""
        for number, subscription in list(self.subscriptions.items()):
            if subscription_id not in (None, number):
                continue
            try:
                await subscription.monitored_item_srv.trigger_event(event)
            except Exception as error:  # noqa: BLE001  # the library's own; the others get their event
                if (count := self._broken.due()) is not None:
                    log.error("opcua: an event cannot be told to a client", error=repr(error)[:200], count=count)


class Session(InternalSession):
    """A client's session. All limits raise ServiceError."""

    certificate: bytes | None = None
    """The client's, which another connection must have to take the session over."""

    def _own(self, number: int) -> InternalSubscription:
        subscription = self.subscription_service.subscriptions.get(number)
        if subscription is None or subscription.session_id != self.session_id:
            raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)
        return subscription

    def _all_own(self) -> list[InternalSubscription]:
        every = self.subscription_service.subscriptions.values()
        return [each for each in every if each.session_id == self.session_id]

    def _split(self, numbers: Iterable[int]) -> list[tuple[int, bool]]:
        own = {each.data.SubscriptionId for each in self._all_own()}
        return [(each, each in own) for each in bounded(list(numbers), MOST_READ)]

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        """Read values."""
        found: list[ua.DataValue] = await super().read(_with(params, "NodesToRead", MOST_READ))
        if sum(_size(each.Value.Value) for each in found if each.Value is not None) > MOST_ANSWER_BYTES:
            raise ServiceError(ua.StatusCodes.BadResponseTooLarge)
        return found

    async def browse(self, params: ua.BrowseParameters) -> list[ua.BrowseResult]:
        """Browse nodes."""
        found: list[Any] = await super().browse(_with(params, "NodesToBrowse", MOST_BROWSED))
        return found

    async def browse_next(self, parameters: ua.BrowseNextParameters) -> list[ua.BrowseResult]:
        """Answers to browsing are never cut, so there is no place to go on from."""
        bad = ua.StatusCode(ua.StatusCodes.BadContinuationPointInvalid)
        return [ua.BrowseResult(bad) for _ in bounded(parameters.ContinuationPoints, MOST_BROWSED)]

    async def translate_browsepaths_to_nodeids(self, params: list[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
        """Find nodes by their names."""
        found: list[Any] = await super().translate_browsepaths_to_nodeids(bounded(params, MOST_BROWSED))
        return found

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        """Call methods."""
        found: list[Any] = await super().call(bounded(params, MOST_CALLED))
        return found

    async def history_read(self, _params: ua.HistoryReadParameters) -> list[ua.HistoryReadResult]:
        """There is no history: results are asked for by their ids."""
        raise ServiceError(ua.StatusCodes.BadHistoryOperationUnsupported)

    async def create_subscription(
        self, params: ua.CreateSubscriptionParameters, callback: Any, request_callback: Any = None
    ) -> ua.CreateSubscriptionResult:
        """Make a subscription."""
        if len(self._all_own()) >= MOST_SUBSCRIPTIONS:
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        asked, (least, most) = params.RequestedPublishingInterval, INTERVALS_MS
        params.RequestedPublishingInterval = least if math.isnan(asked) else min(max(asked, least), most)
        return await super().create_subscription(params, callback, request_callback)

    def modify_subscription(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        """Answer with what the subscription has; it keeps that."""
        self._own(params.SubscriptionId)
        return super().modify_subscription(params)

    async def create_monitored_items(
        self, params: ua.CreateMonitoredItemsParameters
    ) -> list[ua.MonitoredItemCreateResult]:
        """Make items, each for itself."""
        self._own(params.SubscriptionId)
        results = []
        for item in bounded(params.ItemsToCreate, MOST_READ):
            code = self._refusal(item.ItemToMonitor, item.RequestedParameters) or self._room(item.ItemToMonitor)
            if code is not None:
                results.append(ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(code)))
                continue
            one = ua.CreateMonitoredItemsParameters(params.SubscriptionId, params.TimestampsToReturn, [item])
            results += await super().create_monitored_items(one)
        return results

    async def modify_monitored_items(
        self, params: ua.ModifyMonitoredItemsParameters
    ) -> list[ua.MonitoredItemModifyResult]:
        """Change items, each for itself."""
        items = self._own(params.SubscriptionId).monitored_item_srv._monitored_items
        results = []
        for item in bounded(params.ItemsToModify, MOST_READ):
            known = items.get(item.MonitoredItemId)
            code: Any = ua.StatusCodes.BadMonitoredItemIdInvalid
            if known is not None and known.read_value_id is not None:
                wanted = item.RequestedParameters
                wanted.Filter = known.filter if wanted.Filter is None else wanted.Filter
                code = self._refusal(known.read_value_id, wanted)
            if code is not None:
                results.append(ua.MonitoredItemModifyResult(StatusCode=ua.StatusCode(code)))
                continue
            one = ua.ModifyMonitoredItemsParameters(params.SubscriptionId, params.TimestampsToReturn, [item])
            results += await super().modify_monitored_items(one)
        return results

    async def delete_monitored_items(self, params: ua.DeleteMonitoredItemsParameters) -> list[ua.StatusCode]:
        """Delete items."""
        self._own(params.SubscriptionId)
        found: list[Any] = await super().delete_monitored_items(_with(params, "MonitoredItemIds", MOST_READ))
        return found

    async def set_monitoring_mode(self, params: ua.SetMonitoringModeParameters) -> list[ua.StatusCode]:
        """Switch items on and off."""
        self._own(params.SubscriptionId)
        found: list[Any] = await super().set_monitoring_mode(_with(params, "MonitoredItemIds", MOST_READ))
        return found

    async def set_publishing_mode(self, params: ua.SetPublishingModeParameters) -> list[ua.StatusCode]:
        """Switch subscriptions on and off."""
        answers = []
        for number, is_own in self._split(params.SubscriptionIds):
            if is_own:
                await self._own(number).set_publishing_mode(params.PublishingEnabled)
            answers.append(_done(is_own))
        return answers

    async def delete_subscriptions(self, ids: list[int]) -> list[ua.StatusCode]:
        """Delete subscriptions."""
        answers: list[ua.StatusCode] = []
        for number, is_own in self._split(ids) if ids else []:
            answers += await super().delete_subscriptions([number]) if is_own else [_done(is_own)]
        return answers

    def republish(self, params: ua.RepublishParameters) -> ua.NotificationMessage:
        """Send a message again that the client has not acknowledged."""
        if params.RetransmitSequenceNumber not in self._own(params.SubscriptionId)._not_acknowledged_results:
            raise ServiceError(ua.StatusCodes.BadMessageNotAvailable)
        return super().republish(params)

    def publish(
        self, acks: Iterable[ua.SubscriptionAcknowledgement] | None = None
    ) -> tuple[int, list[ua.StatusCode]]:
        """Take acknowledgements, and a request that an answer is published to."""
        own = self._all_own()
        if not own:
            raise ServiceError(ua.StatusCodes.BadNoSubscription)
        by_number = {each.data.SubscriptionId: each for each in own}
        answers = []
        for ack in list(acks or [])[:MOST_READ]:
            subscription = by_number.get(ack.SubscriptionId)
            if subscription is not None:
                subscription.publish([ack.SequenceNumber])
            answers.append(_done(subscription is not None))
        return len(own), answers

    async def transfer_subscriptions(
        self, params: ua.TransferSubscriptionsParameters, callback: Callable[..., Any]
    ) -> list[ua.TransferResult]:
        """Take over subscriptions of a user's earlier session."""
        answers = []
        for number in bounded(params.SubscriptionIds, MOST_READ):
            subscription = self.subscription_service.subscriptions.get(number)
            sessions = self.iserver._external_sessions.values()
            owner = next(
                (each for each in sessions if subscription and each.session_id == subscription.session_id), None
            )
            if subscription is None or owner is None or owner.user.name != self.user.name:
                code = ua.StatusCodes.BadSubscriptionIdInvalid
                answers.append(ua.TransferResult(StatusCode=ua.StatusCode(code)))
                continue
            one = ua.TransferSubscriptionsParameters([number], params.SendInitialValues)
            answers += await super().transfer_subscriptions(one, callback)
            # The library goes on asking the earlier connection for requests.
            subscription.pub_request_callback = callback.__self__.get_publish_request  # type: ignore[attr-defined]
        return answers

    def _room(self, wanted: ua.ReadValueId) -> Any:
        items = [
            item.read_value_id
            for each in self._all_own()
            for item in each.monitored_item_srv._monitored_items.values()
            if item.read_value_id is not None
        ]
        of_events = sum(each.AttributeId == ua.AttributeIds.EventNotifier for each in items)
        too_many = wanted.AttributeId == ua.AttributeIds.EventNotifier and of_events >= MOST_EVENT_ITEMS
        return ua.StatusCodes.BadTooManyMonitoredItems if too_many or len(items) >= MOST_ITEMS else None

    def _refusal(self, wanted: ua.ReadValueId, parameters: ua.MonitoringParameters) -> Any:
        """Why an item is refused, as a status; bounds its queue."""
        asked, of_events = parameters.QueueSize, wanted.AttributeId == ua.AttributeIds.EventNotifier
        if of_events:
            parameters.QueueSize = min(asked or MOST_EVENTS, MOST_EVENTS)
            return event_refusal(parameters.Filter)
        parameters.QueueSize = min(max(asked, 1), MOST_CHANGES)
        value = self.aspace.read_attribute_value(wanted.NodeId, wanted.AttributeId).Value
        code = value_refusal(parameters.Filter, None if value is None else value.Value)
        if code is None and not isinstance(parameters.Filter, ua.DataChangeFilter):
            parameters.Filter = None
        return code


class Sessions(InternalServer):
    """Makes the sessions."""

    def __init__(self) -> None:
        super().__init__()
        self.subscription_service = Subscriptions(self.aspace, iserver=self)
        self.isession.subscription_service = self.subscription_service
        self.max_unacked_messages_per_subscription = MOST_UNACKNOWLEDGED
        self.max_subscriptions = MOST_SESSIONS * MOST_SUBSCRIPTIONS
        self.max_monitored_item_queue_size = MOST_EVENTS
        self._ending: set[asyncio.Task[None]] = set()

    def create_session(self, name: str, user: Any = None, external: bool = False) -> InternalSession:
        """Make a session whose token nobody can guess."""
        if not external:
            return super().create_session(name, user, external)
        if len(self._external_sessions) >= MOST_SESSIONS:
            self._make_room()
        session = Session(self, self.aspace, self.subscription_service, name, external=True)
        self.unregister_external_session(session)
        session.auth_token = ua.NodeId(secrets.token_bytes(32), 0, ua.NodeIdType.ByteString)
        self.register_external_session(session)
        return session

    def _make_room(self) -> None:
        """End the session that has been silent for longest. Raises ServiceError if none is.

        A session with subscriptions outlives its connection, so that its client can come back to it. A client that
        comes back with a new session each time leaves many.
        """
        oldest = min(self._external_sessions.values(), key=lambda each: each._last_activity)
        if time.monotonic() - oldest._last_activity < SILENT_S:
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        self.unregister_external_session(oldest)
        self._ending = {each for each in self._ending if not each.done()}
        self._ending.add(asyncio.get_running_loop().create_task(oldest.close_session(delete_subs=True)))


def bounded(asked: Sequence[T] | None, most: int) -> list[T]:
    """The operations of a request. Raises ServiceError for none, and for too many."""
    if not asked:
        raise ServiceError(ua.StatusCodes.BadNothingToDo)
    if len(asked) > most:
        raise ServiceError(ua.StatusCodes.BadTooManyOperations)
    return list(asked)


def _with(parameters: T, name: str, most: int) -> T:
    bounded(getattr(parameters, name), most)
    return parameters


def _done(is_own: bool) -> ua.StatusCode:
    return ua.StatusCode(ua.StatusCodes.Good if is_own else ua.StatusCodes.BadSubscriptionIdInvalid)


def _size(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_size, value))
    return len(value) if isinstance(value, str | bytes) else 8
