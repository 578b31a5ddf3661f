import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from inspector.errors import SourceError
from inspector.sources import open_source, source_settings
from inspector.sources.folder.source import FolderSource
from inspector.values import Capture, Code, Uninspected
from tests.support.frames import make_frame, make_frames


def save(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


def test_every_file_with_an_image_ending_is_a_frame_in_natural_order(tmp_path: Path) -> None:
    """frame_2 comes before frame_10, whatever the case of the ending; other files and folders do not count."""
    order = ["frame_1.png", "frame_2.PNG", "frame_010.png", "frame_10.bmp", "Frame_11.Jpg"]
    for number, name in enumerate(reversed(order)):
        save(tmp_path / name, make_frame(number))
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "below").mkdir()
    save(tmp_path / "below" / "frame_3.png", make_frame(9))
    with FolderSource(tmp_path) as source:
        assert source.total() == 5
        assert [name for name, _ in source.sizes()] == order
        captures = list(source.captures())
    for number, capture in enumerate(reversed(captures)):
        assert capture is not None
        assert capture.pixels is not None
        assert np.abs(capture.pixels.astype(int) - make_frame(number)).mean() < 5


def test_names_that_are_no_numbers_keep_the_order_every_program_gives_them(tmp_path: Path) -> None:
    """Hexadecimal names sort as text, not by the digits that happen to be in them."""
    order = ["00031f466.png", "0007a71bf.png", "000a4bcdd.png"]
    for name in order:
        save(tmp_path / name, make_frame(0))
    with FolderSource(tmp_path) as source:
        assert [name for name, _ in source.sizes()] == order


def test_unreadable_files_are_faults_that_name_them_and_nothing_is_lost(tmp_path: Path) -> None:
    """Truncated, empty, 16-bit, CMYK, text and a dangling link: each is one captured frame, in its place."""
    frames = make_frames(2)
    save(tmp_path / "0.png", frames[0])
    whole = (tmp_path / "0.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "2.png").touch()
    cv2.imwrite(str(tmp_path / "3.png"), frames[0].astype(np.uint16) * 257)
    Image.fromarray(frames[0]).convert("CMYK").save(tmp_path / "4.jpg")
    (tmp_path / "5.bmp").write_text("a text that was renamed")
    (tmp_path / "6.jpg").symlink_to("nowhere.jpg")
    save(tmp_path / "7.png", frames[1])
    with FolderSource(tmp_path) as source:
        assert source.total() == 8
        captures = [capture for capture in source.captures() if capture is not None]
        assert [name for name, _ in source.sizes()] == ["0.png", "1.png", "7.png"]
    assert len(captures) == 8
    assert np.array_equal(captures[0].pixels, frames[0])  # type: ignore[arg-type]
    assert np.array_equal(captures[7].pixels, frames[1])  # type: ignore[arg-type]
    faults = [capture.fault for capture in captures[1:7] if capture.fault is not None]
    for fault, (name, why) in zip(
        [fault.text for fault in faults],
        [
            ("1.png", "damaged image"),
            ("2.png", "empty file"),
            ("3.png", "16-bit"),
            ("4.jpg", "CMYK"),
            ("5.bmp", "not a JPEG, PNG, BMP, TIFF, WebP or PGM"),
            ("6.jpg", "cannot be read"),
        ],
        strict=True,
    ):
        assert fault.startswith(f"{name}: ")
        assert why in fault
        assert "\n" not in fault


def test_a_file_that_goes_away_after_the_start_is_still_a_captured_frame(tmp_path: Path) -> None:
    """It is a fault, because it was counted when the folder was opened."""
    for number in range(3):
        save(tmp_path / f"{number}.png", make_frame(number))
    with FolderSource(tmp_path) as source:
        (tmp_path / "1.png").unlink()
        captures = list(source.captures())
    assert len(captures) == 3
    assert captures[1] is not None
    assert captures[1].fault == Uninspected(Code.UNREADABLE, "1.png: cannot be read: No such file or directory")


def test_a_name_that_is_not_utf_8_is_readable_in_the_fault(tmp_path: Path) -> None:
    """The fault travels as JSON, which cannot hold stray bytes."""
    with open(os.fsencode(tmp_path) + b"/st\xe4hl.png", "wb"):  # noqa: PTH123 (a name in bytes)
        pass
    with FolderSource(tmp_path) as source:
        (capture,) = source.captures()
    assert capture is not None
    assert capture.fault == Uninspected(Code.UNREADABLE, "st?hl.png: empty file")


def test_a_folder_that_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    """Empty, missing, or a file: what, and what to do."""
    (tmp_path / "file.png").touch()
    (tmp_path / "empty").mkdir()
    for name, says in {
        "empty": "no image in it (.bmp, .jpeg, .jpg, .pgm, .png, .tif, .tiff, .webp)",
        "missing": "No such file or directory",
        "file.png": "not a folder",
    }.items():
        with pytest.raises(SourceError) as caught, FolderSource(tmp_path / name):
            pass
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "order",
    [
        ["frame_1.png", "frame_2.png", "frame_10.png", "overview.png"],
        ["at_1.25.png", "at_1.5.png", "at_2.0.png", "at_10.75.png"],
        ["2024.1.9_3.png", "2024.1.10_1.png", "2024.1.10_2.png"],
        ["cam1_9.png", "cam1_10.png", "cam2_1.png", "cam2_2.png", "readme.png"],
        ["000123456.png", "00031f466.png", "0007a71bf.png", "000a4bcdd.png"],
        ["1.png", "2.png", "10.png", "a.png"],
    ],
)
def test_the_order_is_natural_whatever_else_lies_there(tmp_path: Path, order: list[str]) -> None:
    """Numbers compare by value, also decimals and dates, beside other names; hashes compare as text."""
    for number, name in enumerate(order[::2] + order[1::2]):
        save(tmp_path / name, make_frame(number))
    with FolderSource(tmp_path) as source:
        assert [capture.file for capture in source.captures() if capture is not None] == order


