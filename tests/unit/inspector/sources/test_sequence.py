"""Several sources one after the other, as given on the command line or in the config."""

from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from inspector.config.sources import FolderSettings, ListSettings, RecordingSettings, VideoSettings
from inspector.errors import SourceError
from inspector.sources import at_scale, following, open_source, source_settings
from inspector.sources.recording.source import RecordingWriter
from inspector.values import Capture
from tests.support.frames import make_frame, make_frames
from tests.support.videos import write_video


def images(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        Image.fromarray(make_frame(1)).save(folder / name)
    return folder


def recording(folder: Path, start_mm: float) -> Path:
    with RecordingWriter(folder, "top", mm_per_px=0.5) as writer:
        for number, pixels in enumerate(make_frames(3)):
            writer.append(Capture(pixels, captured_ns=number, position_mm=start_mm + 32 * number))
    return folder


def files(source: object) -> list[str | None]:
    return [capture.file for capture in source.captures() if capture is not None]  # type: ignore[attr-defined]


def test_sources_come_in_the_order_given(tmp_path: Path) -> None:
    """A folder, an image, a pattern: each image once for each time it is named."""
    first = images(tmp_path / "b", "1.png", "2.png", "10.png")
    second = images(tmp_path / "a", "1.png", "x.png")
    with open_source(source_settings([first, second / "x.png", second / "1*"])) as source:
        assert source.total() == 5
        assert files(source) == ["1.png", "2.png", "10.png", "x.png", "1.png"]
        assert [name for name, _ in source.sizes()][:2] == ["b/1.png", "b/2.png"]


def test_a_pattern_for_recordings_videos_and_folders_is_a_list_in_natural_order(tmp_path: Path) -> None:
    """coil-2 comes before coil-10; hidden ones and other files are left out."""
    for name in ("coil-10", "coil-2", ".coil-3"):
        recording(tmp_path / name, 0.0)
    write_video(tmp_path / "coil-4.mkv", make_frames(2), codec="ffv1", pixel_format="gray")
    (tmp_path / "coil-5.txt").touch()
    settings = source_settings([tmp_path / "coil-*"])
    assert isinstance(settings, ListSettings)
    assert [each.path.name for each in settings.sources] == ["coil-2", "coil-4.mkv", "coil-10"]
    assert [type(each) for each in settings.sources] == [RecordingSettings, VideoSettings, RecordingSettings]


def test_a_pattern_that_matches_images_takes_only_them(tmp_path: Path) -> None:
    """A subfolder of that name is left out with a note."""
    folder = images(tmp_path / "frames", "left_1.png", "left_2.png", "right_1.png")
    (folder / "left_old").mkdir()
    with open_source(source_settings([folder / "left_*"])) as source:
        assert files(source) == ["left_1.png", "left_2.png"]
        assert source.notes() == ["1 subfolder is left out"]


def test_recordings_keep_their_own_positions_and_scale_check(tmp_path: Path) -> None:
    """The second one's positions are those it was recorded with; another scale is refused for each."""
    listed = source_settings([recording(tmp_path / "one", 0.0), recording(tmp_path / "two", 5000.0)])
    with open_source(at_scale(listed, 0.5)) as source:
        positions = [capture.position_mm for capture in source.captures() if capture is not None]
    assert positions == [0, 32, 64, 5000, 5032, 5064]
    with pytest.raises(SourceError, match="the recipe has 1"), open_source(at_scale(listed, 1.0)):
        pass
    with open_source(at_scale(listed, 1.0, rescale=True)) as source:
        assert [capture.position_mm for capture in source.captures() if capture is not None][-1] == 2 * 5064


def test_what_is_left_out_is_said_with_the_source(tmp_path: Path) -> None:
    """A list of three folders says which one holds other things."""
    first, second = images(tmp_path / "a", "1.png"), images(tmp_path / "b", "1.png")
    (second / "notes.txt").touch()
    with open_source(source_settings([first, second])) as source:
        assert source.notes() == ["b: 1 files of other formats are left out (1 .txt)"]


def test_a_missing_source_fails_before_the_first_frame(tmp_path: Path) -> None:
    """Sources that were opened before it are closed."""
    first = images(tmp_path / "a", "1.png")
    listed = ListSettings(
        type="list",
        sources=(FolderSettings(type="folder", path=first), VideoSettings(type="video", path=tmp_path / "no.mkv")),
    )
    with pytest.raises(SourceError, match=r"no\.mkv"), open_source(listed):
        pass
    with pytest.raises(SourceError, match="no such file or folder"):
        source_settings([first, tmp_path / "none"])


def test_only_the_last_of_a_list_grows(tmp_path: Path) -> None:
    """What comes after a folder without end would never begin; a video does not grow."""
    first, second = images(tmp_path / "a", "1.png"), images(tmp_path / "b", "2.png")
    grown = following(source_settings([first, second]))
    with open_source(grown) as source:
        assert source.total() is None
        captures = source.captures()
        assert [next(captures).file, next(captures).file, next(captures)] == ["1.png", "2.png", None]
    follow = FolderSettings(type="folder", path=first, follow=True)
    with pytest.raises(ValidationError, match="only the last source may have follow"):
        ListSettings(type="list", sources=(follow, FolderSettings(type="folder", path=second)))
    with pytest.raises(SourceError, match="--follow is for a folder of images"):
        following(source_settings([recording(tmp_path / "r", 0.0)]))
