"""A source on the command line is read through the grey window of the config's camera, or the stated one."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.cli import main
from inspector.commands.given_source import given_source
from inspector.config.line import load_config
from inspector.config.sources import FolderSettings, ListSettings, RecordingSettings, VideoSettings
from inspector.errors import InputError
from inspector.sources import open_source
from inspector.sources.recording.source import RecordingWriter
from inspector.values import Capture
from tests.support.frames import make_frame, make_frames
from tests.support.lines import LineUnderTest
from tests.support.videos import write_video


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """Twenty images of 12 bits."""
    folder = tmp_path / "deep"
    folder.mkdir()
    for number in range(20):
        cv2.imwrite(str(folder / f"{number}.png"), make_frame(number, 64, 128).astype(np.uint16) * 16)
    return folder


@pytest.fixture
def line(tmp_path: Path) -> LineUnderTest:
    return LineUnderTest(tmp_path)


def write(line: LineUnderTest, **windows: list[int] | None) -> None:
    """Cameras of folders, each with its grey window."""
    (line.folder / "recipe.toml").touch()
    tables = "".join(
        f'[cameras.{name}]\ntype = "folder"\npath = "/none"\n'
        + (f"grey_window = {window}\n" if window is not None else "")
        for name, window in windows.items()
    )
    line.config.write_text(f'name = "test"\nengine = "engine"\nrecipe = "recipe.toml"\n{tables}')


@pytest.mark.parametrize(
    ("windows", "camera", "stated", "expected"),
    [
        ({"a": [0, 4095]}, None, None, (0, 4095)),
        ({"a": [0, 4095]}, None, [16, 1023], (16, 1023)),
        ({"a": None}, None, [0, 1023], (0, 1023)),
        ({"a": [0, 4095], "b": [0, 4095]}, None, None, (0, 4095)),
        ({"a": [0, 4095], "b": [0, 1023]}, None, None, None),
        ({"a": [0, 4095], "b": [0, 1023]}, "b", None, (0, 1023)),
        ({"a": [0, 4095], "b": None}, None, None, None),
        ({"a": None}, None, None, None),
    ],
)
def test_the_window_is_the_camera_s_or_the_stated_one(
    line: LineUnderTest,
    deep: Path,
    windows: dict[str, list[int] | None],
    camera: str | None,
    stated: list[int] | None,
    expected: tuple[int, int] | None,
) -> None:
    """Of several cameras it is taken only if it is the same, or if the camera is named."""
    write(line, **windows)
    settings = given_source([deep], load_config(line.config).line, camera, stated)
    assert isinstance(settings, FolderSettings)
    assert settings.grey_window == expected


def test_every_part_of_a_list_has_the_window(line: LineUnderTest, deep: Path, tmp_path: Path) -> None:
    """A folder, a video; a recording is grey of 8 bits."""
    write(line, top=[0, 4080])
    video = write_video(tmp_path / "deep.mkv", make_frames(2), codec="ffv1", pixel_format="gray12le")
    with RecordingWriter(tmp_path / "recording", "top") as writer:
        writer.append(Capture(make_frame(1)))
    settings = given_source([deep, video, tmp_path / "recording"], load_config(line.config).line, None, None)
    assert isinstance(settings, ListSettings)
    assert [type(each) for each in settings.sources] == [FolderSettings, VideoSettings, RecordingSettings]
    with open_source(settings) as source:
        captures = [capture for capture in source.captures() if capture is not None]
    assert len(captures) == 20 + 2 + 1
    assert all(capture.pixels is not None for capture in captures)
    assert np.array_equal(captures[3].pixels, make_frame(3, 64, 128))  # type: ignore[arg-type]


@pytest.mark.parametrize("window", [[5, 5], [-1, 9], [0, 65_536]])
def test_a_window_that_is_none_is_refused(line: LineUnderTest, deep: Path, window: list[int]) -> None:
    """LOW < HIGH, 16 bits."""
    with pytest.raises(InputError, match=r"--grey-window .* needs 0 ≤ LOW < HIGH ≤ 65535"):
        given_source([deep], load_config(line.config).line, None, window)


def test_the_commands_read_deep_images(
    line: LineUnderTest, deep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` says that no image is readable without a window; `calibrate` and `record` take one."""
    config, out = ["--config", str(line.config)], str(line.folder / "recording")
    assert main(["check", str(deep), *config]) == 2
    (said,) = [each for each in capsys.readouterr().out.splitlines() if "source" in each]
    assert said.startswith("wrong")
    assert "none of its 20 images can be read: 0.png: " in said
    assert "grey_window" in said
    window = ["--grey-window", "0", "4080"]
    assert main(["check", str(deep), *config, *window]) in {0, 2}
    (said,) = [each for each in capsys.readouterr().out.splitlines() if "source" in each]
    assert said.split() == ["ok", "source", "folder,", "20", "frames"]
    assert main(["calibrate", str(deep), *config, *window]) == 0
    assert "Learned from 20 pictures" in capsys.readouterr().out
    assert main(["record", str(deep), *config, *window, "--out", out]) == 0
    assert "recorded 20 frames of camera top, 0 of them faults" in capsys.readouterr().out
    for command in (["check"], ["record", "--out", f"{out}-2"]):
        assert main([*command, *config, *window]) == 2
        assert "--grey-window is for a SOURCE" in capsys.readouterr().err