def test_hidden_files_are_no_frames_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    """Hidden files such as macOS's ._x are ignored; other formats and subfolders are counted."""
    for number in range(3):
        save(tmp_path / f"{number}.tif", make_frame(number))
        (tmp_path / f"._{number}.tif").write_bytes(b"resource fork")
    for name in ("a.gif", "b.gif", "notes.txt", "Makefile", ".DS_Store"):
        (tmp_path / name).touch()
    (tmp_path / "below").mkdir()
    with FolderSource(tmp_path) as source:
        assert source.total() == 3
        others, subfolders = source.notes()
    assert others.startswith("4 files of other formats are left out (2 .gif, ")
    assert "1 .txt" in others
    assert subfolders == "1 subfolder is left out"


def test_one_image_and_a_pattern_are_sources(tmp_path: Path) -> None:
    """As given on the command line; brackets in a name are not a pattern."""
    for name in ("a[1].png", "a1.png", "b1.png", "b2.png"):
        save(tmp_path / name, make_frame(1))
    for given, names in {
        "a[1].png": ["a[1].png"],
        "b*.png": ["b1.png", "b2.png"],
        "?1.png": ["a1.png", "b1.png"],
    }.items():
        with open_source(source_settings([tmp_path / given])) as source:
            assert [capture.file for capture in source.captures() if capture is not None] == names
    with (
        pytest.raises(SourceError, match=r"no image in it is called c\*"),
        open_source(source_settings([tmp_path / "c*"])),
    ):
        pass


def test_a_folder_that_grows_is_followed_and_no_file_is_taken_half_written(tmp_path: Path) -> None:
    """New files come in the order of their names, each when it no longer changes."""
    save(tmp_path / "1.png", make_frame(1))
    with FolderSource(tmp_path, follow=True) as source:
        assert source.total() is None
        captures = source.captures()
        first = next(captures)
        assert first is not None
        assert first.file == "1.png"
        save(tmp_path / "10.png", make_frame(10))
        data = (tmp_path / "1.png").read_bytes()
        (tmp_path / "2.png").write_bytes(data[:200])
        found: list[Capture] = []
        started_s = time.monotonic()
        is_written = False
        for capture in captures:
            passed_s = time.monotonic() - started_s
            if passed_s < 1.0:
                os.utime(tmp_path / "2.png")  # its writer is at work
            elif not is_written:
                (tmp_path / "2.png").write_bytes(data)
                is_written = True
            found += [] if capture is None else [capture]
            if len(found) == 2:
                break
            assert passed_s < 10
    assert [capture.file for capture in found] == ["2.png", "10.png"]
    assert all(capture.pixels is not None for capture in found)


def followed(folder: Path, count: int, act: dict[float, Callable[[], object]]) -> list[Capture]:
    """Follow a folder until `count` captures; `act` says what happens to it how many seconds after the start."""
    found: list[Capture] = []
    with FolderSource(folder, follow=True) as source:
        start_s, last_s = time.monotonic(), time.monotonic()
        for capture in source.captures():
            now_s = time.monotonic()
            assert now_s - last_s < 0.5  # the contract's 0.2 s, and a busy machine
            last_s = now_s
            found += [] if capture is None else [capture]
            for due_s in [due_s for due_s in act if now_s - start_s >= due_s]:
                act.pop(due_s)()
            if len(found) == count and not act:
                return found
            assert now_s - start_s < 12
    raise AssertionError


