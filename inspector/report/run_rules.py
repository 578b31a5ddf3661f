"""The rules of a run: thresholds, areas, actions and scale, if its config still leads to them."""

from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path

from inspector.config.line import LoadedConfig, load_config
from inspector.config.recipe import LoadedRecipe, Recipe, load_recipe
from inspector.engine.manifest import Manifest, read_manifest
from inspector.errors import InspectorError
from inspector.results import CONFIG_NAME


@dataclass(frozen=True, slots=True)
class KindRule:
    """The recipe's rule for one kind; None is the engine's own value when the engine cannot be read."""

    kind: int
    """0 if the engine cannot be read."""
    name: str
    rejects: bool
    threshold: float | None
    min_area_mm2: float | None


@dataclass(frozen=True, slots=True)
class RunRules:
    """The line and its rules; None is what could not be read."""

    line: str
    config: str | None
    """Identity; None for line.json, which contains a run's config but not its identity."""
    coil: str | None = None
    deadline_ms: float | None = None
    recipe: str | None = None
    """Identity."""
    kinds: tuple[KindRule, ...] = ()
    mm_per_px: tuple[float, float] | None = None
    """Across and along."""
    frame_mm: tuple[float, float] | None = None
    """Length and width of a frame on the strip."""


def read_rules(
    folder: Path, config: LoadedConfig | None, recipes: Container[str]
) -> tuple[RunRules | None, str | None]:
    """Return a run's rules from its line.json or from `config`, and a note for the reader if they are not shown.

    `recipes` are the recipe identities in the verdicts; rules of another recipe are not shown.
    """
    resolved = folder / CONFIG_NAME
    if config is None and not resolved.exists():
        return None, None
    try:
        loaded = config or load_config(resolved)
    except InspectorError as error:
        return None, f"Thresholds and actions are not shown: {error}."
    line = loaded.line
    rules = RunRules(line.name, config.identity if config else None, line.coil, line.deadline_ms)
    try:
        recipe = _judging(loaded, recipes)
    except InspectorError as error:
        return rules, f"Thresholds and actions are not shown: {error}."
    if recipe.identity not in recipes:
        return rules, (
            f"Thresholds and actions are not shown: {line.recipe.name} is {recipe.identity} now, another one than "
            "gave these verdicts."
        )
    try:
        manifest = read_manifest(line.engine)
    except InspectorError:
        manifest = None  # the report then says "the engine's" for its values
    rules = replace(
        rules,
        recipe=recipe.identity,
        kinds=_kinds(recipe.recipe, manifest),
        mm_per_px=(recipe.recipe.mm_per_px_across, recipe.recipe.mm_per_px_along),
    )
    if manifest is None or line.frames.any_size:
        return rules, None
    across, along = recipe.recipe.mm_per_px_across, recipe.recipe.mm_per_px_along
    return replace(rules, frame_mm=(manifest.height * along, manifest.width * across)), None


def _judging(config: LoadedConfig, recipes: Container[str]) -> LoadedRecipe:
    """Return the config's plan that gave the verdicts; the default if none did. Raises ConfigError."""
    if not config.line.plans:
        return load_recipe(config.line.recipe)
    plans = config.plans()
    known = [identity for identity in sorted(plans.identities) if identity in recipes]
    return plans.recipe(known[0]) if len(known) == 1 else plans.default


def _kinds(recipe: Recipe, manifest: Manifest | None) -> tuple[KindRule, ...]:
    mm2_per_px = recipe.mm_per_px_across * recipe.mm_per_px_along
    names = manifest.classes[1:] if manifest else tuple(recipe.classes)
    kinds = []
    for kind, name in enumerate(names, 1):
        rule = recipe.classes.get(name)
        if rule is None:
            continue
        threshold, min_area_mm2 = rule.threshold, rule.min_area_mm2
        if manifest is not None:
            threshold = manifest.thresholds[name] if threshold is None else threshold
            area_px = manifest.min_area_px.get(name, 0)
            min_area_mm2 = area_px * mm2_per_px if min_area_mm2 is None else min_area_mm2
        kinds.append(KindRule(kind if manifest else 0, name, rule.action == "reject", threshold, min_area_mm2))
    return tuple(kinds)
