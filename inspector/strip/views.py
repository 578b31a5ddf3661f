"""The part of the strip that each camera sees, from the line's config."""

from pathlib import Path

from inspector.config.camera_calibration import load_calibration
from inspector.config.line import LoadedConfig
from inspector.config.plans import PlanSet
from inspector.config.strip import StripSettings
from inspector.core.strip.surface import View, gaps_across
from inspector.engine.manifest import read_manifest


def camera_views(config: LoadedConfig, plans: PlanSet) -> dict[str, View]:
    """Return each camera's view."""
    line, recipe = config.line, plans.default.recipe
    manifest = read_manifest(line.engine)
    views = {}
    for name in line.cameras:
        place = (line.strip or StripSettings()).camera(name)
        along = place.mm_per_px_along or recipe.mm_per_px_along
        views[name] = View(
            place.mm_per_px_across or recipe.mm_per_px_across,
            along,
            manifest.height * along,
            manifest.width,
            place.offset_across_mm,
            place.mirrored,
            place.side,
        )
    return views


def look_at_cameras(config: LoadedConfig) -> str:
    """Describe what each camera sees, and what none of them sees, for `inspector check`.

    Raises ConfigError for a calibration that cannot be used. A gap is not an error: the line inspects the rest.
    """
    strip = config.line.strip or StripSettings()
    told = []
    views = camera_views(config, config.plans())
    for name, view in views.items():
        left_mm, right_mm = view.across(0, view.width_px)
        place = strip.camera(name)
        calibrated = "" if place.calibration is None else f", corrects {_corrections(place.calibration, name)}"
        edges = "" if place.edges is None else ", finds edges"
        told.append(f"{name} ({view.side}) {left_mm:g} to {right_mm:g} mm{calibrated}{edges}")
    told += [
        f"NO CAMERA SEES the {side} from {from_mm:g} to {to_mm:g} mm across: see offset_across_mm in strip.cameras"
        for side, from_mm, to_mm in gaps_across(views)
    ]
    return "; ".join(told)


def _corrections(file: Path, camera: str) -> str:
    found = load_calibration(file, camera)
    parts = [name for name in ("gain", "lens") if getattr(found, name) is not None]
    return " and ".join(parts) or "nothing"
