"""The steps of a commissioning. Each leaves its result whole or not at all: a resume skips what is done."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from inspector.errors import InputError
from inspector.files import write_whole
from inspector.sources.recording.source import RECORDING_NAME
from trainer.artifacts.card import is_model_folder, open_model
from trainer.commission.anomaly import anomaly_scores
from trainer.commission.data_set import Backgrounds, make_data_set
from trainer.commission.own_frames import copy_for_a_look, keep_own_frames, read_all
from trainer.commission.report import write_report
from trainer.commission.settings import CommissionSettings
from trainer.commission.transplant import cut_defects
from trainer.export.export import ExportSettings, export
from trainer.models import PRESET_SETTINGS, PRESETS, build_model
from trainer.models.lite_fpn import LiteFPN
from trainer.training.pretrained import fill_encoder
from trainer.training.run import train
from trainer.training.settings import BEST_NAME, LAST_NAME, SPLIT_NAME, settings_from

PRESET: Final = "pretrained"

OWN, LOOK, DATA, RUN, MODEL = "own", "set_aside", "data", "run", "model"
"""Folders of the steps' results."""
SCORES_NAME: Final = "anomaly.json"

WEAKNESSES: Final = (
    "Made without labels: its defects were drawn or transplanted. How many real ones it misses is unknown.",
    "Takes the plant's own frames as sound: a defect that most of them show is sound steel to it.",
)


def commission(settings: CommissionSettings, *, show_progress: bool = False) -> dict[str, Any]:
    """Make the model and the report; returns the report. Raises InputError and WorkError."""
    out = settings.out
    cuttings = [] if settings.transplant is None else cut_defects(settings.transplant)
    if settings.transplant is not None and not cuttings:
        raise InputError(f"--transplant {settings.transplant}: it has no defect to cut out: name labelled frames")
    names = keep_own_frames(settings.source, out / OWN, settings.frames, show_progress=show_progress)
    scores = _scores(settings, names, show_progress=show_progress)
    by_score = sorted(names, key=lambda name: (-scores[name], name))
    aside = by_score[: round(settings.set_aside * len(names))]
    copy_for_a_look(out / OWN, aside, out / LOOK)
    kept = [name for name in names if name not in set(aside)]
    if not (out / DATA).exists():
        in_order = (settings.source / RECORDING_NAME).is_file()
        steel = Backgrounds(kept, read_all(out / OWN, kept), in_order)
        make_data_set(out / DATA, steel, settings.held_out, settings.seed, cuttings, show_progress=show_progress)
    _train(settings)
    if not is_model_folder(out / MODEL):
        export(_export_settings(settings), show_progress=show_progress)
    return write_report(out, settings, open_model(out / MODEL).card, names, aside, len(cuttings))


def _scores(settings: CommissionSettings, names: list[str], *, show_progress: bool) -> dict[str, float]:
    """Anomaly score by frame, stored once it is known."""
    path = settings.out / SCORES_NAME
    if path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    net = build_model(PRESETS[PRESET], 2)
    assert isinstance(net, LiteFPN)  # noqa: S101 (the preset has a pretrained encoder)
    fill_encoder(net, settings.encoder_weights)
    frames = read_all(settings.out / OWN, names)
    found = anomaly_scores(net.encoder, frames, show_progress=show_progress)
    scores = dict(zip(names, np.round(found, 4).tolist(), strict=True))
    write_whole(path, (json.dumps(scores, indent=1) + "\n").encode())
    return scores


def _train(settings: CommissionSettings) -> None:
    run = settings.out / RUN
    if (run / BEST_NAME).exists() and (settings.out / MODEL).exists():
        return
    training = settings_from(
        {
            **PRESET_SETTINGS[PRESET],
            "data": settings.out / DATA,
            "out": run,
            "split": settings.out / DATA / SPLIT_NAME,
            "model": dict(PRESETS[PRESET]),
            "minutes": settings.minutes,
            "encoder_weights": settings.encoder_weights,
            "seed": settings.seed,
            "threads": settings.threads,
        }
    )
    run.mkdir(exist_ok=True)
    train(training, resume=(run / LAST_NAME).exists())


def _export_settings(settings: CommissionSettings) -> ExportSettings:
    run = settings.out / RUN
    best: Path = run / BEST_NAME
    return ExportSettings(
        checkpoint=best if best.exists() else run / LAST_NAME,
        out=settings.out / MODEL,
        name=settings.out.resolve().name,
        data=settings.out / DATA,
        false_rejects=settings.false_rejects,
        notes=WEAKNESSES,
    )
