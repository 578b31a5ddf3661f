"""A frozen split: look-alikes stay together, classes are spread, and other data is refused."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.errors import InputError
from tests.support.labelled import make_labelled, write_label_maps
from trainer.cli import main
from trainer.data.look_alikes import find_pairs, group, look, turned
from trainer.data.split import make_split

FRAMES = 48


@pytest.fixture
def steel(tmp_path: Path) -> Path:
    """Labelled frames of which every fourth has a relit, mirrored copy under another name."""
    root = write_label_maps(tmp_path / "steel", frames=FRAMES)
    for index in range(0, FRAMES, 4):
        frame, label = make_labelled(index + 1)
        relit = np.clip(frame[:, ::-1].astype(np.int16) + 9, 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / "images" / f"copy{index:03}.png"), relit)
        cv2.imwrite(str(root / "masks" / f"copy{index:03}.png"), label[:, ::-1])
    return root


def _split(data: Path, out: Path, *options: str) -> dict[str, list[str]]:
    assert main(["split", str(data), "--out", str(out), *options]) == 0
    content = json.loads(out.read_text())
    return {part: content[part] for part in ("train", "val", "test")}


def test_a_copy_is_in_the_part_of_its_original_and_every_class_in_every_part(steel: Path, tmp_path: Path) -> None:
    """No frame is lost or doubled, and the shares are about those asked for."""
    split = _split(steel, tmp_path / "s.json", "--val", "0.2", "--test", "0.2", "--seed", "5")
    part_of = {name: part for part, names in split.items() for name in names}
    assert sorted(part_of) == sorted(path.name for path in (steel / "images").iterdir())
    assert sum(map(len, split.values())) == len(part_of)
    for index in range(0, FRAMES, 4):
        assert part_of[f"copy{index:03}.png"] == part_of[f"{index + 1:03}.png"]
    for part in ("val", "test"):
        assert len(split[part]) == pytest.approx(0.2 * len(part_of), abs=3)
        kinds = {int(cv2.imread(str(steel / "masks" / name), cv2.IMREAD_UNCHANGED).max()) for name in split[part]}
        assert kinds == {0, 1, 2}


def test_the_seed_alone_decides(steel: Path, tmp_path: Path) -> None:
    """The same seed gives the same parts."""
    one, same, other = (_split(steel, tmp_path / f"{n}.json", "--seed", seed) for n, seed in enumerate("778"))
    assert one == same
    assert one != other


def test_a_split_is_written_once(steel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An existing file is kept, whatever it holds."""
    out = tmp_path / "s.json"
    out.write_text("mine")
    assert main(["split", str(steel), "--out", str(out)]) == 2
    assert "exists, and a split is frozen" in capsys.readouterr().err
    assert out.read_text() == "mine"


def test_faulty_data_is_not_split(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fault is named and no file is written."""
    root = Path(shutil.copytree(data, tmp_path / "d"))
    (root / "images" / "004.png").write_bytes(b"half a picture")
    assert main(["split", str(root), "--out", str(tmp_path / "s.json")]) == 2
    assert "images/004.png: not a JPEG, PNG, BMP, TIFF, WebP or PGM image" in capsys.readouterr().err
    assert not (tmp_path / "s.json").exists()


def test_a_class_without_frames_is_said(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The split is made all the same."""
    root = Path(shutil.copytree(data, tmp_path / "d"))
    (root / "classes.json").write_text('["normal", "pit", "streak", "rust"]')
    _split(root, tmp_path / "s.json")
    assert "warning: no frame shows rust" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--val", "0"], "--val must lie between 0 and 1, got 0.0"),
        (["--val", "0.6", "--test", "0.5"], "--test must be at least 0 and leave training a share beside --val"),
        (["--test=-0.1"], "--test must be at least 0"),
    ],
)
def test_impossible_shares_are_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    """Exit 2, and no file."""
    assert main(["split", str(data), "--out", str(tmp_path / "s.json"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "s.json").exists()


def test_too_few_groups_are_refused() -> None:
    """Ten copies of one frame leave nothing to validate on."""
    names = [str(index) for index in range(10)]
    with pytest.raises(InputError, match="10 frames in 1 groups of look-alikes leave none for val"):
        make_split(names, np.ones((10, 2), np.bool_), 0.2, 1, groups=np.zeros(10, np.intp))


def test_a_frame_is_known_in_every_orientation() -> None:
    """A square in eight, a rectangle in four; grain, light and JPEG do not matter, other steel does."""
    random = np.random.default_rng(3)
    for shape, turns in (((96, 96), range(8)), ((64, 200), range(4))):
        coarse = random.random((2, 12, 12)).astype(np.float32)
        one, other = (cv2.resize(field * 150 + 40, shape[::-1], interpolation=cv2.INTER_CUBIC) for field in coarse)
        takes = []
        for turn in turns:
            take = np.ascontiguousarray(turned(one, turn)) * 0.9 + random.normal(0, 4, shape)
            encoded = cv2.imencode(".jpg", np.clip(take, 0, 255).astype(np.uint8))[1]
            takes.append(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE))
        frames = [np.clip(one, 0, 255).astype(np.uint8), *takes, np.clip(other, 0, 255).astype(np.uint8)]
        pairs = [pair for pair in find_pairs([look(frame) for frame in frames]) if pair.first == 0]
        assert [pair.second for pair in pairs] == [1 + turn for turn in turns]
        assert all(pair.may_be_duplicate for pair in pairs)
        for pair in pairs:
            undone = turned(frames[pair.second], pair.turn).astype(np.float32)
            assert np.corrcoef(undone.ravel(), frames[0].ravel())[0, 1] > 0.98
        groups = group(frames)
        assert len(set(groups[:-1].tolist())) == 1
        assert groups[-1] != groups[0]


def test_blank_frames_are_not_taken_for_copies_of_each_other() -> None:
    """Frames without steel would otherwise form one group, and a random one with rounding noise."""
    black = np.zeros((64, 200), np.uint8)
    assert len(set(group([black, black + 3, black + 90]).tolist())) == 3
