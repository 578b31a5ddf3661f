"""Sources, which provide frames. The config's `type` selects the kind of source."""

import glob
from pathlib import Path

from inspector.config.line import (
    CameraSettings,
    FolderSettings,
    GenicamSettings,
    RecordingSettings,
    SimulatorSettings,
    SourceSettings,
    VideoSettings,
)
from inspector.errors import SourceError
from inspector.images import IMAGE_ENDINGS
from inspector.sources.base import Measured, Source, WhenBehind

_SPEC_HINT = "give an image or a folder of images, a video file, or a recording made by `inspector record`"


def at_scale(settings: SourceSettings, mm_per_px_along: float) -> SourceSettings:
    """Return the settings with the recipe's scale, against which a recording checks its positions."""
    if isinstance(settings, RecordingSettings):
        return settings.model_copy(update={"mm_per_px": mm_per_px_along})
    return settings


def open_source(settings: SourceSettings) -> Source:
    """Create the source that the settings describe; the caller enters it."""
    match settings:
        case FolderSettings():
            from inspector.sources.folder import FolderSource

            return FolderSource(
                settings.path,
                pattern=settings.pattern,
                follow=settings.follow,
                grey_window=settings.grey_window,
            )
        case VideoSettings():
            from inspector.sources.video import VideoSource

            return VideoSource(settings.path, grey_window=settings.grey_window)
        case RecordingSettings():
            from inspector.sources.recording import RecordingSource

            return RecordingSource(settings.path, mm_per_px=settings.mm_per_px, rescale=settings.rescale)
        case CameraSettings():
            from inspector.sources.camera import CameraSource

            return CameraSource(
                settings.address(),
                frames_per_second=settings.frames_per_second,
                triggered=settings.trigger == "encoder",
                grey_window=settings.grey_window,
                v4l2=settings.v4l2,
            )
        case GenicamSettings():
            from inspector.sources.genicam import GenicamSource

            return GenicamSource(settings)
        case SimulatorSettings():
            from inspector.sources.simulated import SimulatorSource

            return SimulatorSource(settings)


def source_settings(path: Path) -> FolderSettings | VideoSettings | RecordingSettings:
    """Return the settings for a path from the command line; raises SourceError for a path that is no source.

    An image becomes its folder with the image's name as the pattern; wildcards in the last part of the path become
    the pattern.
    """
    from inspector.sources.folder import printable
    from inspector.sources.recording import RECORDING_NAME
    from inspector.sources.video import VIDEO_ENDINGS

    path = path.resolve()
    if printable(str(path)) != str(path):
        raise SourceError(
            f"{printable(str(path))}: its name is not UTF-8, which results could not hold; rename it"
        )
    if path.is_dir():
        if (path / RECORDING_NAME).exists():
            return RecordingSettings(type="recording", path=path)
        return FolderSettings(type="folder", path=path)
    if not path.exists() and any(mark in path.name for mark in "*?["):
        return FolderSettings(type="folder", path=path.parent, pattern=path.name)
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder: {_SPEC_HINT}")
    if path.suffix.lower() in VIDEO_ENDINGS:
        return VideoSettings(type="video", path=path)
    if path.suffix.lower() in IMAGE_ENDINGS:
        return FolderSettings(type="folder", path=path.parent, pattern=glob.escape(path.name))
    raise SourceError(f"{path}: neither a folder nor a video ({', '.join(sorted(VIDEO_ENDINGS))}): {_SPEC_HINT}")


__all__ = ["Measured", "Source", "WhenBehind", "open_source", "source_settings"]
