"""Decides reject or accept from a frame's defects and the recipe's rules, with readable reasons."""

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from inspector.core.borders import PART_SHARE
from inspector.core.continuity import Part
from inspector.core.defects import MAX_COMPONENTS, ROUNDING
from inspector.core.rules import BoundRecipe
from inspector.numbers import thousands
from inspector.values import Decision, Defect, StripPlace, Verdict

DEFECT: Final = "defect"
TOO_MANY: Final = "too_many_defects"
"""Codes of a reject's reasons."""

NOT_CROWDED: Final[Mapping[int, int]] = MappingProxyType({})


class Judgement(NamedTuple):
    """The decision on one frame; `codes` has one entry per reason."""

    decision: Decision
    reasons: tuple[str, ...]
    codes: tuple[str, ...]
    defects: tuple[Defect, ...]


def judge(
    parts: list[Part],
    position_mm: float,
    recipe: BoundRecipe,
    crowded: Mapping[int, int] = NOT_CROWDED,
    edges_mm: tuple[float, float] | None = None,
    frame_score: int | None = None,
) -> Judgement:
    """Judge one inspected frame.

    Where the recipe has a frame threshold, defects of a frame whose score is below it are only recorded.

    A defect counts once its area over all frames so far reaches the minimum of its class. So a scratch that
    crosses a border is judged as a whole, from the frame in which it is large enough. A defect whose rest another
    camera shows counts from PART_SHARE of the minimum, in the frames after that border, too. `crowded` is
    `Components.crowded`: too many regions of a rejected class reject the frame by themselves. `edges_mm` are the
    strip's edges in this frame.
    """
    may_reject = recipe.frame_step is None or frame_score is None or frame_score >= recipe.frame_step
    mm2_per_px = recipe.mm_per_px_across * recipe.mm_per_px_along
    defects: list[Defect] = []
    reasons: list[str] = []
    codes: list[str] = []
    for kind, count in crowded.items():
        if recipe.rejects[kind] and may_reject:
            reasons.append(
                f"over {MAX_COMPONENTS} defects: {thousands(count)} {recipe.names[kind]}, the largest are listed"
            )
            codes.append(TOO_MANY)
    for part in parts:
        component = part.component
        total_mm2 = part.area_so_far_px * mm2_per_px
        least_mm2 = min(recipe.min_area_mm2[kind] for kind in part.kinds) * (PART_SHARE if part.cut else 1.0)
        if total_mm2 < least_mm2 * (1 - ROUNDING) or _too_small(part, recipe):
            continue
        defect = Defect(
            id=part.defect_id,
            kind=component.kind,
            name=recipe.names[component.kind],
            box=component.box,
            area_px=component.area_px,
            area_mm2=round(component.area_px * mm2_per_px, 2),
            across_mm=round(recipe.across_mm(component.centre_px[0] + 0.5), 2),
            along_mm=round(position_mm + (component.centre_px[1] + 0.5) * recipe.mm_per_px_along, 2),
            score=round(component.score, 4),
            edge_mm=msgspec.UNSET if edges_mm is None else _to_edge_mm(component.box, recipe, edges_mm),
        )
        defects.append(defect)
        if recipe.rejects[component.kind] and may_reject:
            reasons.append(_reason(defect, part, total_mm2, least_mm2))
            codes.append(DEFECT)
    decision = Decision.REJECT if reasons else Decision.ACCEPT
    return Judgement(decision, tuple(reasons), tuple(codes), tuple(defects))


def edges_of(place: StripPlace | None) -> tuple[float, float] | None:
    """The strip's edges in a frame, mm across, infinite where it reaches out of view; None without any."""
    if place is None:
        return None
    left_mm, right_mm = place.left_mm, place.right_mm
    if isinstance(left_mm, msgspec.UnsetType) and isinstance(right_mm, msgspec.UnsetType):
        return None
    left = -math.inf if isinstance(left_mm, msgspec.UnsetType) else left_mm
    return left, math.inf if isinstance(right_mm, msgspec.UnsetType) else right_mm


def _to_edge_mm(box: tuple[int, int, int, int], recipe: BoundRecipe, edges_mm: tuple[float, float]) -> float:
    """From a defect's border to the nearer edge of the strip."""
    near, far = sorted((recipe.across_mm(box[0]), recipe.across_mm(box[0] + box[2])))
    return round(max(0.0, min(near - edges_mm[0], edges_mm[1] - far)), 1)


def _too_small(part: Part, recipe: BoundRecipe) -> bool:
    """Whether a defect is shorter or narrower than its class's rule asks.

    One that continues in another frame is long enough. Of one whose rest another camera may show, neither is
    known.
    """
    if part.cut:
        return False
    kind, height_px = part.component.kind, part.component.box[3]
    if (
        recipe.min_length_mm
        and not part.continues
        and not part.component.bottom.size
        and height_px * recipe.mm_per_px_along < recipe.min_length_mm[kind]
    ):
        return True
    width_mm = part.width_so_far_px * recipe.mm_per_px_across
    return bool(recipe.min_width_mm) and width_mm < recipe.min_width_mm[kind]


def shorten(judgement: Judgement, most: int) -> Judgement:
    """Keep only the largest `most` defects and as many reasons; a last reason counts the omitted defects."""
    if len(judgement.defects) <= most:
        return judgement
    largest = sorted(judgement.defects, key=lambda defect: -defect.area_px)[:most]
    kept = {id(defect) for defect in largest}
    reasons, codes = judgement.reasons[:most], judgement.codes[:most]
    if reasons:
        reasons += (f"and {len(judgement.defects) - most} smaller defects: too many a second to list them all",)
        codes += (TOO_MANY,)
    defects = tuple(defect for defect in judgement.defects if id(defect) in kept)
    return Judgement(judgement.decision, reasons, codes, defects)


def to_blame(verdict: Verdict, rejected: Collection[str]) -> Defect | None:
    """The largest defect of a rejected class; None when no defect caused the verdict.

    Compares class names, because engines may number the same classes differently.
    """
    if verdict.decision is not Decision.REJECT:
        return None
    blamed = (defect for defect in verdict.defects if defect.name in rejected)
    return max(blamed, key=lambda defect: defect.area_px, default=None)


def names(reason: str, defect: Defect) -> bool:
    """Whether a reject's reason is about this defect."""
    return reason.startswith(f"{defect.name} ") and f" at {_place(defect)}: " in reason


def _reason(defect: Defect, part: Part, total_mm2: float, min_area_mm2: float) -> str:
    earlier = f" ({thousands(total_mm2)} mm² with the frames before)" if part.continues else ""
    rest = ", enough for a part whose rest another camera may show" if part.cut else ""
    return (
        f"{defect.name} {thousands(defect.area_mm2)} mm²{earlier} at {_place(defect)}: "
        f"over {thousands(min_area_mm2)} mm²{rest}"
    )


def _place(defect: Defect) -> str:
    return f"{defect.along_mm / 1000:.3f} m, {defect.across_mm:.0f} mm across"
