"""Renders a model card as Markdown."""

from datetime import UTC, datetime
from typing import Any


def card_text(card: dict[str, Any]) -> str:
    """Markdown from a card's JSON values: intended use, quality, and origin."""
    engine = card["engine"]
    parts = [
        f"# {card['name']}",
        _what(card),
        "## Intended use",
        card["intended_use"],
        "## Known weaknesses",
        "\n".join(f"- {line}" for line in card["known_weaknesses"]),
        *([] if engine is None else ["## Engine", _engine(engine)]),
        "## Figures on the validation part",
        _figures(card["figures"]),
        "## Thresholds",
        _thresholds(card),
        "## Training",
        _training(card),
        "## Made by",
        _made_by(card),
    ]
    return "\n\n".join(parts) + "\n"


def _what(card: dict[str, Any]) -> str:
    model = card["model"]
    kinds = ", ".join(card["classes"][1:])
    views = "" if card["flips"] == 1 else f", the mean over {card['flips']} mirrored views of the frame"
    return (
        f"{model.get('architecture', 'network')} of {model['parameters'] / 1e6:.2f} million parameters. Takes "
        f"mono frames of {card['height']}×{card['width']} px, gives maps at "
        f"1/{card['map_stride']} of that{views}. Knows: {kinds}."
    )


def _engine(engine: dict[str, Any]) -> str:
    agreement, speed, cost = engine["against_model"], engine["speed"], engine["cost"]
    running = (
        f"{speed['frames_per_second']} frames/s alone, batch {speed['batch']}, {speed['slots']} in flight, on "
        f"{speed['device']}"
    )
    close = (
        f"agrees with the ONNX model on {agreement['mask_agreement']:.4%} of the pixels of {agreement['frames']} "
        f"frames; largest score difference {agreement['largest_score_difference']}/255"
    )
    lines = [f"- {engine['backend']}, {engine['precision']}: {running}", f"- {close}"]
    if cost is None:
        lines.append("- its own quality was not measured: no `--calibration` frames were named")
    else:
        lines += [
            f"- on {cost['frames']} labelled frames of {cost['data']} kept apart from calibration:",
            "",
            "| | ONNX model | engine | loss, points |",
            "|---|---:|---:|---:|",
            *(
                f"| {title} | {cost['model'][key]:.2%} | {cost['engine'][key]:.2%} | "
                f"{cost['loss_points'][key]:+.2f} |"
                for key, title in (("miou", "mIoU"), ("defect_iou", "defect IoU"))
            ),
        ]
    return "\n".join(lines)


def _figures(figures: dict[str, Any]) -> str:
    baseline = figures["all_normal"]
    counted = f"{figures['frames']} frames, {figures['defective_frames']} of them defective"
    rows = [
        f"{counted}; beside a model that calls every pixel normal.",
        "",
        "| | this | all normal |",
        "|---|---:|---:|",
    ]
    for title, key in (
        ("mIoU", "miou"),
        ("defect IoU", "defect_iou"),
        ("Kaggle Dice", "kaggle_dice"),
        ("escape", "escape"),
        ("overkill", "overkill"),
    ):
        if f"{key}_interval" not in figures:
            rows.append(f"| {title} | {figures[key]:.2%} | {baseline[key]:.2%} |")
        elif interval := figures[f"{key}_interval"]:
            between = f"{interval[0]:.2%} to {interval[1]:.2%}"
            rows.append(f"| {title} | {figures[key]:.2%} ({between}) | {baseline[key]:.2%} |")
        else:  # no frame to count, so no share
            rows.append(f"| {title} | no such frame | no such frame |")
    rows += [f"| IoU of {name} | {_share(iou)} | |" for name, iou in figures["iou"].items()]
    if "interval" in figures:
        rows += ["", f"Intervals: {figures['interval']}."]
    return "\n".join(rows)


def _thresholds(card: dict[str, Any]) -> str:
    choice = card["threshold_choice"]
    budget = choice.get("false_rejects")
    moved = "" if budget is None else f", then moved until {budget:.1%} of the sound ones are rejected"
    costs = f"an escape costing {choice['escape_cost']:g} and an overkill {choice['overkill_cost']:g}"
    rows = [
        f"Chosen on {choice['frames']} validation frames, {costs}{moved}.",
        "",
        "| class | threshold | minimum area, px |",
        "|---|---:|---:|",
    ]
    rows += [
        f"| {name} | {value:.4f} | {card['min_area_px'].get(name, 0)} |"
        for name, value in card["thresholds"].items()
    ]
    if card["frame_threshold"] is not None:
        rows += ["", _frame_threshold(card)]
    return "\n".join(rows)


def _frame_threshold(card: dict[str, Any]) -> str:
    figures = card["figures"].get("with_frame_score")
    told = "" if figures is None else f": escape {figures['escape']:.2%}, overkill {figures['overkill']:.2%}"
    return (
        f"The engine scores each frame as a whole. With `frame_score = {card['frame_threshold']:g}` in the "
        f"recipe, defects reject only frames that reach it{told}. Without the line, the score changes nothing."
    )


def _training(card: dict[str, Any]) -> str:
    data, training = card["data"], card["training"]
    settings = {key: value for key, value in training["settings"].items() if value is not None}
    trained = f"{data['train_frames']} frames trained it (sha256 `{data['train_sha256'][:16]}…`)"
    chose = f"{data['val_frames']} chose checkpoint and thresholds (`{data['val_sha256'][:16]}…`)"
    return "\n".join(
        [
            f"- {trained}, {chose}",
            *([] if card["pretrained"] is None else [_pretrained(card["pretrained"])]),
            *([f"- split sha256 `{data['split_sha256'][:16]}…`"] if "split_sha256" in data else []),
            *(_corrections(entry) for entry in data.get("corrections", [])),
            "- " + ", ".join(f"{key} {_plain(value)}" for key, value in settings.items() if key != "model"),
            f"- `{training['command']}`",
            f"- {_versions(training['versions'])}",
        ]
    )


def _corrections(entry: dict[str, Any]) -> str:
    answers = ", ".join(f"{count} {answer}" for answer, count in entry["answers"].items())
    days = sorted({_day(entry["first_captured_ns"]), _day(entry["last_captured_ns"])})
    return (
        f"- learned from {entry['trained']} corrections, {entry['chose']} more chose: {answers}; frames of "
        f"{' to '.join(days)}, judged by {', '.join(entry['engines'])} "
        f"(reviews sha256 `{entry['reviews_sha256'][:16]}…`)"
    )


def _day(captured_ns: int) -> str:
    return datetime.fromtimestamp(captured_ns / 1e9, UTC).date().isoformat()


def _pretrained(origin: dict[str, Any]) -> str:
    return (
        f"- encoder started from {origin['name']}, licence {origin['licence']}, {origin['source']} "
        f"(sha256 `{origin['sha256']}`)"
    )


def _made_by(card: dict[str, Any]) -> str:
    lines = [f"- model: `{card['command']}`", f"- {_versions(card['versions'])}"]
    engine = card["engine"]
    if engine is not None:
        lines += [f"- engine: `{engine['command']}`", f"- {_versions(engine['versions'])}"]
    return "\n".join([*lines, *(f"- {name} sha256 `{digest}`" for name, digest in card["files"].items())])


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _plain(value: Any) -> str:
    return "×".join(str(part) for part in value) if isinstance(value, list) else str(value)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"
