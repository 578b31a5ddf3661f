"""Result of the comparison as one JSON object: every reading of every model, and the paired difference."""

import math
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.artifacts.versions import library_versions
from trainer.models import build_model
from trainer.reproduce.answers import BY_CLASS, BY_SCORE
from trainer.reproduce.intervals import deviation, mean, t_interval
from trainer.reproduce.protocol import BINARY, CNN, CONTESTANTS, MULTICLASS, Protocol
from trainer.reproduce.readings import READINGS, FrameCounts, all_defect, all_normal
from trainer.training.choices import MAX_CROP
from trainer.training.training_data import TrainingData


@dataclass(frozen=True, slots=True)
class Comparison:
    """Measured counts with their protocol and data."""

    protocol: Protocol
    data: TrainingData
    tile: tuple[int, int] | None
    """Tile that the cnn decides on; None for whole frames."""
    counts: dict[str, list[dict[str, FrameCounts]]]
    """Contestant → per seed: rule → counts of the test frames."""


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The whole result, shares as 0..1; a figure that does not exist is null."""
    protocol, data = comparison.protocol, comparison.data
    some_counts = comparison.counts[CNN.key][0][BY_CLASS]
    defective = int(some_counts[:, 2:].any(axis=1).sum())
    return {
        "paper": {contestant.key: contestant.paper for contestant in CONTESTANTS},
        "protocol": protocol.model_dump(mode="json"),
        "seeds_done": len(comparison.counts[CNN.key]),
        "data": {
            "root": str(protocol.data),
            "kinds": list(data.classes[1:]),
            "train_frames": len(data.train),
            "test_frames": len(some_counts),
            "test_frames_defective": defective,
            "test_pixels_defective": float(some_counts[:, 2:].sum() / some_counts.sum()),
            "test_sha256": data.loaded.digest(data.indices("test").tolist()),
        },
        "models": _models(comparison),
        "readings": {key: _reading(comparison, reading.of) for key, reading in READINGS.items()},
        "command": shlex.join(["trainer", *sys.argv[1:]]),
        "versions": library_versions("torch", "lightning", "numpy"),
    }


def _models(comparison: Comparison) -> dict[str, Any]:
    models = {}
    for contestant in CONTESTANTS:
        settings = comparison.protocol.settings(contestant, 1, Path(), comparison.tile)
        classes = 2 if contestant.target == "binary" else len(comparison.data.classes)
        net = build_model(settings["model"], classes)
        size = comparison.data.loaded.size
        models[contestant.key] = {
            "title": contestant.title,
            **settings["model"],
            "classes": classes,
            "parameters": sum(p.numel() for p in net.parameters()),
            "crop": settings["crop"] or [min(MAX_CROP[0], size[0]), min(MAX_CROP[1], size[1])],
            "decides_on": _cnn_unit(comparison) if contestant is CNN else "pixels",
        }
    return models


def _cnn_unit(comparison: Comparison) -> str:
    if comparison.tile is None:
        return "whole frames"
    return f"tiles of {comparison.tile[0]}×{comparison.tile[1]} px, as hardly a training frame is normal"


def _reading(comparison: Comparison, of: Callable[[FrameCounts], float]) -> dict[str, Any]:
    some_counts = comparison.counts[CNN.key][0][BY_CLASS]

    def by_seed(key: str, rule: str) -> list[float]:
        return [of(counts[rule]) for counts in comparison.counts[key]]

    models = {contestant.key: by_seed(contestant.key, BY_CLASS) for contestant in CONTESTANTS}
    by_score = by_seed(MULTICLASS.key, BY_SCORE)
    return {
        "all_normal": _known(of(all_normal(some_counts))),
        "all_defect": _known(of(all_defect(some_counts))),
        **{key: _summary(values) for key, values in models.items()},
        "difference": _difference(models[MULTICLASS.key], models[BINARY.key]),
        "difference_by_score": _difference(by_score, by_seed(BINARY.key, BY_SCORE)),
    }


def _difference(more: list[float], less: list[float]) -> dict[str, Any]:
    """Difference seed by seed: with the same seed both models train on the same crops in the same order."""
    values = [a - b for a, b in zip(more, less, strict=True)]
    interval = t_interval(values)
    known = interval is not None and all(map(math.isfinite, interval))
    return {**_summary(values), "interval_95": list(interval) if known and interval else None}


def _summary(values: list[float]) -> dict[str, Any]:
    spread = deviation(values)
    known = None if spread is None else _known(spread)
    return {"mean": _known(mean(values)), "deviation": known, "by_seed": [_known(value) for value in values]}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
