"""A resumed replay takes the files that have verdicts first, whatever happened to the folders since."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from inspector.errors import InputError
from inspector.ingest.resume import keep_order
from inspector.sources import open_source, source_settings
from tests.support.frames import make_frames
from tests.support.videos import write_video

A, B = ["1.png", "2.png", "3.png"], ["4.png", "5.png", "6.png"]


def folders(path: Path, first: Sequence[str], second: Sequence[str]) -> list[Path]:
    for folder, names in (("a", first), ("b", second)):
        (path / folder).mkdir()
        for name in names:
            (path / folder / name).touch()
    return [path / "a", path / "b"]


def files(paths: list[Path], judged: Sequence[str | None]) -> list[str | None]:
    source = open_source(source_settings(paths))
    keep_order(source, judged)
    with source:
        return [capture.file for capture in source.captures() if capture is not None]


@pytest.mark.parametrize(
    ("first", "second", "judged", "expected"),
    [
        pytest.param(A, B, [], [*A, *B], id="nothing judged"),
        pytest.param(A, B, [*A, *B[:2]], [*A, *B], id="nothing changed"),
        pytest.param(A, A, [*A, *A[:1]], [*A, *A], id="the same names twice"),
        pytest.param([*A, "0.png"], B, A[:2], [*A[:2], "0.png", A[2], *B], id="added where the replay goes on"),
        pytest.param(A, [*B, "0.png"], [*A, *B[:2]], [*A, *B[:2], "0.png", B[2]], id="added to the last"),
        pytest.param([A[0], A[2]], B, [*A, B[0]], [*A, *B], id="removed in the middle of the first"),
        pytest.param(A[:2], B, [*A, B[0]], [*A, *B], id="removed at the end of the first"),
        pytest.param(A, B[1:], [*A, *B[:2]], [*A, *B], id="removed at the start of the second"),
        pytest.param(A, B[:1], [*A, *B[:2]], [*A, *B[:2]], id="removed at the end of the second"),
    ],
)
def test_judged_files_keep_their_places(
    tmp_path: Path, first: Sequence[str], second: Sequence[str], judged: Sequence[str], expected: Sequence[str]
) -> None:
    """No file is left out and none comes twice; one that was removed keeps its place."""
    found = files(folders(tmp_path, first, second), judged)
    assert found[: len(judged)] == list(judged)
    assert found == list(expected)


@pytest.mark.parametrize(
    ("first", "second", "judged"),
    [
        pytest.param([*A, "0.png"], B, [*A, B[0]], id="added to a folder that is done"),
        pytest.param(["1.png", "3.png"], A, [*A, *A[:1]], id="removed, and the next folder has its name"),
        pytest.param(A, B, [None], id="another source"),
    ],
)
def test_what_has_no_place_is_refused(
    tmp_path: Path, first: Sequence[str], second: Sequence[str], judged: Sequence[str | None]
) -> None:
    """One line names the folder, before anything is inspected."""
    with pytest.raises(InputError, match=r"a: changed since the replay began: \d\.png has no verdict"):
        files(folders(tmp_path, first, second), judged)


def test_frames_of_a_video_lie_between_folders(tmp_path: Path) -> None:
    """Frames of a video have no file."""
    a, b = folders(tmp_path, A, [*B, "0.png"])
    video = write_video(tmp_path / "strip.mkv", make_frames(2), codec="ffv1", pixel_format="gray")
    assert files([a, video, b], [*A, None, None, *B]) == [*A, None, None, *B, "0.png"]
