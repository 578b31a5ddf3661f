"""The readers on real data sets, where they are."""

import pytest

from tests.support.steel import real
from trainer.data.formats import open_dataset
from trainer.data.frames import load_frames


@pytest.mark.shared
def test_kaggles_own_files_are_read_as_they_are() -> None:
    """Each class is shown by some frames, and 24 are free, however many there are by now."""
    root = real("severstal")
    if root is None:
        pytest.skip("no real Severstal frames here")
    dataset = open_dataset(root)
    loaded = load_frames(dataset, dataset.names)
    assert loaded.frames.shape == (len(dataset.names), 256, 1600)
    assert len(dataset.names) >= 60
    assert (loaded.present[:, 1:].sum(axis=0) >= [8, 2, 25, 7]).all()
    assert int((~loaded.present[:, 1:].any(axis=1)).sum()) == 24


@pytest.mark.shared
def test_real_label_maps_are_read_as_they_are() -> None:
    """200×200 frames, four classes, all of them among the first hundreds."""
    root = real("neu_seg")
    if root is None:
        pytest.skip("no NEU-Seg frames here")
    dataset = open_dataset(root)
    assert dataset.classes == ("normal", "inclusion", "patches", "scratches")
    assert len(dataset.names) == 3627
    loaded = load_frames(dataset, dataset.names[::20])
    assert loaded.size == (200, 200)
    assert loaded.present.any(axis=0).all()
