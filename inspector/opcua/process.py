"""opcua: serves the line's results, health and plans to OPC UA clients."""

import asyncio
import logging
import signal
from collections import defaultdict
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Final

import structlog
from asyncua import ua

from inspector import __version__
from inspector.config.buses import OpcuaSettings
from inspector.config.line import LoadedConfig
from inspector.errors import ConfigError, InputError, WorkError
from inspector.monitoring.client import NO_LINE
from inspector.opcua.faults import Faults
from inspector.opcua.methods import Methods
from inspector.opcua.plans import Plans
from inspector.opcua.results import Result, ResultStore, coil_of, frame_of
from inspector.opcua.security import Permissions, SafeServer, Users, secure
from inspector.opcua.space import RESULT_READY, Space
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

LONGEST_REPORT: Final = 300
"""Characters of a client's request in the log."""

SYSTEM_STATES: Final = {"starting": "Preoperational", "healthy": "Operational", "unhealthy": "Error"}

log = structlog.get_logger()


def main(config: LoadedConfig) -> None:
    """Run until a stop request. Raises InputError before the start."""
    settings = config.line.opcua
    if settings is None or settings.folder is None:
        raise ConfigError(f"{config.path}: has no [opcua] table: add one with its users")
    if config.line.health is None:
        raise ConfigError(
            f"{config.path}: has no [health] table: the OPC UA server asks the line for its state: add one"
        )
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
    host = settings.address.rpartition(":")[0]
    await secure(server, folder, config.line.name, host, users, permissions)
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
        self._faults = Faults(space)
        self._trouble = ""
        self._coil = ""
        self._asked_s = 0.0
        self._health: HealthChange | None = None
        self._position_mm: float | None = None

    async def turn(self, feed: Feed, health: Health | None) -> None:
        """Publish new results."""
        for step in await self._read(feed):
            await self._tell(step)
            feed.taken(step)
        await asyncio.to_thread(feed.save)
        if self._position_mm is not None:
            await self._space.set("PositionMm", self._position_mm)
            self._position_mm = None
        if health is not None:
            if self._health is None and health.now is not None:
                await self._tell_health(health.now)  # unchanged since the start before this one
            await self._space.show(health.status)
        await self._show_faults()
        await self._follow_coil()
        await self._show_state()

    async def _read(self, feed: Feed) -> list[Step]:
        """New results; results that cannot be read are a fault, and are read again."""
        steps: list[Step] = []
        with suppress(OSError):  # the feed keeps the reason
            steps = await asyncio.to_thread(feed.read, READ_STEPS)
        error, self._trouble = feed.trouble, ""
        if error is not None:
            self._trouble = (
                f"opcua: results cannot be read: {error.filename}: {error.strerror or error}: repair it, or give "
                "this service the right to read it; they are told then"
            )
        return steps

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
        self._health = change
        await self._space.set("Health", change.state)
        await self._show_faults()

    async def _show_faults(self) -> None:
        findings = self._health.findings if self._health is not None else ()
        await self._faults.show([*findings, *filter(None, [self._trouble])])

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
        if self._health is None:
            return  # decide has not been asked yet
        # A line that does not run is halted; one that runs and does not answer has a fault.
        hangs = self._health.state == "down" and not any(NO_LINE in each for each in self._health.findings)
        system = "Error" if hangs or self._trouble else SYSTEM_STATES.get(self._health.state, "Halted")
        automatic = "Initialized"
        if system == "Operational":
            running = bool(self._coil) or not self._plans.has_strip
            ready = "Ready" if self._plans.prepared else "Initialized"
            automatic = "ContinuousExecution" if running else ready
        await self._faults.enter(system, automatic)


class _OneLine(logging.Handler):
    """Takes the library's reports of broken requests: one line a minute for each kind, in the inspector's log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._repeated = defaultdict[str, Repeated](Repeated)

    def emit(self, record: logging.LogRecord) -> None:
        """Count it, and report it when it is due."""
        # The library's own words, without what a client put into them: so there are few kinds.
        count = self._repeated[f"{record.module}:{record.lineno}"].due()
        if count is not None:
            why = record.exc_info[1] if record.exc_info else ""
            what = record.getMessage()[:LONGEST_REPORT]
            log.warning(
                "opcua: a request could not be answered", what=what, why=str(why)[:LONGEST_REPORT], count=count
            )


def _quiet_library() -> None:
    library = logging.getLogger("asyncua")
    library.handlers, library.propagate = [_OneLine()], False
    library.setLevel(logging.WARNING)
