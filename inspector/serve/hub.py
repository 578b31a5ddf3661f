"""Sends the live page's data to every open page; a slow page misses frames and delays nobody."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog
from fastapi import WebSocket, WebSocketDisconnect

from inspector.errors import WorkError
from inspector.serve.alarms import count_shown, shown_alarms
from inspector.serve.events import placed_events
from inspector.serve.follower import LineFollower
from inspector.serve.store import Store

TICK_S: Final = 0.2
"""Time between two messages with figures, seconds."""

QUEUED_TICKS: Final = 25
"""Messages that wait for a slow page, five seconds; then it gets the whole state again."""

STORE_TICKS: Final = 5
"""Number of messages between two reads of the alarms and events: once a second."""

MOST_EVENTS: Final = 30
"""Newest events that the map shows."""

CHECK_S: Final = 1.0
"""Time between two checks of an open page's account, seconds."""

MOST_PAGES: Final = 50
"""Most open pages."""

SEND_S: Final = 10.0
"""Longest time to send a message, seconds; after it the page counts as gone."""

log = structlog.get_logger()


def _encode(values: dict[str, Any]) -> str:
    return msgspec.json.encode(values).decode()


class _Page:
    """One open page."""

    def __init__(self) -> None:
        self.ticks: asyncio.Queue[str] = asyncio.Queue(QUEUED_TICKS)
        self.behind = False
        self.woken = asyncio.Event()
        self.shown: dict[str, int] = {}
        """Camera → number of the last frame sent."""


class Hub:
    """Holds the open pages, and gives each its messages."""

    def __init__(self, follower: LineFollower, store: Store) -> None:
        self._follower, self._store = follower, store
        self._pages: set[_Page] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarms: list[dict[str, Any]] = []
        self._alarm_count = 0
        self._events: list[dict[str, Any]] = []
        self._count = 0

    def frame_ready(self) -> None:
        """Send the new live frame; may be called from any thread."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the page is closing
                loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for page in self._pages:
            page.woken.set()

    async def run(self) -> None:
        """Make a message every TICK_S until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_S)
            if self._count % STORE_TICKS == 0:
                try:
                    await asyncio.to_thread(self._read_store)
                except WorkError as error:
                    log.warning("alarms and events are not shown", error=str(error))
            self._count += 1
            self._tell(self._follower.live.news())

    def _read_store(self) -> None:
        self._alarms, self._alarm_count = shown_alarms(self._store), count_shown(self._store)
        since_ns = self._follower.live.since_ns()
        self._events = [] if since_ns is None else placed_events(self._store, MOST_EVENTS, since_ns)

    def _tell(self, news: dict[str, list[Any]]) -> None:
        """Queue a message for every open page."""
        if not self._pages:
            return
        message = _encode({"type": "tick", **self._state(), **news})
        for page in self._pages:
            try:
                page.ticks.put_nowait(message)
            except asyncio.QueueFull:
                page.behind = True
        self._wake()

    def _state(self) -> dict[str, Any]:
        return {
            "now_ms": round(time.time() * 1000),
            "state": self._follower.state(),
            "alarms": self._alarms,
            "alarm_count": self._alarm_count,
            "events": self._events,
            "trend": self._follower.trend[-1] if self._follower.trend else None,
        }

    def _begin(self, page: _Page) -> None:
        """Queue a new page's first message; the other pages get the news that it contains."""
        news, history = self._follower.live.news_and_history()
        self._pages.discard(page)
        self._tell(news)
        page.ticks = asyncio.Queue(QUEUED_TICKS)
        page.ticks.put_nowait(
            _encode({"type": "whole", **self._state(), **history, "trends": list(self._follower.trend)})
        )
        page.behind = False
        page.woken.set()
        self._pages.add(page)

    async def serve(self, websocket: WebSocket, may_see: Callable[[], bool]) -> None:
        """Serve one page until it closes, or until `may_see` says that its account may no longer see it."""
        if len(self._pages) >= MOST_PAGES:
            await websocket.close(1013, "too many pages are open")
            return
        await websocket.accept()
        page = _Page()
        self._begin(page)
        self._follower.live.open_pages(len(self._pages))
        listening = asyncio.create_task(_until_closed(websocket))
        sending = asyncio.create_task(self._send(websocket, page))
        shut_out = asyncio.create_task(_until_refused(may_see))
        try:
            await asyncio.wait((listening, sending, shut_out), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pages.discard(page)
            self._follower.live.open_pages(len(self._pages))
            refused = shut_out.done()
            for task in (listening, sending, shut_out):
                task.cancel()
            await asyncio.gather(listening, sending, shut_out, return_exceptions=True)
        if refused:
            with contextlib.suppress(RuntimeError):  # it has closed meanwhile
                await websocket.close(1008, "log in first")

    async def _send(self, websocket: WebSocket, page: _Page) -> None:
        while True:
            await page.woken.wait()
            page.woken.clear()
            if page.behind:
                self._begin(page)
            while not page.ticks.empty():
                await _timely(websocket.send_text(page.ticks.get_nowait()))
            for frame in self._follower.live.frames():
                if page.shown.get(frame.camera) != frame.number:
                    page.shown[frame.camera] = frame.number
                    await _timely(websocket.send_bytes(frame.message))


async def _timely(sending: Any) -> None:
    async with asyncio.timeout(SEND_S):
        await sending


async def _until_refused(may_see: Callable[[], bool]) -> None:
    while True:
        await asyncio.sleep(CHECK_S)
        with contextlib.suppress(WorkError):  # a store that is locked says nothing about the account
            if not await asyncio.to_thread(may_see):
                return


async def _until_closed(websocket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await websocket.receive_text()  # a page sends nothing; this notices that it closes
