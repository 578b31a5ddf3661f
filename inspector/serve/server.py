"""Starts the page: checks what it needs, then serves until it is told to stop."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import structlog
import uvicorn

from inspector.config.line import LoadedConfig
from inspector.config.recipe import load_recipe
from inspector.core.collect import Collector
from inspector.engine.signature import open_trusted
from inspector.errors import InputError
from inspector.runtime.notify import READY, Notifier
from inspector.serve.accounts import Accounts, Attempts
from inspector.serve.app import make_app
from inspector.serve.follower import LineFollower
from inspector.serve.hub import Hub
from inspector.serve.known_engines import KnownEngines
from inspector.serve.live import Live
from inspector.serve.page import Page
from inspector.serve.results import Results
from inspector.serve.samples import Sampler
from inspector.serve.score_counts import ScoreCounts
from inspector.serve.store import Store
from inspector.wire.view import ViewMessage

NICE: Final = 10
"""Added to the process's nice value: the line goes first."""

MOST_WAITING: Final = 64
"""Most connections that wait to be accepted."""

CLOSE_S: Final = 2
"""How long open requests may take at the end, seconds."""

log = structlog.get_logger()


def serve(config: LoadedConfig, store: Store) -> None:
    """Serve the page of a line until SIGTERM or Ctrl-C. Raises InputError before the start."""
    line = config.line
    settings = line.page
    if line.health is None:
        raise InputError(f"{config.path}: has no [health] table, which the page needs to ask decide: add it")
    if line.view.address is not None:
        raise InputError(
            f"{config.path}: view.address: the page reads the view by a socket of this PC: remove address and keys"
        )
    accounts = Accounts(store)
    if not settings.is_loopback and not accounts.exist():
        raise InputError(
            f"page.address: {settings.address} can be reached from other PCs, and no account exists: "
            "make one with `inspector user add NAME --role admin`"
        )
    folder = open_trusted(line.engine, line.trusted_keys)
    manifest, recipe = folder.manifest, load_recipe(line.recipe).bind(folder.classes)
    os.nice(NICE)
    # The page never interrupts a stage that runs: its encoding takes ms, in which a frame would wait.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    sampler = Sampler(
        store, recipe.names, Collector(recipe.score_thresholds, **line.collect.model_dump(exclude={"shadow"}))
    )

    def take(seen: ViewMessage) -> None:
        live.take(seen)
        fits = engines.fits(seen.verdict)
        follower.foreign_engine = None if fits else seen.verdict.engine
        if fits:
            sampler.take(seen)
            score_counts.take(seen)

    engines = KnownEngines(line.engine, folder.identity, manifest.classes)
    live = Live(list(line.cameras), manifest.height * recipe.mm_per_px_along)
    score_counts = ScoreCounts(store, config.plans().for_sinks(folder.classes))
    follower = LineFollower(line, line.health.port, live, take, store, score_counts)
    hub = Hub(follower, store)
    live.woken = hub.frame_ready
    page = Page(
        config,
        manifest,
        folder.classes,
        recipe,
        store,
        accounts,
        Attempts(),
        follower,
        hub,
        Results(str(line.records.url)),
    )
    with closing(_listen(config)) as listener:
        sampler.start()
        try:
            _run(page, listener)
        finally:
            sampler.stop()


def _listen(config: LoadedConfig) -> socket.socket:
    settings = config.line.page
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(MOST_WAITING)
    except OSError as error:
        listener.close()
        raise InputError(
            f"page.address: {settings.address} cannot be listened on: {error.strerror}: give another port"
        ) from None
    return listener


def _run(page: Page, listener: socket.socket) -> None:
    settings = page.config.line.page
    options = uvicorn.Config(
        make_app(page),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_per_message_deflate=False,  # JPEGs do not shrink, and the CPU is the line's
        ws_max_size=65_536,
        timeout_graceful_shutdown=CLOSE_S,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    try:
        options.load()
    except OSError as error:
        raise InputError(f"page.certificate: {settings.certificate}: {error.strerror or error}") from None
    scheme = "http" if settings.certificate is None else "https"
    log.info("page started", address=f"{scheme}://{settings.address}")
    Notifier().tell(**{READY: "1"})
    _Server(options).run(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that ends with exit code 0 after a stop request, like the processes of the line."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle stop requests; uvicorn's own handler would raise the signal again at the end."""
        for request in (signal.SIGINT, signal.SIGTERM):
            signal.signal(request, self.handle_exit)
        yield
