"""Engine folders: nothing is opened whose hashes do not check out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.backends.instant import write_engine
from inspector.engine import golden
from inspector.engine.manifest import open_folder
from inspector.errors import EngineError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_engine(tmp_path / "engine", height=64, width=64).path


def change(folder: Path, **values: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_identity_is_name_and_content_hash(folder: Path) -> None:
    """Two engines that differ in anything have different identities."""
    before = open_folder(folder).identity
    assert before.startswith("instant@")
    change(folder, thresholds={"bright": 0.6})
    assert open_folder(folder).identity != before


def test_a_changed_byte_is_refused(folder: Path) -> None:
    """One flipped bit in any file, and the error names the file."""
    path = folder / "golden.npz"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(EngineError, match=r"golden.npz: content does not match the manifest"):
        open_folder(folder)


def test_a_missing_file_or_manifest_is_refused(folder: Path) -> None:
    """The error says what is missing and how to make it."""
    (folder / "golden.npz").unlink()
    with pytest.raises(EngineError, match=r"golden.npz: No such file"):
        open_folder(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(EngineError, match="trainer build-engine"):
        open_folder(folder)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"map_stride": 3}, "map_stride"),
        ({"height": 65, "map_stride": 4}, "not divisible"),
        ({"classes": ["normal", "a", "a"]}, "repeat"),
        ({"thresholds": {}}, "thresholds must name exactly"),
        ({"files": {"../model.xml": "0" * 64}}, "plain names"),
        ({"surprise": 1}, "surprise"),
        ({"min_batch": 9}, "min_batch 9 is over"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(folder: Path, values: dict[str, Any], said: str) -> None:
    """Every rule of the manifest is checked before a file is opened."""
    change(folder, **values)
    with pytest.raises(EngineError, match=said):
        open_folder(folder)


def test_golden_frames_need_no_pickle(tmp_path: Path) -> None:
    """A golden file with Python objects in it is refused, not executed."""
    path = tmp_path / "golden.npz"
    np.savez(path, frames=np.array([object()], dtype=object), kind=np.zeros(1), score=np.zeros(1))
    with pytest.raises(EngineError, match="not a golden-frames file"):
        golden.load(path)


def test_agreement_is_by_thresholded_class() -> None:
    """A score that moves without crossing the threshold costs no agreement."""
    frames = np.zeros((1, 2, 2), np.uint8)
    kind, score = np.ones((1, 2, 2), np.uint8), np.array([[[0, 100], [130, 255]]], np.uint8)
    steps = np.array([255, 128], np.uint8)
    reference = golden.Golden(frames, kind, score)
    same = golden.compare(reference, kind, np.array([[[0, 110], [140, 250]]], np.uint8), steps)
    assert (same.mask_agreement, same.largest_score_difference) == (1.0, 10)
    crossed = golden.compare(reference, kind, np.array([[[0, 128], [130, 255]]], np.uint8), steps)
    assert crossed.mask_agreement == 0.75
