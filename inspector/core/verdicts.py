"""Makes the verdict of a settled frame."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import cv2
import msgspec
import numpy as np

from inspector.core.borders import ALONE, Borders, Span, beside
from inspector.core.continuity import Part, StripDefects
from inspector.core.defects import SEAM_SHARE, Candidates, between, find_candidates, find_components
from inspector.core.judge import NOT_CROWDED, Judgement, edges_of, judge, shorten
from inspector.core.ledger import Settled
from inspector.core.rules import BoundRecipe
from inspector.values import (
    Announcement,
    Code,
    Decision,
    Inspection,
    Pixels,
    Segmentation,
    StripPlace,
    Uninspected,
    Verdict,
    frame_score_of,
)

SettledFrame = Settled[Announcement, Inspection]

NO_RESULT: Final = Uninspected(Code.OVERDUE, "no result")

NO_FRAME_SCORE: Final = Uninspected(Code.ENGINE_FAILED, "the recipe asks for a frame score, the result has none")

IMPOSSIBLE: Final = Uninspected(
    Code.RESULT_REFUSED, "result refused: its times contradict the frame's, or each other"
)

DEFECTS_PER_SECOND: Final = 1_000.0
"""Most defects a second that one camera's verdicts list: about 200 kB/s of log and as many rows in a database."""

LEAST_LISTED: Final = 4
"""Defects, the largest ones, that a verdict may always list, even on dirty steel."""


class Outcome(msgspec.Struct, frozen=True):
    """A verdict, and the picture that it was made from, if any."""

    verdict: Verdict
    pixels: Pixels | None = None
    """uint8 [H, W]; None for an uninspected frame, and for a clean one unless a viewer wants it."""
    candidates: Candidates | None = None
    """Set together with `pixels`."""
    total_ms: float | None = None
    """Capture to verdict; None when the announcement was lost."""
    segmentation: Segmentation | None = None
    """Set together with `pixels`."""
    zero: int | None = None
    """`Announcement.zero`."""

    def peaks(self) -> list[int]:
        """The highest score of each kind, 1 to the last that the map has, whatever its threshold."""
        if self.segmentation is None:
            return []
        kind, score = self.segmentation.kind, self.segmentation.score
        return [
            int(cv2.minMaxLoc(score, mask=np.asarray(kind == each, np.uint8))[1])
            for each in range(1, int(kind.max()) + 1)
        ]

    def mask(self) -> Pixels | None:
        """The mask of K+1 classes at the recipe's thresholds, uint8 [H, W], built at each call."""
        return None if self.candidates is None else self.candidates.in_frame(self.candidates.mask)


class Quota:
    """Limits the defects that a camera's verdicts list: dirty steel must not fill the disk and the database."""

    def __init__(self, defects_per_second: float | None) -> None:
        """None means no limit, as in a replay, whose verdicts must not depend on a clock."""
        self._rate = defects_per_second
        self._left = 0.0 if defects_per_second is None else defects_per_second
        self._ns = 0

    def take(self, wanted: int, now_ns: int) -> int:
        """How many of `wanted` defects one frame may list; never limited below LEAST_LISTED."""
        if self._rate is None:
            return wanted
        self._left = min(self._rate, self._left + self._rate * (now_ns - self._ns) / 1e9)
        self._ns = now_ns
        granted = min(wanted, max(LEAST_LISTED, int(self._left)))
        self._left = max(0.0, self._left - granted)
        return granted


