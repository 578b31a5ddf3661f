"""A product's recipe: what counts as a defect on this steel, and what the gate does about it."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inspector.config.toml import parse, read_bytes, validate
from inspector.core.picture import LEARN_FRAMES, PictureCheck
from inspector.core.rules import PLAIN, BoundRecipe, CameraView, EngineClasses, score_thresholds
from inspector.core.strip.quality import ANY, CoilRule, CoilRules, CoilVerdict, Zone
from inspector.errors import ConfigError
from inspector.values import frame_step

MmPerPx = Annotated[float, Field(ge=1e-4, le=1000.0)]
"""From a microscope's scale to a satellite's: a value outside is a typing error."""


class ClassRule(BaseModel):
    """The rule for one class of defect."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    action: Literal["reject", "record"] = "reject"
    """`record` reports the defect and lets the frame pass."""
    threshold: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """A pixel is this defect where 1 − p(normal) ≥ threshold; None uses the engine's, chosen on validation."""
    min_area_mm2: Annotated[float, Field(ge=0.0)] | None = None
    """Smaller ones are not defects; None uses the engine's, chosen on validation."""
    min_length_mm: Annotated[float, Field(ge=0.0)] = 0.0
    """Shorter ones along the strip are not defects."""
    min_width_mm: Annotated[float, Field(ge=0.0)] = 0.0
    """Narrower ones across the strip are not defects."""


