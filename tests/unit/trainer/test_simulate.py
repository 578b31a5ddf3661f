"""Simulated training material on disk, in the layout of Kaggle's Severstal data."""

import csv
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.errors import InputError
from inspector.sources.simulator import CLASS_NAMES, StripSettings, strip
from trainer.data.rle import decode
from trainer.data.simulate import COIL_FRAMES, simulate

SIZE = {"height": 128, "width": 320}


def test_files_decode_back_to_the_strip(tmp_path: Path) -> None:
    """Images and masks on disk are those of the strip of the same seed; JPEG costs a few grey levels."""
    out = tmp_path / "new" / "coil"
    simulate(out, 12, 7, defective_share=0.6, **SIZE)  # type: ignore[arg-type]
    settings = StripSettings(seed=7, **SIZE, defective_share=0.6, coil_frames=COIL_FRAMES)
    names = sorted(path.name for path in (out / "train_images").iterdir())
    assert len(names) == 12
    with (out / "train.csv").open(newline="") as file:
        assert file.readline() == "ImageId,ClassId,EncodedPixels\n"
        file.seek(0)
        rows = list(csv.DictReader(file))
    assert rows
    for name, frame in zip(names, islice(strip(settings), 12), strict=True):
        stored = cv2.imread(str(out / "train_images" / name), cv2.IMREAD_UNCHANGED)
        assert stored is not None
        assert stored.shape == frame.pixels.shape
        assert np.abs(stored.astype(int) - frame.pixels).mean() < 3.0
        label = np.zeros_like(frame.label)
        for row in rows:
            if row["ImageId"] == name:
                label[decode(row["EncodedPixels"], (128, 320))] = int(row["ClassId"])
        assert (label == frame.label).all()
    assert json.loads((out / "classes.json").read_text()) == ["normal", *CLASS_NAMES]


def test_only_defective_frames_have_rows(tmp_path: Path) -> None:
    """A frame without a defect is not in train.csv, as in Kaggle's table."""
    simulate(tmp_path / "clean", 3, 1, defective_share=0.0, **SIZE)  # type: ignore[arg-type]
    assert (tmp_path / "clean" / "train.csv").read_text() == "ImageId,ClassId,EncodedPixels\n"


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """A folder that holds anything is not touched; an empty one is filled."""
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        simulate(tmp_path, 1, 1, **SIZE)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    (tmp_path / "empty").mkdir()
    simulate(tmp_path / "empty", 1, 1, **SIZE)  # type: ignore[arg-type]
    assert (tmp_path / "empty" / "train.csv").is_file()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"frames": 0}, "--frames"), ({"seed": -1}, "seed"), ({"height": 3}, "at least 64 px")],
)
def test_wrong_arguments_are_refused(tmp_path: Path, wrong: dict[str, int], says: str) -> None:
    """A wrong argument is an InputError, and nothing is left behind."""
    arguments: dict[str, int] = {"frames": 1, "seed": 1, **SIZE, **wrong}
    frames, seed = arguments.pop("frames"), arguments.pop("seed")
    with pytest.raises(InputError, match=says):
        simulate(tmp_path / "out", frames, seed, height=arguments["height"], width=arguments["width"])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """Where an image does not fit any more: one line says so, and neither folder nor temporary one stays."""
    program = (
        "import resource, signal, sys; from pathlib import Path; from trainer.data.simulate import simulate\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "simulate(Path(sys.argv[1]), 5, 1)"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "out"], capture_output=True, text=True)
    assert "disk full" in done.stderr.strip().splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