class VerdictMaker:
    """Makes one camera's verdicts, in the order of its frames."""

    def __init__(
        self,
        camera: str,
        recipes: Mapping[str, Mapping[str, BoundRecipe]],
        engine: str,
        quota: "Quota | None" = None,
        others: Callable[[], Sequence[Span]] = tuple,
        engine_px: tuple[int, int] = (0, 0),
    ) -> None:
        """`recipes` are the plans by engine and name, the default first; `engine` is the current one. `quota`
        limits the defects that verdicts list; without it they list all. `others` returns what the other cameras of
        the same side see across the strip, `engine_px` the height and width of the engine's frames."""
        self._others, self._engine_px = others, engine_px
        self._quota = quota or Quota(None)
        self._camera = camera
        self._recipes = recipes
        self._engine = engine
        self._strip = StripDefects(camera)
        self._last: Announcement | None = None

    def make(self, settled: SettledFrame, now_ns: int) -> Outcome:
        """The verdict of one frame; `now_ns` is the monotonic clock."""
        announcement = settled.announcement or self._presumed(settled, now_ns)
        before, self._last = self._last, announcement
        result = settled.result
        fault = settled.fault if result is None else result.fault or _contradiction(announcement, result, now_ns)
        if result is not None and fault is None and result.frame_score is None:
            # An engine without frame scores binds no recipe that asks for them, so this one's is missing.
            plans = self._recipes[result.engine]
            fault = NO_FRAME_SCORE if any(plan.frame_step is not None for plan in plans.values()) else None
        if result is None or fault is not None:
            verdict = self._uninspected(announcement, fault or NO_RESULT)
            return Outcome(verdict, total_ms=self._total_ms(settled, now_ns), zero=announcement.zero)
        self._engine = result.engine
        recipe = self._plan(announcement)
        borders = self._borders(before, announcement, result, recipe)
        candidates, judgement = _judge(announcement, result, recipe, self._strip, borders)
        begins = self._recipes[self._engine].get(announcement.next_recipe)
        if begins is not None and begins is not recipe and judgement.decision is Decision.ACCEPT:
            also, its = _judge(announcement, result, begins, StripDefects(self._camera), borders)
            if its.decision is Decision.REJECT:
                candidates, judgement, recipe = also, its, begins
        if judgement.defects:
            judgement = shorten(judgement, self._quota.take(len(judgement.defects), now_ns))
        stage_ms = {
            "transfer": _ms(announcement.captured_monotonic_ns, result.received_ns),
            "batch": _ms(result.received_ns, result.submitted_ns),
            "engine": _ms(result.submitted_ns, result.answered_ns),
            "decide": _ms(result.answered_ns, now_ns),
            "total": _ms(announcement.captured_monotonic_ns, now_ns),
        }
        verdict = Verdict(
            camera=self._camera,
            frame_id=settled.frame_id,
            captured_ns=announcement.captured_ns,
            position_mm=announcement.position_mm,
            coil=announcement.coil,
            decision=judgement.decision,
            reasons=judgement.reasons,
            defects=judgement.defects,
            recipe=recipe.identity,
            engine=result.engine,
            stage_ms=stage_ms,
            file=announcement.file,
            ingest_epoch=announcement.ingest_epoch,
            codes=judgement.codes,
            frame_score=_frame_score(result),
            strip=_strip(announcement),
            size_px=self._size_px(announcement),
        )
        segmentation = None if candidates is None else result.segmentation
        total_ms = self._total_ms(settled, now_ns)
        return Outcome(verdict, result.pixels, candidates, total_ms, segmentation, announcement.zero)

    def _borders(
        self, before: Announcement | None, now: Announcement, result: Inspection, recipe: BoundRecipe
    ) -> Borders:
        """The borders of a frame; its defects do not continue those of a frame that does not lie before it."""
        beside_it = ALONE
        if result.pixels is not None and (others := self._others()):
            first_mm, last_mm = recipe.across_mm(0), recipe.across_mm(result.pixels.shape[1])
            beside_it = beside(first_mm, last_mm, recipe.mm_per_px_across, others)
        place = now.strip
        if place is None or before is None or not (place.overlap_mm or place.gap_mm):
            return beside_it
        end_mm = before.position_mm + before.height * recipe.mm_per_px_along
        seen_px = round((end_mm - now.position_mm) / recipe.mm_per_px_along)
        if -SEAM_SHARE * now.height <= seen_px < 0:
            seen_px = 0  # positions are not exact: the frames adjoin
        if place.gap_mm or before.position_mm >= now.position_mm or not 0 <= seen_px < now.height:
            self._strip.break_off()
            return beside_it
        return beside_it._replace(seen_rows=seen_px)

    def _plan(self, announcement: Announcement) -> BoundRecipe:
        """The plan that the announcement names, for the current engine; else the default."""
        plans = self._recipes[self._engine]
        return plans.get(announcement.recipe) or next(iter(plans.values()))

    def _uninspected(self, announcement: Announcement, why: Uninspected) -> Verdict:
        return Verdict(
            camera=self._camera,
            frame_id=announcement.frame_id,
            captured_ns=announcement.captured_ns,
            position_mm=announcement.position_mm,
            coil=announcement.coil,
            decision=Decision.UNINSPECTED,
            reasons=(why.text,),
            defects=(),
            recipe=self._plan(announcement).identity,
            engine=self._engine,
            stage_ms={},
            file=announcement.file,
            ingest_epoch=announcement.ingest_epoch,
            codes=(why.code,),
            strip=_strip(announcement),
            size_px=self._size_px(announcement),
        )

    def _size_px(self, announcement: Announcement) -> tuple[int, int] | msgspec.UnsetType:
        size = announcement.height, announcement.width
        return msgspec.UNSET if not announcement.width or size == self._engine_px else size

    def _total_ms(self, settled: SettledFrame, now_ns: int) -> float | None:
        return None if settled.announcement is None else _ms(settled.announcement.captured_monotonic_ns, now_ns)

    def _presumed(self, settled: SettledFrame, now_ns: int) -> Announcement:
        """Reconstruct a lost announcement from the frames before and after it."""
        frame_id, last, later = settled.frame_id, self._last, settled.shown_by
        known = last or later
        if known is None:
            raise ValueError(f"frame {frame_id} of camera {self._camera}: nothing is known of it")
        pitch_mm = known.height * self._plan(known).mm_per_px_along
        captured_ns = known.captured_ns
        if last is not None and later is not None and later.frame_id > last.frame_id:
            share = (frame_id - last.frame_id) / (later.frame_id - last.frame_id)
            captured_ns += round(share * (later.captured_ns - last.captured_ns))
        return Announcement(
            self._camera,
            known.ingest_epoch,
            frame_id,
            captured_ns,
            now_ns,
            known.position_mm + (frame_id - known.frame_id) * pitch_mm,
            known.height,
            known.coil,
            recipe=known.recipe,
            width=known.width,
        )


