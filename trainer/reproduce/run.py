"""Trains and measures every model of the comparison; finished runs survive an interruption."""

import io
import sys
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
import torch
from tqdm import tqdm

from inspector.errors import WorkError
from inspector.files import write_whole
from trainer.artifacts.checkpoint import load_checkpoint
from trainer.reproduce.answers import RULES, count_test_frames
from trainer.reproduce.comparison import Comparison
from trainer.reproduce.frames import cnn_tile, load_comparison
from trainer.reproduce.protocol import CNN, CONTESTANTS, Contestant, Protocol, keep_protocol, train_settings
from trainer.reproduce.readings import FrameCounts
from trainer.reproduce.table import write_tables
from trainer.training.run import train
from trainer.training.settings import LAST_NAME, SETTINGS_NAME
from trainer.training.training_data import TrainingData

COUNTS_NAME: Final = "test_counts.npz"
"""File in a run's folder, written last, so that a run that has it is finished."""

Counts = dict[str, list[dict[str, FrameCounts]]]
"""Contestant → per seed: rule → counts."""


def reproduce(protocol: Protocol, out: Path, *, threads: int | None, device: str) -> Comparison:
    """Train, measure, and write table.txt, table.md and table.json into `out`; raises InputError, WorkError.

    A restart with the same protocol continues where the previous start stopped. The tables exist once the first
    seed is finished.
    """
    out.mkdir(parents=True, exist_ok=True)
    keep_protocol(out, protocol)
    data = load_comparison(protocol, out)
    tile = cnn_tile(data)
    counts: Counts = {contestant.key: [] for contestant in CONTESTANTS}
    total = protocol.seeds * len(CONTESTANTS)
    comparison: Comparison | None = None
    for seed in range(1, protocol.seeds + 1):
        for contestant in CONTESTANTS:
            number = (seed - 1) * len(CONTESTANTS) + CONTESTANTS.index(contestant) + 1
            folder = out / "runs" / f"{contestant.key}-seed{seed}"
            found = _read(folder)
            state = "is there" if found else "is trained"
            tqdm.write(f"[{number}/{total}] {contestant.title}, seed {seed}, {state}", file=sys.stderr)
            if found is None:
                found = _train_and_count(protocol, contestant, seed, folder, data, tile, threads, device)
            counts[contestant.key].append(found)
        comparison = Comparison(protocol, data, tile, counts)
        write_tables(out, comparison)
    assert comparison is not None  # noqa: S101 (the protocol has at least one seed)
    return comparison


def _train_and_count(
    protocol: Protocol,
    contestant: Contestant,
    seed: int,
    folder: Path,
    data: TrainingData,
    tile: tuple[int, int] | None,
    threads: int | None,
    device: str,
) -> dict[str, FrameCounts]:
    folder.mkdir(parents=True, exist_ok=True)
    settings = train_settings(protocol, contestant, seed, folder, tile=tile, threads=threads, device=device)
    resume = (folder / SETTINGS_NAME).exists() and (folder / LAST_NAME).exists()
    train(settings, resume=resume, data=data)
    where = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    counts = count_test_frames(
        load_checkpoint(folder / LAST_NAME).net, data, tile if contestant is CNN else None, where
    )
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **{rule: counts[rule] for rule in RULES})
    write_whole(folder / COUNTS_NAME, content.getvalue())
    return counts


def _read(folder: Path) -> dict[str, FrameCounts] | None:
    path = folder / COUNTS_NAME
    if not path.exists():
        return None
    try:
        with np.load(path) as stored:
            return {rule: stored[rule] for rule in RULES}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise WorkError(f"{path}: {error}: remove it, and the run is measured again") from None
