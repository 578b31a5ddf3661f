"""The report of a commissioning: what is known about its model, and what cannot be known."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from inspector.files import write_whole
from trainer.artifacts.card import Card
from trainer.commission.settings import CommissionSettings
from trainer.evaluation.intervals import wilson

REPORT_NAME: Final = "report.json"
TEXT_NAME: Final = "report.md"

MOST_NAMED: Final = 20
"""Most frames for a look that the text names."""


def write_report(
    out: Path, settings: CommissionSettings, card: Card, names: list[str], aside: list[str], cuttings: int
) -> dict[str, Any]:
    """Write report.json and report.md; returns the former."""
    figures = card.figures
    found = figures["defective_frames"] - figures["escapes"]
    report: dict[str, Any] = {
        "source": settings.source.name,
        "own_frames": len(names),
        "set_aside": aside,
        "held_out_frames": figures["good_frames"],
        "false_reject_budget": settings.false_rejects,
        "false_rejects": figures["overkills"],
        "false_reject_share": figures["overkill"],
        "false_reject_interval": figures["overkill_interval"],
        "drawn_defective_frames": figures["defective_frames"],
        "drawn_found": found,
        "drawn_found_share": 1.0 - figures["escape"],
        "drawn_found_interval": wilson(found, figures["defective_frames"]),
        "transplanted_defects": cuttings,
        "thresholds": card.thresholds,
        "frame_threshold": card.frame_threshold,
        "with_frame_score": figures.get("with_frame_score"),
        "unknown": UNKNOWN,
    }
    write_whole(out / REPORT_NAME, (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    write_whole(out / TEXT_NAME, _text(report).encode())
    return report


UNKNOWN: Final = (
    "How many real defects it misses: no real defect was labelled. Drawn ones are easier or harder than yours.",
    "Whether the held-out frames are sound. If some are not, rejecting them is right, and the share is too high.",
    "Kinds of defect that were not drawn. It may call them one of its kinds, or sound steel.",
    "Another light, camera or product than in these frames.",
)


def _text(report: dict[str, Any]) -> str:
    aside = report["set_aside"]
    rejected = _share(report["false_reject_share"], report["false_reject_interval"])
    found = _share(report["drawn_found_share"], report["drawn_found_interval"])
    more = [f"- and {len(aside) - MOST_NAMED} more"] if len(aside) > MOST_NAMED else []
    return f"""\
# First engine without labels

{report["own_frames"]} own frames. {len(aside)} of them, the most unusual, are in `set_aside/`: look at them first.
Defects there are your first labels.

## What is known

- {report["held_out_frames"]} held-out own frames, which no training step saw: {report["false_rejects"]} rejected,
  {rejected}; budget {report["false_reject_budget"]:.1%}. The thresholds were chosen on the same frames.
- {report["drawn_defective_frames"]} of these frames with drawn or transplanted defects: {report["drawn_found"]}
  found, {found}.

## What cannot be known

{_list(report["unknown"])}

## Set aside

{_list([*aside[:MOST_NAMED]])}
""" + "".join(f"{line}\n" for line in more)


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _share(share: float, interval: list[float] | tuple[float, float] | None) -> str:
    return f"{share:.1%}" if interval is None else f"{share:.1%} (95 %: {interval[0]:.1%} to {interval[1]:.1%})"