def _judge(
    announcement: Announcement, result: Inspection, recipe: BoundRecipe, strip: StripDefects, borders: Borders
) -> tuple[Candidates | None, Judgement]:
    """Judge one result by one plan; `strip` joins its defects with those of the frames before."""
    place = announcement.strip
    candidates = None
    parts: list[Part] = []
    crowded: Mapping[int, int] = NOT_CROWDED
    if result.segmentation is not None and result.pixels is not None:
        height, width = result.pixels.shape
        candidates = find_candidates(result.segmentation, height, width, recipe.score_thresholds)
        if place is not None:
            candidates = _on_the_strip(candidates, place, recipe)
        components = find_components(candidates, recipe.min_area_px, recipe.rejects, borders)
        crowded = components.crowded
        parts = strip.follow(announcement.frame_id, components.found, recipe.rejects)
    else:
        strip.follow(announcement.frame_id, [])
    position_mm, edges_mm = announcement.position_mm, edges_of(place)
    return candidates, judge(parts, position_mm, recipe, crowded, edges_mm, result.frame_score)


def _contradiction(announcement: Announcement, result: Inspection, now_ns: int) -> Uninspected | None:
    """Why a result cannot belong to this frame; None when it can."""
    in_order = (
        announcement.captured_monotonic_ns
        <= result.received_ns
        <= result.submitted_ns
        <= result.answered_ns
        <= now_ns
    )
    return None if in_order else IMPOSSIBLE


def _on_the_strip(candidates: Candidates, place: StripPlace, recipe: BoundRecipe) -> Candidates:
    """Without what lies beside the strip, if its edges are known."""
    edges = edges_of(place)
    if edges is None:
        return candidates
    return between(candidates, *recipe.columns_px(*edges))


def _strip(announcement: Announcement) -> StripPlace | msgspec.UnsetType:
    return msgspec.UNSET if announcement.strip is None else announcement.strip


def _frame_score(result: Inspection) -> float | msgspec.UnsetType:
    return msgspec.UNSET if result.frame_score is None else round(frame_score_of(result.frame_score), 4)


def _ms(start_ns: int, end_ns: int) -> float:
    """Whole microseconds, in ms. Called six times per frame: `round` would take five times as long."""
    return (end_ns - start_ns) // 1000 / 1000
