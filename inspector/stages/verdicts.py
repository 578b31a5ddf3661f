"""From a settled frame to its verdict."""

from collections.abc import Mapping
from typing import Final

import msgspec

from inspector.rules import BoundRecipe
from inspector.stages.continuity import StripDefects
from inspector.stages.defects import Candidates, find_candidates, find_components
from inspector.stages.judge import judge
from inspector.stages.ledger import Settled
from inspector.values import Announcement, Code, Decision, Inspection, Pixels, Uninspected, Verdict

SettledFrame = Settled[Announcement, Inspection]

NO_RESULT: Final = Uninspected(Code.OVERDUE, "no result")

_NS_PER_MS: Final = 1e6


class Outcome(msgspec.Struct, frozen=True):
    """A verdict, and the picture it was made from where there is one."""

    verdict: Verdict
    pixels: Pixels | None = None
    """uint8 [H, W]; None for a clean or uninspected frame."""
    candidates: Candidates | None = None
    """With pixels."""
    total_ms: float | None = None
    """Capture to verdict; None for a frame whose announcement was lost."""

    def mask(self) -> Pixels | None:
        """uint8 [H, W], the 5-class (K+1-class) mask at the recipe's thresholds, laid out anew at each call."""
        return None if self.candidates is None else self.candidates.in_frame(self.candidates.mask)


class VerdictMaker:
    """Makes one camera's verdicts, in the order of its frames."""

    def __init__(self, camera: str, recipes: Mapping[str, BoundRecipe], engine: str) -> None:
        """`recipes` by the identity of the engine they are laid over; `engine` is the one in use so far."""
        self._camera = camera
        self._recipes = recipes
        self._engine = engine
        self._strip = StripDefects(camera)
        self._last: Announcement | None = None

    def make(self, settled: SettledFrame, now_ns: int) -> Outcome:
        """The verdict of one frame; `now_ns` is the monotonic clock."""
        announcement = settled.announcement or self._presumed(settled.frame_id, now_ns)
        self._last = announcement
        result = settled.result
        fault = settled.fault if result is None else result.fault
        if result is None or fault is not None:
            verdict = self._uninspected(announcement, fault or NO_RESULT)
            return Outcome(verdict, total_ms=self._total_ms(settled, now_ns))
        self._engine = result.engine
        recipe = self._recipes[result.engine]
        candidates = None
        parts = []
        if result.segmentation is not None and result.pixels is not None:
            height, width = result.pixels.shape
            candidates = find_candidates(result.segmentation, height, width, recipe.steps)
            parts = self._strip.follow(settled.frame_id, find_components(candidates))
        else:
            self._strip.follow(settled.frame_id, [])
        decision, reasons, defects = judge(parts, announcement.position_mm, recipe)
        stage_ms = {
            "transfer": _ms(announcement.clock_ns, result.received_ns),
            "batch": _ms(result.received_ns, result.submitted_ns),
            "engine": _ms(result.submitted_ns, result.answered_ns),
            "decide": _ms(result.answered_ns, now_ns),
            "total": _ms(announcement.clock_ns, now_ns),
        }
        verdict = Verdict(
            camera=self._camera,
            frame_id=settled.frame_id,
            captured_ns=announcement.captured_ns,
            position_mm=announcement.position_mm,
            coil=announcement.coil,
            decision=decision,
            reasons=reasons,
            defects=defects,
            recipe=recipe.identity,
            engine=result.engine,
            stage_ms=stage_ms,
            file=announcement.file,
            ingest_epoch=announcement.ingest_ns,
            codes=("defect",) * len(reasons),
        )
        return Outcome(verdict, result.pixels, candidates, self._total_ms(settled, now_ns))

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
            recipe=self._recipes[self._engine].identity,
            engine=self._engine,
            stage_ms={},
            file=announcement.file,
            ingest_epoch=announcement.ingest_ns,
            codes=(why.code,),
        )

    def _total_ms(self, settled: SettledFrame, now_ns: int) -> float | None:
        return None if settled.announcement is None else _ms(settled.announcement.clock_ns, now_ns)

    def _presumed(self, frame_id: int, now_ns: int) -> Announcement:
        """What a lost announcement must have said, from the frame before it."""
        last = self._last
        if last is None:
            return Announcement(self._camera, 0, frame_id, 0, now_ns, 0.0, 0)
        pitch_mm = last.height * self._recipes[self._engine].mm_per_px_along
        return Announcement(
            self._camera,
            last.ingest_ns,
            frame_id,
            last.captured_ns,
            now_ns,
            last.position_mm + pitch_mm,
            last.height,
            last.coil,
        )


def _ms(start_ns: int, end_ns: int) -> float:
    return round((end_ns - start_ns) / _NS_PER_MS, 3)
