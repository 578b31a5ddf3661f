"""The limits of fit pictures that a line uses: set by the recipe, or learned by ingest."""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from inspector.config.recipe import LoadedRecipe
from inspector.core.picture import Limits
from inspector.ingest.learned import LearnedLimits

_BACKGROUND: Final = {"min_background_grey", "max_background_grey"}
"""Limits that are never learned while a line runs."""

NAMES: Final = frozenset(Limits.__struct_fields__) - _BACKGROUND
"""Limits that a line may learn."""


def learned_limits(links: Path, cameras: Iterable[str], recipe: str) -> dict[str, dict[str, float] | None]:
    """Return each camera's limits, learned or set; None for a camera that has not learned any.

    `links` is the folder of the running line, `recipe` the recipe's name and content hash.
    """
    if not os.access(links, os.R_OK | os.X_OK):
        return dict.fromkeys(cameras)
    found = {camera: LearnedLimits(links, camera, recipe).load() for camera in cameras}
    return {camera: None if check is None else _in_force(check.limits) for camera, check in found.items()}


def limits_text(limits: dict[str, float] | None, recipe: LoadedRecipe | None) -> str:
    """Return a camera's limits in one line; without its recipe, learned and set ones are not told apart."""
    if recipe is None:
        return f"in force: {_listed(limits)}" if limits is not None else "not learned yet"
    rules = recipe.recipe.picture
    if not rules.checks:
        return "not checked: the recipe sets checks = false"
    given = rules.given()
    learned = {name: value for name, value in (limits or {}).items() if name not in given}
    parts = []
    if learned:
        parts.append(f"learned: {_listed(learned)}")
    elif limits is None and rules.learn_frames and NAMES - given.keys():
        parts.append(f"not learned yet: a live line learns from its first {rules.learn_frames} sound frames")
    if given:
        parts.append(f"set by the recipe: {_listed(given)}")
    return "; ".join(parts) or "none learned or set"


def _in_force(limits: Limits) -> dict[str, float]:
    """Leave out the limits that no picture exceeds."""
    values = msgspec.structs.asdict(limits)
    if values["min_background_grey"] > values["max_background_grey"]:
        del values["min_background_grey"], values["max_background_grey"]
    never = {name for name, value in values.items() if math.isinf(value) or (name[:4] == "min_" and not value)}
    return {name: value for name, value in values.items() if name not in never}


def _listed(limits: dict[str, float]) -> str:
    texts = {name: f"{name} {value:.3g}" for name, value in limits.items()}
    low, high = (limits.get(f"{least}_background_grey") for least in ("min", "max"))
    if low is not None and high is not None:
        del texts["max_background_grey"]
        texts["min_background_grey"] = f"background_grey [{low:.3g}, {high:.3g}]"
    return ", ".join(texts.values())
