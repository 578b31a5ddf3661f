"""opcua: serves the line's results, health and plans to OPC UA clients."""

import asyncio
import logging
import signal
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from asyncua import ua

from inspector import __version__
from inspector.config.buses import OpcuaSettings
from inspector.config.line import LoadedConfig
from inspector.errors import ConfigError, InputError, WorkError
from inspector.opcua.methods import Methods
from inspector.opcua.plans import Plans
from inspector.opcua.results import Result, ResultStore, coil_of, frame_of
from inspector.opcua.security import Permissions, SafeServer, Users, secure
from inspector.opcua.space import (
    AUTOMATIC_STATES,
    FAULT,
    FAULT_OVER,
    RESULT_READY,
    STATE_CHANGED,
    STATES,
    Space,
)
from inspector.outbound.feed import Feed
from inspector.outbound.health import Health, HealthChange
from inspector.outbound.open import open_feed, open_health
from inspector.outbound.stream import COILS, FRAMES, Step
from inspector.repeated import Repeated
from inspector.runtime.lock import hold_place
from inspector.runtime.notify import READY, Notifier

TURN_S: Final = 0.2
"""Between two looks into the files, seconds."""

READ_STEPS: Final = 500

COIL_EVERY_S: Final = 1.0
"""How often the strip process is asked for the coil on the line, seconds."""

MOST_CONNECTIONS: Final = 50
ACTIVATION_S: Final = 10.0
"""A connection without a session is closed after this time."""

MACHINE: Final = "VisionStateMachine"
AUTOMATIC: Final = "VisionStateMachine/AutomaticModeStateMachine"

log = structlog.get_logger()


def main(config: LoadedConfig) -> None:
    """Run until a stop request. Raises InputError before the start."""
    settings = config.line.opcua
    if settings is None or settings.folder is None:
        raise ConfigError(f"{config.path}: opcua: there is no such table: add one with its users")
    _quiet_library()
    with hold_place("opcua", settings.folder), ExitStack() as stack:
        health = open_health(config, settings.folder, stack)
        feed = open_feed(config, settings.folder, stack, health)
        asyncio.run(_serve(config, settings, feed, health))
        feed.save()


async def _serve(config: LoadedConfig, settings: OpcuaSettings, feed: Feed, health: Health | None) -> None:
    users, permissions, folder = Users(settings.users), Permissions(), settings.folder
    if folder is None:
        raise ConfigError("opcua.folder is not set")
    server = SafeServer()
    await server.init()
    server.set_endpoint(settings.url)
    server.set_server_name("Strip inspector")
    await server.set_build_info(
        "https://github.com/strip-inspector",
        "strip-inspector",
        "Strip inspector",
        __version__,
        "",
        datetime.now(UTC),
    )
    await secure(server, folder, settings.address.rpartition(":")[0], users, permissions)
    server.iserver.max_connections = MOST_CONNECTIONS
    server.iserver.max_pending_activation_seconds = ACTIVATION_S
    space, plans, store = Space(server), Plans(config), ResultStore()
    await space.make(config.line.name)
    methods = Methods(space, plans, store, config.identity, datetime.now(UTC))
    permissions.reading = await methods.link()
    active = await space.node("ConfigurationManagement/ActiveConfiguration")
    await active.write_value(ua.Variant(methods.active(), ua.VariantType.ExtensionObject))
    try:
        await server.start()
    except OSError as error:
        raise InputError(
            f"opcua.address: {settings.address}: {error.strerror or error}: give another one"
        ) from None
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    Notifier().tell(**{READY: "1"})
    log.info("opcua started", address=settings.url, users=list(settings.users))
    teller = Teller(config, settings, space, plans, store)
    try:
        while not stopped.is_set():
            await teller.turn(feed, health)
            try:
                await asyncio.wait_for(stopped.wait(), TURN_S)
            except TimeoutError:
                continue
    finally:
        await server.stop()


