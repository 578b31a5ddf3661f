"""Renders the findings as lines for people and as one object for programs."""

from collections.abc import Sequence
from typing import Any, Final

from inspector.numbers import thousands
from inspector.render.numbers import frames
from trainer.data.faults import Fault, by_kind
from trainer.data.report.survey import QUANTILES, Survey

MAX_LINES: Final = 3
"""Most findings printed of one kind; --json has all."""
MAX_SIZES: Final = 4
"""Most frame sizes printed; --json has all."""
MAX_PAIRS: Final = 10


def as_json(found: Survey) -> dict[str, Any]:
    """JSON values, with every finding and every pair."""
    names = [frame.name for frame in found.frames]
    agreement = found.agreement
    iou_of = {} if agreement is None else {(d.pair.first, d.pair.second): d.iou for d in agreement.worst}
    classes = found.dataset.classes

    def pairs(listed: list[Any]) -> list[dict[str, Any]]:
        return [
            {
                "frames": [names[pair.first], names[pair.second]],
                "turn": pair.turn,
                "distance": pair.distance,
                "correlation": round(pair.correlation, 4),
                "mask_iou": iou_of.get((pair.first, pair.second)),
            }
            for pair in listed
        ]

    return {
        "data": str(found.dataset.root),
        "ok": not found.faults,
        "frames": found.listed,
        "readable": len(found.frames),
        "defective": found.defective,
        "independent_groups": int(found.groups.max()) + 1,
        "sizes": [{"height": h, "width": w, "frames": count} for h, w, count in found.sizes],
        "classes": {
            figures.name: {
                "frames": figures.frames,
                "share_of_px": figures.share_of_px,
                "area_px": None
                if figures.quantiles_px is None
                else {f"p{round(100 * q)}": a for q, a in zip(QUANTILES, figures.quantiles_px, strict=True)},
            }
            for figures in found.classes
        },
        "faults": [_fault(fault) for fault in found.faults],
        "remarks": [_fault(fault) for fault in found.remarks],
        "duplicates": {"exact": found.exact, "near": pairs(found.near), "share_parts": pairs(found.shared)},
        "agreement": None
        if agreement is None
        else {
            "pairs": agreement.pairs,
            "differing": agreement.differing,
            "misnamed": agreement.misnamed,
            "iou": dict(zip(classes, agreement.iou, strict=True)),
            "miou": agreement.miou,
        },
        "margins": {
            "frames": found.margins.frames,
            "typical_px": found.margins.typical_px,
            "widest_px": found.margins.widest_px,
            "black_frames": found.margins.black_frames,
        },
    }


def as_text(found: Survey) -> str:
    """A summary of about a dozen lines, then the faults and remarks."""
    sizes = ", ".join(f"{h}×{w} px ({count})" for h, w, count in found.sizes[:MAX_SIZES])
    if len(found.sizes) > MAX_SIZES:
        sizes += f" and {len(found.sizes) - MAX_SIZES} other sizes"
    lines = [
        f"{found.dataset.root}: {frames(found.listed)}, {thousands(found.defective)} defective; {sizes}",
        "",
        f"{'class':<16}{'frames':>8}{'of px':>9}{'area in px: 5 %':>18}{'median':>9}{'95 %':>9}",
    ]
    for figures in found.classes[1:]:
        areas = figures.quantiles_px
        spread = f"{areas[0]:>18}{areas[2]:>9}{areas[4]:>9}" if areas else f"{'–':>18}{'–':>9}{'–':>9}"
        lines.append(f"{figures.name:<16}{figures.frames:>8}{figures.share_of_px:>9.2%}{spread}")
    lines += ["", *_duplicates(found), *_margins(found)]
    for title, listed in (("faults that `trainer train` refuses", found.faults), ("remarks", found.remarks)):
        if listed:
            lines += ["", f"{thousands(len(listed))} {title}:", *_grouped(listed)]
    if not found.faults:
        lines += ["", "no faults: `trainer train` accepts it"]
    return "\n".join(lines)


def _grouped(faults: Sequence[Fault]) -> list[str]:
    """The findings by kind, each kind with its count and its first few."""
    lines = []
    for first, count in by_kind(faults):
        of_kind = [fault for fault in faults if fault.kind == first.kind]
        lines += [f"  {fault}" for fault in of_kind[:MAX_LINES]]
        if count > MAX_LINES:
            lines.append(f"  and {thousands(count - MAX_LINES)} more of this kind, {first.kind} (--json has all)")
    return lines


def _duplicates(found: Survey) -> list[str]:
    plain = sum(pair.turn == 0 for pair in found.near)
    lines = [
        f"{int(found.groups.max()) + 1} groups that share no steel; `trainer split` keeps each in one part",
        f"exact duplicates: {sum(len(group) - 1 for group in found.exact)} in {len(found.exact)} groups",
        f"near duplicates: {len(found.near)} pairs, {len(found.near) - plain} of them mirrored or turned",
        f"pictures that share parts: {len(found.shared)} pairs",
    ]
    agreement = found.agreement
    if agreement is None:
        return lines
    lines.append(
        f"masks of duplicates: {agreement.differing} of {agreement.pairs} pairs differ, "
        f"{agreement.misnamed} of them in the class"
    )
    if agreement.miou is not None:
        by_class = zip(found.dataset.classes, agreement.iou, strict=True)
        known = ", ".join(f"{name} {iou:.3f}" for name, iou in by_class if iou is not None)
        lines.append(
            f"  where they differ they agree to mIoU {agreement.miou:.3f} ({known}): a ceiling for any model"
        )
    for worst in agreement.worst[:MAX_PAIRS]:
        first, second = (found.frames[index].name for index in (worst.pair.first, worst.pair.second))
        lines.append(f"  {first} and {second}: IoU {worst.iou:.3f}")
    if agreement.differing > MAX_PAIRS:
        lines.append(f"  and {agreement.differing - MAX_PAIRS} more, which differ less")
    return lines


def _margins(found: Survey) -> list[str]:
    margins = found.margins
    share = margins.frames / len(found.frames)
    line = f"black margins: {margins.frames} frames ({share:.0%})"
    if margins.frames:
        line += f", typically {margins.typical_px} px wide, at most {margins.widest_px}"
    return [line]


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "kind": fault.kind,
        "file": str(fault.file),
        "row": fault.row,
        "frame": fault.frame,
        "text": str(fault),
    }
