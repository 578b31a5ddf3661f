"""archive: takes every frame from ingest, and writes it when the PC has time for it."""

import time
from pathlib import Path
from typing import Final

import structlog

from inspector.archive.camera import CameraArchive
from inspector.archive.coils import CoilFolders
from inspector.archive.retention import Marks, Retention, refuse_more_than_the_disk
from inspector.config.line import LineConfig, LoadedConfig
from inspector.config.recipe import load_recipe
from inspector.errors import ConfigError, InspectorError, WireError
from inspector.extras import needs_extra
from inspector.repeated import Repeated
from inspector.runtime.lock import hold_place
from inspector.runtime.notify import READY, Notifier, Pulse
from inspector.runtime.priority import run_when_idle
from inspector.runtime.stop import StopRequest
from inspector.values import Announcement, Pixels
from inspector.wire.archive import ArchiveReceiver
from inspector.wire.links import open_context

TURN_MS: Final = 200
SWEEP_EVERY_S: Final = 60.0
"""How often the space is measured, and old coils are deleted, seconds."""

LAST_TAKE_S: Final = 5.0
"""Longest time after a stop request for frames that are on their way, seconds."""

PAUSE_S: Final = 10.0
"""Pause in writing after the disk has refused a frame."""

log = structlog.get_logger()


def main(config: LoadedConfig) -> None:
    """Run until a stop request. Raises InputError before the start."""
    line = config.line
    if line.archive is None or line.archive.folder is None:
        raise ConfigError(f"{config.path}: has no [archive] table: add one with max_gb")
    folder = line.archive.folder
    run_when_idle()
    with hold_place("archive", folder), StopRequest() as stop, open_context() as context:
        refuse_more_than_the_disk(line.archive, folder)
        receiver = ArchiveReceiver(context, line.links, list(line.cameras))
        archive = Archive(line, folder, load_recipe(line.recipe).recipe.mm_per_px_along)
        notifier = Notifier()
        notifier.tell(**{READY: "1"})
        log.info("archive started", folder=str(folder), max_gb=line.archive.max_gb)
        pulse = Pulse(notifier, "frames")
        refusals = Repeated()
        until_s = float("inf")
        while time.monotonic() < until_s:
            if stop and until_s == float("inf"):
                until_s = time.monotonic() + LAST_TAKE_S
            try:
                taken = receiver.take(TURN_MS)
                for announcement, pixels in taken:
                    archive.take(announcement, pixels)
                if stop and not taken:
                    break
            except WireError as error:
                if refusals.due() is not None:
                    log.warning("archive: message refused", error=str(error))
            archive.turn()
            pulse.turn(archive.written, pending=False, say=archive.state)
        archive.close()


def _marks(line: LineConfig) -> Marks:
    if not line.records.enabled:
        return Marks()
    with needs_extra("records"):
        from inspector.archive.marks import read_marks
    return read_marks(line)


class Archive:
    """All cameras of a line."""

    def __init__(self, line: LineConfig, folder: Path, mm_per_px: float) -> None:
        if line.archive is None:
            raise ConfigError("the config has no [archive] table")
        self._folders = CoilFolders(folder)
        self._cameras = {
            name: CameraArchive(name, self._mm_per_px(line, name, mm_per_px), self._folders)
            for name in line.cameras
        }
        self._retention = Retention(folder, line.archive, lambda: _marks(line))
        self._swept_s = 0.0
        self._paused_until_s = 0.0
        self._free_space = True
        self._troubles = Repeated()
        self.written = 0

    @staticmethod
    def _mm_per_px(line: LineConfig, camera: str, of_recipe: float) -> float:
        place = None if line.strip is None else line.strip.camera(camera)
        return of_recipe if place is None else place.mm_per_px_along or of_recipe

    def take(self, announcement: Announcement, pixels: Pixels | None) -> None:
        """Write a frame, if there is room."""
        camera = self._cameras[announcement.camera]
        if not self._free_space or time.monotonic() < self._paused_until_s:
            camera.skip(announcement)
            return
        try:
            camera.take(announcement, pixels)
            self.written += 1
        except (InspectorError, OSError) as error:
            self._pause(error)
            camera.drop()

    def turn(self) -> None:
        """Measure and delete, when it is due."""
        now_s = time.monotonic()
        if now_s - self._swept_s < SWEEP_EVERY_S:
            return
        self._swept_s = now_s
        try:
            self._free_space = self._retention.sweep(self._folders.in_use)
        except OSError as error:
            self._pause(error)
            self._drop()
            return
        if not self._free_space:
            self._drop()

    def _pause(self, error: Exception) -> None:
        self._paused_until_s = time.monotonic() + PAUSE_S
        if (count := self._troubles.due()) is not None:
            log.error(
                "archive: frames are not archived until its folder can be written again",
                error=str(error), tried_again_after_s=PAUSE_S, count=count,
            )  # fmt: skip

    @property
    def missed(self) -> int:
        """Frames of the line that are not in the archive."""
        return sum(camera.missed for camera in self._cameras.values())

    def state(self) -> str:
        """For `systemctl status`."""
        return f"{self.written} archived, {self.missed} missed"

    def close(self) -> None:
        """Finish all recordings."""
        self._drop()
        if self.missed:
            log.warning("archive: frames are missing", missed=self.missed, archived=self.written)

    def _drop(self) -> None:
        for camera in self._cameras.values():
            camera.drop()
