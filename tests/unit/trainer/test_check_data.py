"""What check-data finds in a folder of labelled frames."""

import base64
import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.support.labelled import HEIGHT, WIDTH, make_labelled, write_label_maps, write_severstal
from tests.support.steel import real
from trainer.cli import main
from trainer.data.report.survey import survey
from trainer.data.scan import scan


def _check(capsys: pytest.CaptureFixture[str], data: Path, expected: int = 0) -> dict[str, Any]:
    assert main(["check-data", str(data), "--json"]) == expected
    return dict(json.loads(capsys.readouterr().out))


def _write_pair(root: Path, stem: str, frame: np.ndarray, label: np.ndarray) -> None:
    cv2.imwrite(str(root / "images" / f"{stem}.png"), frame)
    cv2.imwrite(str(root / "masks" / f"{stem}.png"), label)


def test_sizes_counts_and_areas_are_those_drawn(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole data: no fault, exit 0."""
    found = _check(capsys, data)
    labels = np.stack([make_labelled(index)[1] for index in range(32)])
    assert found["ok"] is True
    assert found["faults"] == found["remarks"] == []
    assert found["sizes"] == [{"height": HEIGHT, "width": WIDTH, "frames": 32}]
    assert (found["frames"], found["readable"], found["defective"]) == (32, 32, 24)
    for kind, name in enumerate(("normal", "pit", "streak")):
        figures = found["classes"][name]
        assert figures["frames"] == int((labels == kind).any(axis=(1, 2)).sum())
        assert figures["share_of_px"] == pytest.approx((labels == kind).mean())
    assert found["classes"]["pit"]["area_px"]["p50"] == 400
    assert found["classes"]["streak"]["area_px"]["p50"] == 12 * HEIGHT
    assert found["agreement"] is None


@pytest.mark.parametrize("shown", [1, 2, 4, 5])
def test_a_class_with_few_frames_is_remarked_on(
    tmp_path: Path, shown: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class on one to four frames is warned of, and does not stop training; on five it is not."""
    root = write_label_maps(tmp_path / "d")
    left = shown
    for mask in sorted((root / "masks").iterdir()):
        label = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
        assert label is not None
        if (label == 2).any():
            left -= 1
            label[label == 2] = 2 if left >= 0 else 0
            cv2.imwrite(str(mask), label)
    found = _check(capsys, root)
    rare = [remark["text"] for remark in found["remarks"] if remark["kind"] == "rare class"]
    assert found["classes"]["streak"]["frames"] == shown
    if shown >= 5:
        assert rare == []
        return
    assert len(rare) == 1
    assert f"only {shown} frame{'s show' if shown > 1 else ' shows'} the class streak" in rare[0]


def test_every_damaged_row_and_file_is_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One does not hide the next, the frames that are whole are still counted, and the exit code is 1."""
    root = write_severstal(tmp_path / "d", old_spelling=False)
    with (root / "train.csv").open("a") as table:
        table.write(
            "gone.png,1,1 4\n000.png,5,1 4\n000.png,x,1 4\n000.png,1,7190 40\n001.png,1,1 4\n001.png,3,1 7200\n"
            "000.png,2,\n000.png,1"
        )
    (root / "train_images" / "004.png").write_bytes(b"half a picture")
    cv2.imwrite(str(root / "train_images" / "008.png"), np.full((HEIGHT, WIDTH + 2), 90, np.uint8))
    found = _check(capsys, root, expected=1)
    table = str(root / "train.csv")  # type: ignore[assignment]
    assert {(fault["kind"], fault["file"], fault["row"]) for fault in found["faults"]} == {
        ("missing image", table, 8),
        ("unknown class", table, 9),
        ("bad row", table, 10),
        ("bad mask", table, 11),
        ("second mask", table, 12),
        ("overlapping classes", table, 13),
        ("bad row", table, 15),
        ("unreadable image", str(root / "train_images" / "004.png"), None),
    }
    kinds = [remark["kind"] for remark in found["remarks"] if remark["kind"] != "rare class"]
    assert sorted(kinds) == ["another size", "empty class", "empty mask", "table cut off?"]
    assert (found["ok"], found["frames"], found["readable"]) == (False, 9, 8)
    assert main(["check-data", str(root)]) == 1
    shown = capsys.readouterr()
    for fault in found["faults"]:
        assert fault["text"] in shown.out
    assert "8 faults that `trainer train` would refuse" in shown.err
    assert len(shown.err.strip().splitlines()) == 1


def test_faults_of_label_maps_are_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing mask, an orphan, another size, an unknown value and a colour mask, each by its file."""
    root = write_label_maps(tmp_path / "d", frames=8)
    masks = root / "masks"
    (masks / "000.png").unlink()
    (root / "images" / "001.png").unlink()
    cv2.imwrite(str(masks / "002.png"), np.zeros((HEIGHT, WIDTH + 1), np.uint8))
    cv2.imwrite(str(masks / "003.png"), np.full((HEIGHT, WIDTH), 9, np.uint8))
    cv2.imwrite(str(masks / "004.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    found = _check(capsys, root, expected=1)
    assert {(fault["kind"], Path(fault["file"]).relative_to(root).as_posix()) for fault in found["faults"]} == {
        ("missing mask", "images/000.png"),
        ("missing image", "masks/001.png"),
        ("mask of another size", "masks/002.png"),
        ("unknown class", "masks/003.png"),
        ("unreadable mask", "masks/004.png"),
    }


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Whole data and: an exact copy with its mask one row lower, a turned copy of which the class is swapped."""
    root = write_label_maps(tmp_path / "d", frames=16)
    frame, label = make_labelled(1)
    _write_pair(root, "exact", frame, np.roll(label, 2, axis=0))
    frame, label = make_labelled(7)
    swapped = np.where(label == 2, 1, 0).astype(np.uint8)
    _write_pair(root, "turned", np.clip(frame[::-1].astype(np.int16) + 7, 0, 255).astype(np.uint8), swapped[::-1])
    return root


def test_duplicates_are_found_and_their_masks_compared(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Copied or turned; duplicates are remarkable, not a fault."""
    found = _check(capsys, copied)
    assert found["duplicates"]["exact"] == [["001.png", "exact.png"]]
    (near,) = found["duplicates"]["near"]
    assert near["frames"] == ["007.png", "turned.png"]
    assert near["turn"] == 2
    assert near["mask_iou"] == 0.0
    assert found["independent_groups"] == 16
    agreement = found["agreement"]
    assert (agreement["pairs"], agreement["differing"], agreement["misnamed"]) == (2, 2, 1)
    # 18 of 20 rows of the pit in common, and the streak that the other calls pit
    assert agreement["iou"]["pit"] == pytest.approx(18 * 20 / (22 * 20 + 12 * HEIGHT))
    assert agreement["iou"]["streak"] == 0.0


def test_another_defect_on_the_same_steel_is_no_duplicate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It shares a part; its mask rightly differs and says nothing of the annotator."""
    root = write_label_maps(tmp_path / "d", frames=8)
    frame, label = make_labelled(3)
    frame[30:60, 5:7], label[30:60, 5:7] = 10, 1
    _write_pair(root, "scratched", frame, label)
    found = _check(capsys, root)
    assert found["duplicates"]["near"] == []
    assert [pair["frames"] for pair in found["duplicates"]["share_parts"]] == [["003.png", "scratched.png"]]
    assert found["agreement"] is None


def test_black_margins_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Share of frames, typical width, and frames without any steel."""
    root = write_label_maps(tmp_path / "d", frames=10)
    for index, width in enumerate((20, 30, 40)):
        frame, label = make_labelled(4 * index)
        frame[:, WIDTH - width :] = 3
        _write_pair(root, f"{4 * index:03}", frame, label)
    _write_pair(root, "black", np.full((HEIGHT, WIDTH), 2, np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8))
    found = _check(capsys, root)
    assert found["margins"] == {"frames": 3, "typical_px": 30, "widest_px": 40, "black_frames": ["black.png"]}


def test_the_page_is_whole_and_shows_pictures(copied: Path, tmp_path: Path) -> None:
    """One file without links to others; its pictures decode; names are escaped."""
    root = Path(shutil.move(copied, tmp_path / "<b>d"))
    (root / "classes.json").write_text('["normal", "<i>pit", "streak"]')
    page = tmp_path / "page.html"
    assert main(["check-data", str(root), "--html", str(page)]) == 0
    text = page.read_text()
    assert "Training takes this data" in text
    assert "<b>d" not in text
    assert "<i>pit" not in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    pictures = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", text)
    assert len(pictures) >= 9
    for picture in pictures:
        assert cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), cv2.IMREAD_COLOR) is not None


def test_no_data_set_at_all_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So is a folder without a readable image; no page is written."""
    assert main(["check-data", str(tmp_path), "--html", str(tmp_path / "p.html")]) == 2
    assert "no data set here" in capsys.readouterr().err
    root = write_label_maps(tmp_path / "d", frames=2)
    for path in (root / "images").iterdir():
        path.write_bytes(b"")
    assert main(["check-data", str(root), "--html", str(tmp_path / "p.html")]) == 2
    assert "none of its 2 frames can be read" in capsys.readouterr().err
    assert not (tmp_path / "p.html").exists()


def test_what_training_takes_has_no_faults_and_the_other_way_round(data: Path) -> None:
    """The strict walk of `split` and the collecting one see the same frames."""
    found = survey(data)
    strict = scan(found.dataset)
    assert [frame.digest for frame in strict] == [frame.digest for frame in found.frames]


@pytest.mark.shared
def test_real_steel_is_known_for_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Different Severstal frames without a fault, of every kind, some of them with a black margin."""
    folder = real("severstal")
    if folder is None:
        pytest.skip("no real frames here")
    found = _check(capsys, folder)
    rows = list(csv.DictReader((folder / "train.csv").read_text().splitlines()))
    for kind in range(1, 5):
        frames = {row["ImageId"] for row in rows if row["ClassId"] == str(kind)}
        assert found["classes"][f"class_{kind}"]["frames"] == len(frames) > 0
    images = len(list((folder / "train_images").iterdir()))
    assert found["independent_groups"] == found["frames"] == found["readable"] == images
    assert not found["faults"]
    assert 0.15 <= found["margins"]["frames"] / images <= 0.4
