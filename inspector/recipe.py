"""A product's recipe: what counts as a defect on this steel, and what the gate does about it."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from inspector.errors import ConfigError
from inspector.rules import BoundRecipe, EngineClasses, score_thresholds
from inspector.settings_file import parse, read_bytes, validate

MmPerPx = Annotated[float, Field(ge=1e-4, le=1000.0)]
"""From a microscope's to a satellite's: what lies beyond is a slip of the pen."""


class ClassRule(BaseModel):
    """What is done about one class of defect."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    action: Literal["reject", "record"] = "reject"
    """`record` reports the defect and lets the frame pass."""
    threshold: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """A pixel is this defect where 1 − p(normal) ≥ threshold; None takes the engine's, chosen on validation."""
    min_area_mm2: Annotated[float, Field(ge=0.0)] | None = None
    """Smaller ones are not defects; None takes the engine's, chosen on validation."""


class Recipe(BaseModel):
    """One product's rules, as written in recipe.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1)]
    mm_per_px_across: MmPerPx
    mm_per_px_along: MmPerPx
    classes: Annotated[dict[str, ClassRule], Field(min_length=1)]


class LoadedRecipe:
    """A recipe and where it came from."""

    def __init__(self, path: Path, recipe: Recipe, digest: str) -> None:
        self.path = path
        self.recipe = recipe
        self.identity = f"{recipe.name}@{digest[:12]}"

    def bind(self, engine: EngineClasses) -> BoundRecipe:
        """Lay the rules over an engine's classes; raises ConfigError where the two do not fit.

        Every class of the engine needs a rule: one that nobody decided about would be an escape by oversight.
        """
        recipe, classes = self.recipe, engine.names[1:]
        wrong = [
            f"classes.{name}: the engine {engine.engine} has no such class; it has {', '.join(classes)}"
            for name in recipe.classes
            if name not in classes
        ]
        wrong += [
            f'classes: no rule for the engine\'s class {name}: add [classes.{name}] with action = "reject" or '
            '"record"'
            for name in classes
            if name not in recipe.classes
        ]
        if wrong:
            raise ConfigError(f"{self.path}: {'; '.join(wrong)}")
        mm2_per_px = recipe.mm_per_px_across * recipe.mm_per_px_along
        thresholds, areas = {}, [0.0]
        for name, threshold, area_px in zip(classes, engine.thresholds[1:], engine.min_area_px[1:], strict=True):
            rule = recipe.classes[name]
            thresholds[name] = threshold if rule.threshold is None else rule.threshold
            areas.append(area_px * mm2_per_px if rule.min_area_mm2 is None else rule.min_area_mm2)
        return BoundRecipe(
            identity=self.identity,
            names=engine.names,
            rejects=(False, *(recipe.classes[name].action == "reject" for name in classes)),
            min_area_mm2=tuple(areas),
            steps=score_thresholds(engine.names, thresholds),
            mm_per_px_across=recipe.mm_per_px_across,
            mm_per_px_along=recipe.mm_per_px_along,
        )


def load_recipe(path: Path) -> LoadedRecipe:
    """Read recipe.toml; raises ConfigError naming file, key and what is allowed."""
    raw = read_bytes(path)
    return LoadedRecipe(path, validate(path, parse(path, raw), Recipe), hashlib.sha256(raw).hexdigest())