class Teller:
    """Turns results into events and variables."""

    def __init__(
        self, config: LoadedConfig, settings: OpcuaSettings, space: Space, plans: Plans, store: ResultStore
    ) -> None:
        self._line, self._configuration = config.line.name, config.identity
        self._frames, self._space, self._plans, self._store = settings.frames, space, plans, store
        self._states = ("", "")
        self._coil = ""
        self._asked_s = 0.0
        self._health: HealthChange | None = None
        self._position_mm: float | None = None

    async def turn(self, feed: Feed, health: Health | None) -> None:
        """Publish new results."""
        steps = await asyncio.to_thread(feed.read, READ_STEPS)
        for step in steps:
            await self._tell(step)
            feed.taken(step)
        await asyncio.to_thread(feed.save)
        if self._position_mm is not None:
            await self._space.set("PositionMm", self._position_mm)
            self._position_mm = None
        if health is not None:
            await self._space.show(health.status)
        await self._follow_coil()
        await self._show_state()

    async def _tell(self, step: Step) -> None:
        if step.stream == FRAMES:
            verdict = step.item
            self._position_mm = verdict.position_mm
            if not self._plans.has_strip:
                self._coil = verdict.coil or ""
            if self._frames == "all" or (self._frames == "not_accepted" and verdict.reasons):
                await self._ready(frame_of(self._line, verdict))
        elif step.stream == COILS:
            await self._ready(coil_of(self._line, step.item))
        else:
            await self._tell_health(step.item)

    async def _ready(self, result: Result) -> None:
        self._store.add(result)
        fields = result.fields(self._configuration)
        await self._space.trigger(RESULT_READY, result.text, result.severity, fields)

    async def _tell_health(self, change: HealthChange) -> None:
        before = set(self._health.findings) if self._health is not None else set()
        for finding in change.findings:
            if finding not in before:
                await self._space.trigger(FAULT, finding, 800, {"CausePath": ""})
        for finding in before - set(change.findings):
            await self._space.trigger(FAULT_OVER, f"over: {finding}", 100, {"CausePath": ""})
        self._health = change
        await self._space.set("Health", change.state)
        await self._space.set("Findings", list(change.findings))

    async def _follow_coil(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._asked_s < COIL_EVERY_S:
            return
        self._asked_s = now_s
        if self._plans.has_strip:
            try:
                coil = await asyncio.to_thread(self._plans.open_coil)
            except WorkError:
                coil = None  # the line's health says that it does not run
            self._coil = "" if coil is None else str(coil["id"])
            if coil is not None:
                await self._space.set("Plan", coil["plan"] or "default")
        await self._space.set("Coil", self._coil)

    async def _show_state(self) -> None:
        """The state machine follows the line: a client reads it, and cannot stop a line by it."""
        state = self._health.state if self._health is not None else "down"
        system = {"starting": "Preoperational", "down": "Halted", "unhealthy": "Error"}.get(state, "Operational")
        automatic = "Initialized"
        if system == "Operational":
            running = bool(self._coil) or not self._plans.has_strip
            ready = "Ready" if self._plans.prepared else "Initialized"
            automatic = "ContinuousExecution" if running else ready
        if (system, automatic) == self._states:
            return
        before, self._states = self._states, (system, automatic)
        await self._space.set_state(MACHINE, STATES, system)
        await self._space.set_state(AUTOMATIC, AUTOMATIC_STATES, automatic)
        text = f"{'/'.join(filter(None, before)) or 'start'} → {system}/{automatic}"
        await self._space.trigger(STATE_CHANGED, text, 300 if system != "Error" else 700, {})


class _OneLine(logging.Handler):
    """Takes the library's reports of broken requests: one line a minute, in the inspector's log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._repeated = Repeated()

    def emit(self, record: logging.LogRecord) -> None:
        """Count it, and report it when it is due."""
        count = self._repeated.due()
        if count is not None:
            why: Any = record.exc_info[1] if record.exc_info else ""
            log.warning(
                "opcua: a request could not be answered", what=record.getMessage(), why=str(why), count=count
            )


def _quiet_library() -> None:
    library = logging.getLogger("asyncua")
    library.handlers, library.propagate = [_OneLine()], False
    library.setLevel(logging.WARNING)
