"""Routes of the review queue."""

from http import HTTPStatus
from typing import Annotated, Any, Final

import cv2
import numpy as np
from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse
from pydantic import Field

from inspector.serve import review, samples
from inspector.serve.accounts import Account, Role
from inspector.serve.page import Whole, of
from inspector.serve.problems import Problem
from inspector.serve.routes_line import Count, Operator, Viewer, Why
from inspector.serve.security import needs

router = APIRouter(prefix="/api/review")

Quality = Annotated[Account, Depends(needs(Role.QUALITY))]

MOST_RUNS: Final = 200_000
"""Most runs of a redrawn mask; a mask with more is noise."""

Run = tuple[Annotated[int, Field(ge=1, le=255)], Whole, Annotated[int, Field(ge=1, le=2**31)]]


class Answer(Why):
    """A person's answer about a frame."""

    answer: review.Answer
    mask: Annotated[list[Run], Field(max_length=MOST_RUNS)] | None = None
    """Runs of kind, first pixel and length in reading order; for `kind` and `redraw`."""


class Marking(Why):
    """A frame that a person wants reviewed."""

    number: Whole
    """As the live page gives it with each frame and reject."""


@router.get("")
def waiting(request: Request, _: Viewer, count: Count = 100) -> dict[str, Any]:
    """Return the frames that wait for a review."""
    return review.waiting(of(request).store, count)


@router.get("/done")
def done(request: Request, _: Viewer, count: Count = 100) -> list[dict[str, Any]]:
    """Return the newest reviews."""
    return review.reviewed(of(request).store, count)


@router.get("/{sample}/picture", response_class=FileResponse, responses={200: {"content": {"image/png": {}}}})
def picture(sample: Whole, request: Request, _: Viewer) -> FileResponse:
    """Return a kept frame without loss."""
    return FileResponse(
        review.kept_file(of(request).store, sample, mask=False), headers={"Cache-Control": "private, max-age=3600"}
    )


@router.get("/{sample}/mask")
def mask(sample: Whole, request: Request, _: Viewer) -> list[list[int]]:
    """Return the line's mask of a kept frame as runs of kind, first pixel and length."""
    read = cv2.imread(str(review.kept_file(of(request).store, sample, mask=True)), cv2.IMREAD_GRAYSCALE)
    if read is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"frame {sample}: its mask cannot be read")
    return review.runs_of(np.asarray(read, np.uint8))


@router.post("/marked", status_code=HTTPStatus.CREATED)
def mark(given: Marking, request: Request, who: Operator) -> dict[str, int]:
    """Put a frame that the live page shows first in the queue."""
    page = of(request)
    seen = page.follower.live.shown(given.number)
    if seen is None:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"frame {given.number}: its pixels are not held any more: add it with `inspector collect`",
        )
    return {"id": samples.mark(page.store, seen, page.recipe.names, who.name, given.why)}


@router.post("/{sample}", status_code=HTTPStatus.CREATED)
def answer(sample: Whole, given: Answer, request: Request, who: Quality) -> dict[str, int]:
    """Review a frame."""
    return {"id": review.answer(of(request).store, sample, given.answer, given.mask, who.name, given.why)}


@router.delete("/done/{number}")
def undo(number: Whole, request: Request, who: Quality) -> dict[str, int]:
    """Undo the account's own review."""
    return {"sample": review.undo(of(request).store, number, who.name)}
