"""Results in the terms of Machine Vision: a coil is a whole result, a frame a partial one."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from inspector.opcua.types import binary_id, external_recipe, made, time_of
from inspector.outbound.messages import coil_message, defect_messages
from inspector.sinks.coil_results import CoilResult
from inspector.values import Verdict

KEPT_RESULTS: Final = 2_000
"""Newest results that clients can ask for; older ones are in the records."""

COMPLETED, FAILED = 1, 4
"""ResultStateDataType; a frame that was not inspected has failed."""

ANY_STATE: Final = 0


@dataclass(frozen=True, slots=True)
class Result:
    """One result, for the event and for clients that ask."""

    id: str
    coil: str
    job: str
    plan: str
    """Name of the plan; empty for the default, or where it is not known."""
    recipe: str
    made_ns: int
    is_partial: bool
    state: int
    text: str
    """One line for people."""
    content: str
    """JSON, as docs/schemas describes it."""
    severity: int

    def fields(self, configuration: str) -> dict[str, Any]:
        """Return the fields that the event and the structure share."""
        return {
            "ResultId": made("ResultIdDataType", Id=self.id),
            "IsPartial": self.is_partial,
            "IsSimulated": False,
            "ResultState": self.state,
            "MeasId": made("MeasIdDataType", Id=self.id),
            "PartId": made("PartIdDataType", Id=self.coil),
            "ExternalRecipeId": external_recipe(self.plan),
            "InternalRecipeId": binary_id("RecipeIdInternalDataType", self.recipe),
            "InternalConfigurationId": binary_id("ConfigurationIdDataType", configuration),
            "JobId": made("JobIdDataType", Id=self.job),
            "CreationTime": time_of(self.made_ns),
            "ResultContent": [self.content],
        }


def coil_of(line: str, result: CoilResult) -> Result:
    """A judged coil."""
    return Result(
        id=f"coil:{result.number}:{result.started_ns}",
        coil=result.id,
        job=str(result.number),
        plan=result.plan,
        recipe=result.recipe,
        made_ns=result.ended_ns,
        is_partial=False,
        state=COMPLETED,
        text=f"coil {result.id}: {result.verdict}" + (f", {result.reasons[0]}" if result.reasons else ""),
        content=msgspec.json.encode(coil_message(line, result)).decode(),
        severity={"release": 100, "downgrade": 400}.get(result.verdict, 600),
    )


def frame_of(line: str, verdict: Verdict) -> Result:
    """One frame's verdict, with its defects."""
    why = f", {verdict.reasons[0]}" if verdict.reasons else ""
    content = {
        "camera": verdict.camera,
        "ingest_epoch": verdict.ingest_epoch,
        "frame_id": verdict.frame_id,
        "position_mm": verdict.position_mm,
        "coil": verdict.coil,
        "decision": verdict.decision.value,
        "reasons": verdict.reasons,
        "defects": defect_messages(line, verdict),
    }
    return Result(
        id=f"frame:{verdict.camera}:{verdict.ingest_epoch}:{verdict.frame_id}:{verdict.captured_ns}",
        coil=verdict.coil or "",
        job="",
        plan="",
        recipe=verdict.recipe,
        made_ns=verdict.captured_ns,
        is_partial=True,
        state=FAILED if verdict.decision.value == "uninspected" else COMPLETED,
        text=f"{verdict.camera} frame {verdict.frame_id}: {verdict.decision.value}{why}",
        content=msgspec.json.encode(content).decode(),
        severity={"accept": 1, "reject": 500}.get(verdict.decision.value, 600),
    )


class ResultStore:
    """The newest results, oldest first."""

    def __init__(self) -> None:
        self._results: OrderedDict[str, Result] = OrderedDict()

    def add(self, result: Result) -> None:
        """Take one; the oldest makes room."""
        self._results[result.id] = result
        while len(self._results) > KEPT_RESULTS:
            self._results.popitem(last=False)

    def get(self, result_id: str) -> Result | None:
        """One result by its id."""
        return self._results.get(result_id)

    def newest(self, *, coil: str, job: str, recipe: str, state: int) -> list[Result]:
        """The results that match, newest first; empty and 0 match every one."""
        return [
            each
            for each in reversed(self._results.values())
            if (not coil or each.coil == coil)
            and (not job or each.job == job)
            and (not recipe or recipe in (each.plan or "default", each.recipe.partition("@")[0]))
            and state in (ANY_STATE, each.state)
        ]
