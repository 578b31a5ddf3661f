"""The plans of a line: its recipe, which is the default, and others for certain grades and customers."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from inspector.config.recipe import LoadedRecipe, load_recipe
from inspector.core.rules import PLAIN, BoundRecipe, CameraView, EngineClasses
from inspector.core.strip.choice import PlanChoice
from inspector.errors import ConfigError

Pattern = Annotated[str, Field(min_length=1)]

PLAN_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"


class PlanSettings(BaseModel):
    """One plan beside the default: a recipe file, and the coils that it is for."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    recipe: Path
    grades: tuple[Pattern, ...] = ()
    """Patterns such as `S355*`; without grades and customers the plan is only chosen by name."""
    customers: tuple[Pattern, ...] = ()


class PlanSet:
    """All plans of a line, loaded and checked. Every stage loads the same ones at its start."""

    def __init__(
        self, default: LoadedRecipe, named: Mapping[str, LoadedRecipe], choices: Sequence[PlanChoice]
    ) -> None:
        self.default = default
        self.choices = tuple(choices)
        self._recipes = {each.identity: each for each in (default, *named.values())}
        self._named = dict(named)

    @property
    def identity(self) -> str:
        """Name and hash of all plans; with only the default, those of the default."""
        if not self._named:
            return self.default.identity
        named = [f"{name} {recipe.identity}" for name, recipe in self._named.items()]
        every = "\n".join([self.default.identity, *named])
        return f"{self.default.recipe.name}+{len(self._named)}@{hashlib.sha256(every.encode()).hexdigest()[:12]}"

    @property
    def identities(self) -> frozenset[str]:
        """Name and hash of each plan."""
        return frozenset(self._recipes)

    def recipe(self, identity: str, name: str = "") -> LoadedRecipe:
        """Return the plan of this identity; if it is no longer loaded, the plan of that name, else the default."""
        return self._recipes.get(identity) or self._named.get(name, self.default)

    def bind(self, engine: EngineClasses, seen: CameraView = PLAIN) -> dict[str, BoundRecipe]:
        """Identity → plan for this engine and camera, the default first. Raises ConfigError."""
        return {identity: recipe.bind(engine, seen) for identity, recipe in self._recipes.items()}

    def lowest_step(self, engine: EngineClasses) -> int:
        """The lowest threshold of all plans: a frame that does not reach it is clean by every plan."""
        return min(bound.lowest_step for bound in self.bind(engine).values())

    def for_sinks(self, engine: EngineClasses) -> BoundRecipe:
        """Return the default recipe, which also rejects what any plan rejects, so that each reject has a class."""
        bound = list(self.bind(engine).values())
        rejects = tuple(any(each) for each in zip(*(plan.rejects for plan in bound), strict=True))
        return replace(bound[0], rejects=rejects)


def load_plans(recipe: Path, plans: Mapping[str, PlanSettings]) -> PlanSet:
    """Load the line's recipe and its plans, which must fit together. Raises ConfigError."""
    default = load_recipe(recipe)
    named: dict[str, LoadedRecipe] = {}
    choices: list[PlanChoice] = []
    scale = (default.recipe.mm_per_px_across, default.recipe.mm_per_px_along)
    for name, settings in plans.items():
        loaded = load_recipe(settings.recipe)
        if (loaded.recipe.mm_per_px_across, loaded.recipe.mm_per_px_along) != scale:
            raise ConfigError(
                f"{loaded.path}: mm_per_px_across, mm_per_px_along must be {scale[0]:g} and {scale[1]:g}, like "
                f"those of {default.path}: the cameras do not move with the plan"
            )
        if loaded.recipe.picture != default.recipe.picture:
            raise ConfigError(f"{loaded.path}: picture: must be as in {default.path}: copy it")
        named[name] = loaded
        choices.append(PlanChoice(name, loaded.identity, settings.grades, settings.customers))
    return PlanSet(default, named, choices)
