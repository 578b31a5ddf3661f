"""Writes the paper's table with our figures under every reading, as text, Markdown and JSON."""

import json
from pathlib import Path
from textwrap import fill
from typing import Any, Final

from inspector.files import write_whole
from trainer.reproduce.comparison import Comparison, as_json
from trainer.reproduce.protocol import BINARY, CNN, CONTESTANTS, MULTICLASS
from trainer.reproduce.readings import READINGS

TEXT_NAME: Final = "table.txt"
MARKDOWN_NAME: Final = "table.md"
JSON_NAME: Final = "table.json"

NOTE_WIDTH: Final = 115
"""Columns of the notes; the table itself needs a few more."""
_NOTHING: Final = "–"


def write_tables(out: Path, comparison: Comparison) -> None:
    """Write the three files; raises OSError."""
    content = as_json(comparison)
    write_whole(out / JSON_NAME, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    write_whole(out / TEXT_NAME, as_text(content).encode())
    write_whole(out / MARKDOWN_NAME, as_markdown(content).encode())


_HEADINGS: Final = (
    "",
    "all normal",
    "all defect",
    *(c.title for c in CONTESTANTS),
    "multi − binary",
    "95 % interval",
)


def _rows(content: dict[str, Any]) -> list[tuple[str, ...]]:
    """The paper's row, then one row per reading, in percent."""
    paper = content["paper"]
    gap = paper[MULTICLASS.key] - paper[BINARY.key]
    rows = [
        (
            "the paper's “mIoU”",
            *(_NOTHING, _NOTHING),
            *(_percent(paper[contestant.key]) for contestant in CONTESTANTS),
            *(_signed(gap), _NOTHING),
        )
    ]
    for key, reading in READINGS.items():
        figures = content["readings"][key]
        difference = figures["difference"]
        interval = difference["interval_95"]
        rows.append(
            (
                reading.title,
                *(_percent(figures[name]) for name in ("all_normal", "all_defect")),
                *(_spread(figures[contestant.key]) for contestant in CONTESTANTS),
                _signed(difference["mean"]),
                _NOTHING if interval is None else f"{_signed(interval[0])} … {_signed(interval[1])}",
            )
        )
    return rows


def _percent(share: float | None) -> str:
    return _NOTHING if share is None else f"{100 * share:.1f}"


def _spread(figures: dict[str, Any]) -> str:
    text = _percent(figures["mean"])
    return text if figures["deviation"] is None else f"{text} ±{100 * figures['deviation']:.1f}"


def _signed(share: float | None) -> str:
    return _NOTHING if share is None else f"{100 * share:+.2f}".replace("-", "−")


def _notes(content: dict[str, Any]) -> list[str]:
    """Conditions that a reader must know before believing a figure."""
    protocol, data, models = content["protocol"], content["data"], content["models"]
    unet, cnn, seeds = models[MULTICLASS.key], models[CNN.key], content["seeds_done"]
    crop = "×".join(map(str, unet["crop"]))
    widths = ", ".join(map(str, unet["widths"]))
    score = content["readings"]["pooled_miou"]["difference_by_score"]["mean"]
    notes = []
    if protocol["quick"]:
        notes.append("A quick run on a few frames: it shows that the path works and says nothing of the models.")
    notes.append(
        f"{data['test_frames']} test frames, {data['test_frames_defective']} of them defective, "
        f"{100 * data['test_pixels_defective']:.1f} % of their pixels; {data['train_frames']} training frames; "
        f"kinds: {', '.join(data['kinds'])}."
    )
    notes.append(
        f"Both U-Nets: {protocol['unet']} (widths {widths}; stem stride {unet['stem_stride']}; "
        f"{unet['parameters'] / 1e6:.1f} M parameters), crops of {crop} px. "
        f"CNN: {cnn['parameters'] / 1e6:.1f} M parameters, decides on {cnn['decides_on']}; its decision is "
        "painted over all of it."
    )
    notes.append(
        f"All three: Adam {protocol['lr']:g}, batch {protocol['batch']}, {protocol['epochs']} epochs, "
        "cross-entropy, mirrored crops, the last weights, no threshold or checkpoint chosen. A pixel is a defect "
        "where its likeliest class is one; a frame, where a pixel is."
    )
    notes.append(
        f"{seeds} of {protocol['seeds']} seeds, one split. ± is the standard deviation over seeds; 95 % is "
        "Student's t interval of the difference paired by seed: it knows the chance of training, not that of "
        "another split or other frames."
    )
    notes.append(
        "Collapsed by p(defect) ≥ ½ instead of by the likeliest class, multi-class − binary is "
        f"{_signed(score)} in pooled mIoU."
    )
    return notes


def as_text(content: dict[str, Any]) -> str:
    """The table and notes for a terminal."""
    rows = [_HEADINGS, *_rows(content)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row, widths, strict=True))]
        del cells[1]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "─" * len(lines[1]))
    lines.insert(3, "─" * len(lines[1]))
    notes = [fill(note, NOTE_WIDTH) for note in _notes(content)]
    return "\n".join([*lines, "", *notes, ""])


def as_markdown(content: dict[str, Any]) -> str:
    """The table and notes for a README."""
    lines = [" | ".join(("", *_HEADINGS, "")).strip(), "|".join(("", "---", *["---:"] * (len(_HEADINGS) - 1), ""))]
    lines += [" | ".join(("", *row, "")).strip() for row in _rows(content)]
    return "\n".join([*lines, "", *(f"- {note}" for note in _notes(content)), ""])