@pytest.mark.parametrize("begun", ["empty", "torn", "allocated"])
@pytest.mark.parametrize("at_start", [True, False])
def test_a_slow_writer_costs_no_frame(tmp_path: Path, begun: str, at_start: bool) -> None:
    """An image that is empty, torn, or allocated and not written yet is waited for, also one of the start."""
    save(tmp_path / "1.png", make_frame(1))
    data = (tmp_path / "1.png").read_bytes()
    part = {"empty": b"", "torn": data[:200], "allocated": bytes(len(data))}[begun]
    if at_start:
        (tmp_path / "2.png").write_bytes(part)
    found = followed(
        tmp_path,
        3,
        {
            0.2: lambda: (tmp_path / "2.png").write_bytes(part) if not at_start else None,
            0.3: lambda: (tmp_path / "3.png").write_bytes(data),
            1.8: lambda: (tmp_path / "2.png").write_bytes(data),
        },
    )
    assert [capture.file for capture in found] == ["1.png", "2.png", "3.png"]
    assert all(capture.pixels is not None for capture in found)


def test_an_image_that_stays_torn_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later images wait for it, and no longer."""
    monkeypatch.setattr("inspector.sources.folder.growing._BROKEN_S", 1.0)
    save(tmp_path / "1.png", make_frame(1))
    found = followed(
        tmp_path,
        3,
        {
            0.1: lambda: (tmp_path / "2.png").write_bytes(b"torn"),
            0.2: lambda: (tmp_path / "3.png").write_bytes((tmp_path / "1.png").read_bytes()),
        },
    )
    assert [(capture.file, capture.pixels is None) for capture in found] == [
        ("1.png", False),
        ("2.png", True),
        ("3.png", False),
    ]


@pytest.mark.parametrize("judged", [0, 30])
def test_an_outage_of_a_growing_folder_costs_no_frame(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, judged: int
) -> None:
    """A network drive that is away for a while is waited for, also while the images of the start are read."""
    monkeypatch.setattr("inspector.sources.folder.growing._BROKEN_S", 0.5)
    folder, away = tmp_path / "frames", tmp_path / "away"
    folder.mkdir()
    for number in range(30):
        save(folder / f"{number}.png", make_frame(number))
    data = (folder / "1.png").read_bytes()
    found = followed(
        folder,
        31,
        {
            0.0 if judged == 0 else 0.8: lambda: folder.rename(away),
            2.0: lambda: away.rename(folder),
            2.1: lambda: (folder / "30.png").write_bytes(data),
        },
    )
    assert [capture.file for capture in found] == [f"{number}.png" for number in range(31)]
    assert all(capture.pixels is not None for capture in found)
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("the folder cannot be read: waiting for it") == 1


def test_many_new_images_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Images that were added together are complete together."""
    save(tmp_path / "0.png", make_frame(0))
    data = (tmp_path / "0.png").read_bytes()

    def add() -> None:
        for number in range(1, 100):
            (tmp_path / f"{number}.png").write_bytes(data)

    started_s = time.monotonic()
    assert len(followed(tmp_path, 100, {0.1: add})) == 100
    assert time.monotonic() - started_s < 6


def test_an_unchanged_folder_is_not_scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of 40,000 images must not keep a core busy."""
    monkeypatch.setattr("inspector.sources.folder.growing._SETTLED_S", 0.5)
    save(tmp_path / "1.png", make_frame(1))
    scans: list[float] = []
    scan = os.scandir

    def counted(path: Path) -> object:
        scans.append(time.monotonic())
        return scan(path)

    with FolderSource(tmp_path, follow=True) as source:
        monkeypatch.setattr("inspector.sources.folder.growing.os.scandir", counted)
        captures = source.captures()
        start_s = time.monotonic()
        while time.monotonic() - start_s < 1.5:
            next(captures)
    assert scans
    assert max(scans) - start_s < 0.9


def test_a_folder_of_deep_images_needs_a_window(tmp_path: Path) -> None:
    """Without one, each is a fault that says what to state; with one it is a frame."""
    cv2.imwrite(str(tmp_path / "1.tif"), make_frame(1).astype(np.uint16) * 16)
    with FolderSource(tmp_path) as source:
        (capture,) = source.captures()
    assert capture is not None
    assert capture.fault is not None
    assert "grey_window" in capture.fault.text
    with FolderSource(tmp_path, grey_window=(0, 4080)) as source:
        assert [size for _, size in source.sizes()] == [(64, 160)]
        (capture,) = source.captures()
    assert capture is not None
    assert np.array_equal(capture.pixels, make_frame(1))  # type: ignore[arg-type]


def test_a_source_whose_own_name_is_not_utf_8_is_one_clear_line(tmp_path: Path) -> None:
    """Its path would stand in JSON, which cannot hold it."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/st\xe4hl"))
    path.mkdir()
    save(path / "1.png", make_frame(1))
    with pytest.raises(SourceError, match=r"st.hl: its name is not UTF-8"):
        source_settings([path])
