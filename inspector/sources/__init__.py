"""Sources: where frames come from. One line a kind of source; the config's `type` picks it."""

import glob
from pathlib import Path

from inspector.config import (
    CameraSettings,
    FolderSettings,
    RecordingSettings,
    SimulatorSettings,
    SourceSettings,
    VideoSettings,
)
from inspector.errors import SourceError
from inspector.images import IMAGE_ENDINGS
from inspector.sources.base import Source, WhenBehind

_SPEC_HINT = "give an image or a folder of images, a video file, or a recording made by `inspector record`"


def at_scale(settings: SourceSettings, mm_per_px_along: float) -> SourceSettings:
    """The settings with the recipe's scale, which a recording holds its positions against."""
    if isinstance(settings, RecordingSettings):
        return settings.model_copy(update={"mm_per_px": mm_per_px_along})
    return settings


def open_source(settings: SourceSettings) -> Source:
    """The source the settings describe, not yet entered."""
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
            )
        case SimulatorSettings():
            from inspector.sources.simulated import SimulatorSource

            return SimulatorSource(settings)


def source_settings(path: Path) -> FolderSettings | VideoSettings | RecordingSettings:
    """What a path given on the command line is; raises SourceError when it is none of them.

    One image is a folder of one name, and so are wildcards in the last part of the path.
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


__all__ = ["Source", "WhenBehind", "open_source", "source_settings"]
