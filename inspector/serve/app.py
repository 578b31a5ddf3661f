"""The page as an ASGI application."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse
from starlette.middleware.gzip import GZipMiddleware

from inspector import __version__
from inspector.serve import problems, routes_line, routes_plans, routes_results, routes_review, routes_session
from inspector.serve.page import Page
from inspector.serve.problems import Problem
from inspector.serve.security import Guard

STATIC: Final = Path(__file__).parent / "static"

FILES: Final = {"": "index.html", "app.js": "app.js", "app.css": "app.css", "icon.svg": "icon.svg"}
"""Path → file in STATIC: the page as built from `web/`."""


def make_app(page: Page) -> FastAPI:
    """Make the application of a page."""

    @contextlib.asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        page.follower.start()
        ticking = asyncio.create_task(page.hub.run())
        try:
            yield
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            await asyncio.to_thread(page.follower.stop)

    app = FastAPI(
        title="Strip inspector: the operator's page",
        version=__version__,
        lifespan=running,
        docs_url=None,  # would load scripts from a server
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses=problems.RESPONSES,
    )
    app.state.page, app.state.accounts, app.state.open = (
        page,
        page.accounts,
        page.config.line.page.is_loopback,
    )
    problems.install(app)
    for routes in (routes_session, routes_line, routes_results, routes_plans, routes_review):
        app.include_router(routes.router)

    @app.get("/{path:path}", include_in_schema=False)
    def static(path: str, request: Request) -> FileResponse:
        name = FILES.get(path)
        if name is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"{request.url.path}: no such page")
        # The browser revalidates its copy each time, so that an update shows immediately.
        return FileResponse(STATIC / name, headers={"Cache-Control": "no-cache"})

    app.add_middleware(GZipMiddleware, minimum_size=2_000, compresslevel=4)
    app.add_middleware(Guard, settings=page.config.line.page)
    return app
