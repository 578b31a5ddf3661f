"""strip: follows position and coils, hands them to ingest, and judges coils from the verdict log."""

import time
from typing import Final

import structlog

from inspector.config.line import LoadedConfig
from inspector.config.strip import StripSettings
from inspector.core.strip.odometer import Odometer
from inspector.errors import ConfigError
from inspector.folders import make_own_folder
from inspector.runtime.lock import hold_place
from inspector.runtime.notify import READY, Notifier, Pulse
from inspector.runtime.stop import StopRequest
from inspector.strip.position import PositionThread, described, open_position
from inspector.wire.strip_files import TrackWriter, read_track

TURN_S: Final = 0.1

log = structlog.get_logger()


def main(config: LoadedConfig) -> None:
    """Run until a stop request. Raises InputError before the start."""
    line = config.line
    settings = line.strip
    if settings is None:
        raise ConfigError(f"{config.path}: strip: there is no such table: add one, or do not start this stage")
    make_own_folder(line.links)
    notifier = Notifier()
    with hold_place("strip", line.links), hold_place("strip", settings.folder), StopRequest() as stop:
        track = TrackWriter(line.links)
        position = _follow(settings, config, track)
        try:
            notifier.tell(**{READY: "1"})
            pulse = Pulse(notifier, "readings")
            while not stop:
                time.sleep(TURN_S)
                pulse.turn(position.readings if position else 0, pending=False, say=lambda: "")
        finally:
            if position is not None:
                position.close()
            track.close()


def _follow(settings: StripSettings, config: LoadedConfig, track: TrackWriter) -> PositionThread | None:
    if settings.position is None:
        return None
    before = read_track(config.line.links)
    start, count = (before.samples[-1], before.count) if before is not None and before.samples else (None, None)
    odometer = Odometer(settings.position.scale(), settings.speeds(), start, count)
    thread = PositionThread(open_position(settings.position), odometer, track, described(settings.position))
    thread.start()
    return thread
