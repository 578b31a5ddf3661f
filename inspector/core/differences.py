"""Compares what two engines find in one frame, by kind and severity."""

from collections.abc import Mapping
from typing import Final

import msgspec

from inspector.core.single_frame import FrameFindings
from inspector.values import Defect

CANDIDATE_ONLY, LINE_ONLY, OTHER_KIND = "candidate only", "line only", "other kind"

NO_LIMITS: Final[Mapping[str, tuple[float, ...]]] = {}


class Difference(msgspec.Struct, frozen=True):
    """A defect that one of the two engines finds, or that they name differently."""

    what: str
    name: str
    severity: int
    """1, or more from the areas of the recipe's `severity_mm2`."""
    area_mm2: float

    def __str__(self) -> str:
        return f"{self.what}: {self.name} {self.area_mm2:.0f} mm², severity {self.severity}"


def differences(
    line: FrameFindings, candidate: FrameFindings, severity_mm2: Mapping[str, tuple[float, ...]] = NO_LIMITS
) -> list[Difference]:
    """Defects without a counterpart; the largest first. A counterpart's box overlaps, whatever its kind.

    Boxes, because two engines never agree on every pixel of a defect.
    """
    theirs, ours = list(line.judgement.defects), list(candidate.judgement.defects)
    found = [_difference(CANDIDATE_ONLY, each, severity_mm2) for each in ours if not _near(each, theirs)]
    found += [_difference(LINE_ONLY, each, severity_mm2) for each in theirs if not _near(each, ours)]
    for each in ours:
        near = _near(each, theirs)
        if near and all(other.kind != each.kind for other in near):
            found.append(_difference(OTHER_KIND, each, severity_mm2))
    return sorted(found, key=lambda each: -each.area_mm2)


def _difference(what: str, defect: Defect, severity_mm2: Mapping[str, tuple[float, ...]]) -> Difference:
    severity = 1 + sum(defect.area_mm2 >= limit for limit in severity_mm2.get(defect.name, ()))
    return Difference(what, defect.name, severity, defect.area_mm2)


def _near(defect: Defect, others: list[Defect]) -> list[Defect]:
    x, y, width, height = defect.box
    return [
        other
        for other in others
        if x < other.box[0] + other.box[2]
        and other.box[0] < x + width
        and y < other.box[1] + other.box[3]
        and other.box[1] < y + height
    ]


class Tally:
    """Counts over the frames that both engines have seen."""

    def __init__(self) -> None:
        self.frames = 0
        self.agreed = 0
        """Frames that both accept, or both reject."""
        self.only_candidate_rejects = 0
        self.only_line_rejects = 0
        self.counts: dict[tuple[str, str, int], int] = {}
        """Differences by what, kind and severity."""

    def add(self, line: FrameFindings, candidate: FrameFindings, found: list[Difference]) -> None:
        """Count one frame."""
        self.frames += 1
        self.agreed += line.rejected == candidate.rejected
        self.only_candidate_rejects += candidate.rejected and not line.rejected
        self.only_line_rejects += line.rejected and not candidate.rejected
        for each in found:
            key = (each.what, each.name, each.severity)
            self.counts[key] = self.counts.get(key, 0) + 1

    def figures(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "frames": self.frames,
            "agreed": self.agreed,
            "only_candidate_rejects": self.only_candidate_rejects,
            "only_line_rejects": self.only_line_rejects,
            "differences": [
                {"what": what, "kind": name, "severity": severity, "count": count}
                for (what, name, severity), count in sorted(self.counts.items())
            ],
        }
