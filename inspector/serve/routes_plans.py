"""Routes of plans, engines, and the scores that a plan's limits are compared with."""

import time
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from inspector.serve import engines, plans, score_counts
from inspector.serve.page import LARGEST, Name, Text, of
from inspector.serve.routes_line import Viewer
from inspector.serve.routes_review import Quality

router = APIRouter(prefix="/api")

MOST_SCORES: Final = 20_000
LONGEST_HOURS: Final = 24 * 31
MOST_CLASSES: Final = 255

Hours = Annotated[int, Field(ge=1, le=LONGEST_HOURS)]
Millimetres = Annotated[float, Field(ge=0.0, le=LARGEST, allow_inf_nan=False)]


class RuleChange(BaseModel):
    """New values for one class; `null` is the engine's own, a key that is left out stays."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["reject", "record"] = "reject"
    threshold: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    min_area_mm2: Millimetres | None = None
    min_length_mm: Millimetres = 0.0
    min_width_mm: Millimetres = 0.0


class PlanChange(BaseModel):
    """A change of one plan."""

    plan: Text
    """Empty for the default."""
    identity: Name
    """Of the plan as it was looked at."""
    classes: Annotated[dict[Name, RuleChange], Field(max_length=MOST_CLASSES)]
    why: Text = ""


@router.get("/plans")
def list_plans(request: Request, _: Viewer) -> list[dict[str, Any]]:
    """Return the line's plans as their files are now, and who changed them."""
    page = of(request)
    status = page.follower.status
    used = status.line.recipe if status is not None and status.line is not None else None
    return plans.plans(page.config, page.classes, page.store, used)


@router.put("/plan")
def change_plan(change: PlanChange, request: Request, who: Quality) -> dict[str, str]:
    """Change a plan's file. The stages read it at their next start."""
    page = of(request)
    classes = {name: rule.model_dump(exclude_unset=True) for name, rule in change.classes.items()}
    made = plans.change(
        page.config, page.classes, page.store, change.plan, change.identity, classes, who.name, change.why
    )
    return {"identity": made}


@router.get("/engines")
def list_engines(request: Request, _: Viewer) -> list[dict[str, Any]]:
    """Return the engines on this PC: which one is in use, and what each was measured to do."""
    page = of(request)
    status = page.follower.status
    in_use = status.line.worker.engine if status is not None and status.line is not None else ""
    return engines.engines(page.config.line.engine, in_use)


@router.get("/scores")
def scores(request: Request, _: Viewer, hours: Hours = 8) -> list[dict[str, Any]]:
    """Return kind, score and area of the defects of the last hours, to hold a plan's limits against."""
    return of(request).results.scores(time.time_ns() - hours * 3600 * 10**9, MOST_SCORES)


@router.get("/peaks")
def peaks(request: Request, _: Viewer, hours: Hours = 8) -> dict[str, Any]:
    """Return how many frames of the last hours had which highest score of each kind, found or not."""
    return score_counts.score_bins(of(request).store, hours)


@router.get("/drift")
def drift(request: Request, _: Viewer, hours: Hours = 24) -> list[dict[str, Any]]:
    """Return brightness, scores and shares of each camera over the last hours."""
    return score_counts.drift(of(request).store, hours)
