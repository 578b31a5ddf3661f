"""Sources, which provide frames. The config's `type` selects the kind of source."""

import fnmatch
import glob
from collections.abc import Sequence
from pathlib import Path

from inspector.config.line import LineConfig
from inspector.config.sources import (
    CameraSettings,
    FileSettings,
    FolderSettings,
    GenicamSettings,
    ListSettings,
    PythonSettings,
    RecordingSettings,
    SimulatorSettings,
    SourceSettings,
    VideoSettings,
)
from inspector.config.strip import CameraPosition
from inspector.errors import SourceError
from inspector.images import IMAGE_ENDINGS, GreyWindow
from inspector.names import printable
from inspector.sources.base import Measured, Source, WhenBehind

_SPEC_HINT = "give an image or a folder of images, a video file, or a recording made by `inspector record`"


def at_scale(settings: SourceSettings, mm_per_px_along: float, *, rescale: bool = False) -> SourceSettings:
    """Return the settings with the recipe's scale, against which recordings check their positions.

    `rescale` allows recordings of another scale, as their own setting does.
    """
    if isinstance(settings, ListSettings):
        scaled = tuple(at_scale(each, mm_per_px_along, rescale=rescale) for each in settings.sources)
        return settings.model_copy(update={"sources": scaled})
    if isinstance(settings, RecordingSettings):
        return settings.model_copy(update={"mm_per_px": mm_per_px_along, "rescale": rescale or settings.rescale})
    return settings


def with_grey_window(
    settings: FileSettings | ListSettings, window: GreyWindow | None
) -> FileSettings | ListSettings:
    """Return the settings with the samples of deep grey that are black and white; a recording has none."""
    if isinstance(settings, ListSettings):
        parts = tuple(with_grey_window(each, window) for each in settings.sources)
        return settings.model_copy(update={"sources": parts})
    return (
        settings
        if isinstance(settings, RecordingSettings)
        else settings.model_copy(update={"grey_window": window})
    )


def following(settings: FileSettings | ListSettings) -> FileSettings | ListSettings:
    """Return the settings of a source that goes on with images that appear later. Raises SourceError."""
    if isinstance(settings, ListSettings):
        *before, last = settings.sources
        return settings.model_copy(update={"sources": (*before, following(last))})
    if not isinstance(settings, FolderSettings):
        raise SourceError(f"{settings.path}: --follow is for a folder of images, which others can add to")
    return settings.model_copy(update={"follow": True})


def open_source(settings: SourceSettings) -> Source:
    """Create the source that the settings describe; the caller enters it."""
    match settings:
        case ListSettings():
            from inspector.sources.sequence import SequenceSource

            return SequenceSource([(each.path.name, open_source(each)) for each in settings.sources])
        case FolderSettings():
            from inspector.sources.folder.source import FolderSource

            return FolderSource(
                settings.path,
                pattern=settings.pattern,
                follow=settings.follow,
                grey_window=settings.grey_window,
            )
        case VideoSettings():
            from inspector.sources.video.source import VideoSource

            return VideoSource(settings.path, grey_window=settings.grey_window)
        case RecordingSettings():
            from inspector.sources.recording.source import RecordingSource

            return RecordingSource(settings.path, mm_per_px=settings.mm_per_px, rescale=settings.rescale)
        case CameraSettings():
            from inspector.sources.camera.source import CameraSource

            return CameraSource(
                settings.address(),
                frames_per_second=settings.frames_per_second,
                triggered=settings.trigger == "encoder",
                grey_window=settings.grey_window,
                v4l2=settings.v4l2,
            )
        case GenicamSettings():
            from inspector.sources.genicam.source import GenicamSource

            return GenicamSource(settings)
        case SimulatorSettings():
            from inspector.sources.simulator.source import SimulatorSource

            return SimulatorSource(settings)
        case PythonSettings():
            from inspector.sources.python import load_source

            return load_source(settings)


def open_camera(line: LineConfig, camera: str, mm_per_px_along: float) -> Source:
    """Create the source of a line's camera. `mm_per_px_along` is the recipe's scale."""
    settings = line.cameras[camera]
    if line.mill is not None and isinstance(settings, SimulatorSettings):
        from inspector.sources.simulator.mill_source import MillCamera

        own = None if line.strip is None else line.strip.camera(camera).mm_per_px_along
        return MillCamera(line, camera, settings, own or mm_per_px_along)
    if isinstance(settings, GenicamSettings):
        from inspector.sources.genicam.source import GenicamSource

        position = None if line.strip is None else line.strip.position
        carried = position if isinstance(position, CameraPosition) and position.camera == camera else None
        return GenicamSource(settings, counter_range=None if carried is None else carried.counter_range)
    return open_source(at_scale(settings, mm_per_px_along))


def source_settings(paths: Sequence[Path]) -> FileSettings | ListSettings:
    """Return the settings for paths from the command line; raises SourceError for a path that is no source.

    Several paths, or a pattern that matches several folders and videos, become a list. An image becomes its folder
    with the image's name as the pattern; a pattern for images becomes the folder's pattern.
    """
    found = [settings for path in paths for settings in _settings(path)]
    return found[0] if len(found) == 1 else ListSettings(type="list", sources=tuple(found))


def _settings(path: Path) -> list[FileSettings]:
    from inspector.sources.folder.natural_order import in_natural_order
    from inspector.sources.folder.source import FolderSource
    from inspector.sources.video.source import VIDEO_ENDINGS

    path = path.resolve()
    if path.exists() or not any(mark in path.name for mark in "*?["):
        return [_one(path)]
    named = [each for each in FolderSource(path.parent).visible() if fnmatch.fnmatchcase(each.name, path.name)]
    several = [each for each in named if each.is_dir() or each.suffix.lower() in VIDEO_ENDINGS]
    if several and not any(each.suffix.lower() in IMAGE_ENDINGS for each in named if each not in several):
        return [_one(each) for each in in_natural_order(several)]
    _check_name(path)
    return [FolderSettings(type="folder", path=path.parent, pattern=path.name)]


def _one(path: Path) -> FileSettings:
    from inspector.sources.recording.source import RECORDING_NAME
    from inspector.sources.video.source import VIDEO_ENDINGS

    _check_name(path)
    if path.is_dir():
        if (path / RECORDING_NAME).exists():
            return RecordingSettings(type="recording", path=path)
        return FolderSettings(type="folder", path=path)
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder: {_SPEC_HINT}")
    if path.suffix.lower() in VIDEO_ENDINGS:
        return VideoSettings(type="video", path=path)
    if path.suffix.lower() in IMAGE_ENDINGS:
        return FolderSettings(type="folder", path=path.parent, pattern=glob.escape(path.name))
    raise SourceError(f"{path}: neither a folder nor a video ({', '.join(sorted(VIDEO_ENDINGS))}): {_SPEC_HINT}")


def _check_name(path: Path) -> None:
    if printable(str(path)) != str(path):
        raise SourceError(
            f"{printable(str(path))}: its name is not UTF-8, which results could not hold; rename it"
        )


__all__ = [
    "Measured",
    "Source",
    "WhenBehind",
    "at_scale",
    "following",
    "open_camera",
    "open_source",
    "source_settings",
    "with_grey_window",
]
