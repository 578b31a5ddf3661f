"""Routes of the records: coils, their defects, their pictures."""

import shutil
import tempfile
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from pydantic import Field
from starlette.background import BackgroundTask

from inspector.report.report import write_report
from inspector.report.verdict_files import Selection
from inspector.results import REJECTS_FOLDER
from inspector.serve.events import coil_events
from inspector.serve.page import LARGEST, Name, Signed, Text, Whole, of
from inspector.serve.problems import Problem
from inspector.serve.routes_line import Viewer
from inspector.sinks.pictures import picture_name

router = APIRouter(prefix="/api")

MOST_COILS: Final = 200
MOST_EVENTS: Final = 500
LARGEST_MS: Final = LARGEST // 1_000_000

_reporting = threading.Lock()
"""One report at a time: a large one takes seconds of CPU."""

Milliseconds = Annotated[int, Field(ge=0, le=LARGEST_MS)]


@router.get("/coils")
def coils(  # each is a filter of the search
    request: Request,
    _: Viewer,
    search: Text = "",
    kind: Text = "",
    verdict: Literal["", "release", "downgrade", "hold"] = "",
    from_ms: Milliseconds = 0,
    to_ms: Milliseconds = LARGEST_MS,
    count: Annotated[int, Field(ge=1, le=MOST_COILS)] = 50,
) -> list[dict[str, Any]]:
    """Return the newest coils that match, newest first."""
    limits = {"from_ns": from_ms * 1_000_000, "to_ns": to_ms * 1_000_000}
    return of(request).results.coils(search=search, kind=kind, verdict=verdict, count=count, **limits)


@router.get("/coil", response_class=Response, responses={200: {"content": {"application/json": {}}}})
def coil(
    request: Request, _: Viewer, run: Whole, coil: Name | None = None, number: Whole | None = None
) -> Response:
    """Return a coil's card, map, defects and events; without a name, the frames of a run that belong to no coil.

    `run` 0 stands for a coil that has no frame in the records. `number` is that of the card, for a name that came
    more than once.
    """
    # Encoded here: FastAPI would look at each of some ten thousand numbers first.
    page = of(request)
    strip = page.config.line.strip
    found = page.results.coil(coil, run, strip.folder if strip else None, number)
    found["events"] = coil_events(page.store, found, MOST_EVENTS)
    return Response(msgspec.json.encode(found), media_type="application/json")


@router.get(
    "/report", response_class=FileResponse, responses={200: {"content": {"text/html": {}, "application/pdf": {}}}}
)
def report(request: Request, _: Viewer, run: Whole, coil: Name, pdf: bool = False) -> FileResponse:
    """Return a coil's report to keep or send, as `inspector report` writes it: HTML, or PDF for a judged coil."""
    page = of(request)
    folder = page.results.folder(run)
    # A service leaves no config in its folder.
    config = page.config if folder == page.config.line.sinks.out else None
    if not _reporting.acquire(blocking=False):
        wait = {"Retry-After": "10"}
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "another report is being written: try again", wait)
    ending, kind = ("pdf", "application/pdf") if pdf else ("html", "text/html")
    try:
        made = Path(tempfile.mkdtemp()) / f"report.{ending}"
        try:
            write_report(folder, selection=Selection(coil, None, None), config=config, to=made, pdf=pdf)
        except BaseException:
            shutil.rmtree(made.parent)
            raise
    finally:
        _reporting.release()
    gone = BackgroundTask(shutil.rmtree, made.parent)
    return FileResponse(made, filename=f"{coil}.{ending}", media_type=kind, background=gone)


@router.get("/picture", response_class=FileResponse, responses={200: {"content": {"image/*": {}}}})
def picture(  # the key of a frame
    request: Request,
    _: Viewer,
    run: Whole,
    camera: Name,
    frame: Whole,
    epoch: Signed,
    crop: Annotated[int, Field(ge=0, le=100_000)] | None = None,
) -> FileResponse:
    """Return a reject's picture with outlines (JPEG), or with `crop` one defect without loss (PNG)."""
    stem = picture_name(camera, frame, epoch)
    name = f"{stem}.jpg" if crop is None else f"{stem}-{crop}.png"
    path: Path = of(request).results.folder(run) / REJECTS_FOLDER / name
    if not path.is_file():
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "no such picture on this PC: only rejects have one, and old ones are deleted",
        )
    return FileResponse(path, headers={"Cache-Control": "private, max-age=3600"})