Grey = Annotated[float, Field(ge=0.0, le=255.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Ratio = Annotated[float, Field(ge=0.0, le=10.0)]


class PictureRules(BaseModel):
    """When a picture is fit to inspect; a limit of None is learned. `docs/picture.md` explains each."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    checks: bool = True
    """False inspects every picture, black ones too."""
    learn_frames: Annotated[int, Field(ge=0, le=100_000)] = LEARN_FRAMES
    """First frames of a run that limits are learned from; 0 learns none."""
    min_light_grey: Grey | None = None
    """Grey of the brightest eighth of the width."""
    max_strip_grey: Grey | None = None
    """Mean grey of the strip."""
    max_clipped_share: Share | None = None
    """Share of the strip that is saturated (grey 250 or more)."""
    min_evenness_along: Share | None = None
    """Third darkest of eight rows ÷ third brightest; 0 switches the check off."""
    min_evenness_across: Share | None = None
    """The same for eight blocks across; 0 switches the check off."""
    background_grey: tuple[Grey, Grey] | None = None
    """Grey range of places without strip, which evenness leaves out; None when there are none."""
    min_contrast: Ratio | None = None
    """Mean difference of pixels 8 px apart ÷ mean grey."""
    min_grain: Ratio | None = None
    max_grain: Ratio | None = None
    """Mean difference of neighbouring pixels ÷ mean grey."""
    min_sharpness: Share | None = None
    """Grain ÷ contrast."""
    min_detail: Share | None = None
    """Share of the contrast beyond one pixel that is there at 2 px; noise does not raise it."""
    max_equal_pictures: Annotated[int, Field(ge=1)] | None = None
    """Pictures in a row that may be equal in every pixel, including the first."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.background_grey is not None and self.background_grey[0] > self.background_grey[1]:
            raise ValueError("background_grey: the first grey must not be above the second")
        if self.min_grain is not None and self.max_grain is not None and self.min_grain > self.max_grain:
            raise ValueError("min_grain must not be above max_grain")
        return self

    def given(self) -> dict[str, float]:
        """The limits that the recipe sets, named as in `core.picture.Limits`."""
        given = self.model_dump(exclude={"checks", "learn_frames", "background_grey"}, exclude_none=True)
        if self.background_grey is not None:
            given["min_background_grey"], given["max_background_grey"] = self.background_grey
        return given

    def start(self) -> PictureCheck | None:
        """A new check for one camera; None when the recipe switches checks off."""
        return PictureCheck(self.given(), self.learn_frames) if self.checks else None


LIMITS: Final = ("max_per_coil", "max_per_m", "max_length_mm", "max_width_mm", "max_area_mm2", "max_in_cluster")


class CoilRuleSettings(BaseModel):
    """One limit of a coil."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Annotated[str, Field(alias="class", min_length=1)]
    """A class, or * for all."""
    verdict: Literal["hold", "downgrade"]
    zone: Zone = Zone.ANY
    min_severity: Annotated[int, Field(ge=1, le=9)] = 1
    max_per_coil: Annotated[int, Field(ge=0)] | None = None
    max_per_m: Annotated[int, Field(ge=0)] | None = None
    max_length_mm: Annotated[float, Field(ge=0.0)] | None = None
    max_width_mm: Annotated[float, Field(ge=0.0)] | None = None
    max_area_mm2: Annotated[float, Field(ge=0.0)] | None = None
    cluster_mm: Annotated[float, Field(gt=0.0, le=10_000.0)] | None = None
    """Side of the square in which `max_in_cluster` counts."""
    max_in_cluster: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if (self.cluster_mm is None) != (self.max_in_cluster is None):
            raise ValueError("cluster_mm and max_in_cluster belong together: give both or none")
        if not any(getattr(self, key) is not None for key in LIMITS):
            raise ValueError(f"a rule needs a limit: {', '.join(LIMITS[:-1])} or {LIMITS[-1]}")
        return self


class CoilSettings(BaseModel):
    """Rules for a coil of this product."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    edge_mm: Annotated[float, Field(ge=0.0)] = 50.0
    """Width of the zone `edge` on either side."""
    head_m: Annotated[float, Field(ge=0.0)] = 0.0
    tail_m: Annotated[float, Field(ge=0.0)] = 0.0
    """Lengths of the zones `head` and `tail`."""
    max_uninspected_m: Annotated[float, Field(ge=0.0)] | None = None
    """Most uninspected steel; more than this holds the coil. None allows any."""
    hold_roll_marks: bool = True
    """A roll mark holds the coil; otherwise it is only reported."""
    severity_mm2: dict[str, tuple[Annotated[float, Field(gt=0.0)], ...]] = {}
    """By class: areas from which a defect has severity 2, 3, …"""
    rules: tuple[CoilRuleSettings, ...] = ()

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for name, limits in self.severity_mm2.items():
            if list(limits) != sorted(set(limits)):
                raise ValueError(f"severity_mm2.{name}: areas must rise")
        return self

    def bind(self) -> CoilRules:
        """Return the rules for `core.strip.quality`."""
        rules = tuple(
            CoilRule(
                each.name, CoilVerdict(each.verdict), each.zone, each.min_severity, each.max_per_coil,
                each.max_per_m, each.max_length_mm, each.max_width_mm, each.max_area_mm2, each.cluster_mm,
                each.max_in_cluster,
            )
            for each in self.rules
        )  # fmt: skip
        uninspected_mm = None if self.max_uninspected_m is None else 1000 * self.max_uninspected_m
        return CoilRules(
            rules, dict(self.severity_mm2), self.edge_mm, 1000 * self.head_m, 1000 * self.tail_m, uninspected_mm
        )


class Recipe(BaseModel):
    """One product's rules, as written in recipe.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1)]
    mm_per_px_across: MmPerPx
    mm_per_px_along: MmPerPx
    frame_score: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Defects reject a frame only where the engine's frame score reaches this; None asks for none."""
    classes: Annotated[dict[str, ClassRule], Field(min_length=1)]
    picture: PictureRules = PictureRules()
    coil: CoilSettings = CoilSettings()

    def frame_rules(self) -> dict[str, Any]:
        """Return all that decides on a frame: all but name, picture check and rules for coils."""
        return self.model_dump(exclude={"name", "picture", "coil"})

    @model_validator(mode="after")
    def _known_classes(self) -> Self:
        for name in (*self.coil.severity_mm2, *(rule.name for rule in self.coil.rules if rule.name != ANY)):
            if name not in self.classes:
                raise ValueError(f"coil: no class {name}; there is {', '.join(self.classes)}, and * for all")
        return self


class LoadedRecipe:
    """A recipe and the file it came from."""

    def __init__(self, path: Path, recipe: Recipe, digest: str) -> None:
        self.path = path
        self.recipe = recipe
        self.identity = f"{recipe.name}@{digest[:12]}"

    def bind(self, engine: EngineClasses, seen: CameraView = PLAIN) -> BoundRecipe:
        """Bind the rules to an engine's classes and a camera; raises ConfigError when the first two do not fit.

        Every class of the engine needs a rule: a forgotten class would be an escape by oversight.
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
        if recipe.frame_score is not None and engine.frame_threshold is None:
            wrong.append(
                f"frame_score: the engine {engine.engine} does not score frames: remove the line, or take "
                "an engine that does (its manifest has frame_threshold)"
            )
        if wrong:
            raise ConfigError(f"{self.path}: {'; '.join(wrong)}")
        across, along = recipe.mm_per_px_across, recipe.mm_per_px_along
        mm2_per_px = across * along
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
            score_thresholds=score_thresholds(engine.names, thresholds),
            mm_per_px_across=seen.mm_per_px_across or across,
            mm_per_px_along=seen.mm_per_px_along or along,
            offset_across_mm=seen.offset_across_mm,
            mirrored=seen.mirrored,
            min_length_mm=(0.0, *(recipe.classes[name].min_length_mm for name in classes)),
            min_width_mm=(0.0, *(recipe.classes[name].min_width_mm for name in classes)),
            frame_step=None if recipe.frame_score is None else frame_step(recipe.frame_score),
        )


def load_recipe(path: Path) -> LoadedRecipe:
    """Read recipe.toml; raises ConfigError with file, key and what is allowed."""
    raw = read_bytes(path)
    return LoadedRecipe(path, validate(path, parse(path, raw), Recipe), hashlib.sha256(raw).hexdigest())
