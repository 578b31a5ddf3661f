"""Errors of the page as RFC 9457 problems: what happened and what to do, as JSON."""

from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from inspector.errors import InputError, InspectorError
from inspector.serve.store import UnknownError

log = structlog.get_logger()


class ProblemDetails(BaseModel):
    """A problem as in RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    """What happened, and what to do."""
    errors: list[dict[str, str]] = []
    """For each wrong field `where` and `what`."""


_CONTENT: Final = {"application/problem+json": {"schema": ProblemDetails.model_json_schema()}}

RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    each: {"description": "The request is refused: see `detail`", "content": _CONTENT}
    for each in (400, 401, 403, 404, 405, 409, 413, 415, 421, 422, 429, 503)
}
"""What every route may answer, for the OpenAPI description."""


class Problem(Exception):  # noqa: N818  # RFC 9457 calls it so
    """A refused request."""

    def __init__(self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    """Return the response of a problem."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(content | more, status, headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem."""

    @app.exception_handler(Problem)
    async def refused(_: Request, error: Problem) -> JSONResponse:
        return problem(error.status, error.detail, error.headers)

    @app.exception_handler(HTTPException)
    async def failed(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Not the input itself: it may be a password, or a number that JSON does not have.
        wrong = [{"where": ".".join(map(str, each["loc"])), "what": str(each["msg"])} for each in error.errors()]
        detail = "; ".join(f"{each['where']}: {each['what']}" for each in wrong)
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=wrong)

    @app.exception_handler(UnknownError)
    async def unknown(_: Request, error: UnknownError) -> JSONResponse:
        return problem(HTTPStatus.NOT_FOUND, str(error))

    @app.exception_handler(InputError)
    async def refused_input(_: Request, error: InputError) -> JSONResponse:
        return problem(HTTPStatus.CONFLICT, str(error))

    @app.exception_handler(InspectorError)
    async def unavailable(_: Request, error: InspectorError) -> JSONResponse:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    @app.exception_handler(OSError)
    async def no_disk(request: Request, error: OSError) -> JSONResponse:
        log.warning("the disk failed", path=request.url.path, error=str(error))
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"the disk failed: {error.strerror or error}")
