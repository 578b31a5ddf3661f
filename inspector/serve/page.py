"""Everything the page's routes share."""

from dataclasses import dataclass
from typing import Annotated, Any, Final
from unicodedata import category

from fastapi import Request
from pydantic import AfterValidator, Field

from inspector import __version__
from inspector.config.line import LoadedConfig
from inspector.config.strip import StripSettings
from inspector.core.rules import BoundRecipe, EngineClasses
from inspector.engine.manifest import Manifest
from inspector.render.colours import kind_colour, kind_dashes, kind_shape
from inspector.serve.accounts import Accounts, Attempts
from inspector.serve.follower import LineFollower
from inspector.serve.hub import Hub
from inspector.serve.results import Results
from inspector.serve.store import Store
from inspector.values import MAX_SCORE

LARGEST: Final = 2**63 - 1
"""Largest integer that the databases hold."""


def _plain(text: str) -> str:
    """Refuse text that a database cannot hold, or that would change how a line reads."""
    if any(not (each.isprintable() or each == "\n" or category(each) == "Zs") for each in text):
        raise ValueError("must be printable text")
    return text


Text = Annotated[str, Field(max_length=500), AfterValidator(_plain)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
Whole = Annotated[int, Field(ge=0, le=LARGEST)]
Signed = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]


@dataclass(frozen=True)
class Page:
    """The parts of the page."""

    config: LoadedConfig
    manifest: Manifest
    classes: EngineClasses
    recipe: BoundRecipe
    store: Store
    accounts: Accounts
    attempts: Attempts
    follower: LineFollower
    hub: Hub
    results: Results

    def line(self) -> dict[str, Any]:
        """Return what does not change while the page runs."""
        recipe, manifest = self.recipe, self.manifest
        return {
            "name": self.config.line.name,
            "version": __version__,
            "cameras": list(self.config.line.cameras),
            "deadline_ms": self.config.line.deadline_ms,
            "config": self.config.identity,
            "recipe": recipe.identity,
            "frame_px": (manifest.width, manifest.height),
            "mm_per_px": (recipe.mm_per_px_across, recipe.mm_per_px_along),
            "records": self.config.line.records.enabled,
            "view_frames_per_second": self.config.line.view.frames_per_second,
            "gate": self.config.line.gate is not None,
            "places": self._places(),
            "classes": [
                {
                    "kind": kind,
                    "name": name,
                    "colour": kind_colour(kind),
                    "shape": kind_shape(kind),
                    "dashes": kind_dashes(kind),
                    "rejects": recipe.rejects[kind],
                    "threshold": round(float(recipe.score_thresholds[kind]) / MAX_SCORE, 3),
                    "min_area_mm2": recipe.min_area_mm2[kind],
                }
                for kind, name in enumerate(recipe.names)
                if kind
            ],
        }

    def _places(self) -> dict[str, dict[str, Any]]:
        """Return where each camera looks at the strip."""
        strip = self.config.line.strip or StripSettings()
        return {
            name: {
                "from_mm": place.offset_across_mm,
                "width_mm": self.manifest.width * (place.mm_per_px_across or self.recipe.mm_per_px_across),
                "mirrored": place.mirrored,
                "side": place.side,
            }
            for name in self.config.line.cameras
            for place in (strip.camera(name),)
        }


def of(request: Request) -> Page:
    """Return the page that serves a request."""
    page: Page = request.app.state.page
    return page
