"""verdicts.jsonl: one verdict per line, whole lines only, even if the disk is full or the process is killed.

A run has one file. A service, which runs for months, rotates full ones to verdicts-000001.jsonl and so on, and
keeps the newest. The names have numbers, not times, because a PC's clock may be set back.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from inspector.results import VERDICTS_NAME
from inspector.sinks.log.journal import Journal
from inspector.sinks.log.log_file import LogFile, Rotation, full_files
from inspector.sinks.log.log_writer import LogWriter
from inspector.values import Verdict

LOOK_BACK_FILES: Final = 4
"""Most files searched for a camera's last frame; the newest one holds every camera that runs."""

Places = dict[str, dict[int, int]]
"""Camera → ingest epoch → next frame id."""

Gaps = dict[str, list[tuple[int, int, int]]]
"""Camera → (ingest epoch, first frame id, one past the last) of frames without a verdict."""

LEAST_FILES: Final = 2
"""Files that are always read: the verdicts of a long gap may have begun in the one before."""

log = structlog.get_logger()


class _Place(msgspec.Struct, frozen=True):
    """The fields of a verdict that are read to continue after it."""

    camera: str
    frame_id: int
    ingest_epoch: int = 0


class VerdictLog:
    """Appends verdicts from decide's loop; a thread writes them to the disk."""

    def __init__(
        self, folder: Path, rotation: Rotation | None = None, *, links: Path | None = None, wait: bool = False
    ) -> None:
        """Open the log; raises OSError.

        `links` is the folder of the journal; without it, a kill loses the lines that are not on the disk yet.
        `wait`: see `LogWriter`.
        """
        self.path = folder / VERDICTS_NAME
        file = LogFile(self.path, rotation)
        journal = None if links is None else Journal(links)
        rest = b""
        if journal is not None:
            if journal.log_path not in ("", str(self.path)):
                _hand_back(journal)
            rest = _recover(file, journal) if journal.log_path == str(self.path) else b""
            if not rest:
                file.cut_torn_line()
            journal.restart(file.inode, file.size, str(self.path), rest)
        else:
            file.cut_torn_line()
        self._before = {} if journal is None else journal.places
        self._places: dict[str, tuple[int, int]] = dict(self._before)
        self._writer = LogWriter(file, journal, held=rest, wait=wait)
        self._encoder = msgspec.json.Encoder()
        self._lines = bytearray()
        self._count = 0

    @property
    def lost(self) -> int:
        """Verdicts that were made but could not be written."""
        return self._writer.lost

    @property
    def unsafe(self) -> bool:
        """Whether verdicts must wait for the disk before they survive a kill, or the disk refuses them."""
        return self._writer.unsafe

    @property
    def unkept(self) -> int:
        """How many of the newest verdicts a kill would lose; the gate must not get them yet."""
        return self._writer.unkept

    @property
    def waiting(self) -> int:
        """Verdicts not written to the disk yet."""
        return self._writer.waiting

    def write(self, verdict: Verdict) -> None:
        """Add one verdict; `flush` stores it."""
        self._lines += self._encoder.encode(verdict)
        self._lines += b"\n"
        self._count += 1
        place = (verdict.ingest_epoch, verdict.frame_id + 1)
        if place > self._places.get(verdict.camera, (-1, 0)):
            self._places[verdict.camera] = place

    def flush(self) -> bool:
        """Store the added verdicts before any other sink gets them; does not wait for the disk.

        Returns False if they are lost: memory and journal are full.
        """
        kept = True
        if self._lines:
            kept = self._writer.put(self._lines, self._count, dict(self._places))
            self._lines, self._count = bytearray(), 0
        return kept

    def places(self, cameras: list[str]) -> tuple[Places, Gaps]:
        """Return how far each camera's verdicts go, and which frames before that have none.

        Both come from the logs, and from the journal if it is ahead of them.
        """
        found, gaps = last_places(self.path.parent, cameras)
        for camera, (epoch, frame_id) in self._before.items():
            of_camera = found.setdefault(camera, {})
            if frame_id > of_camera.get(epoch, 0):
                if epoch in of_camera:
                    log.error(
                        "verdicts of an earlier decide are not in the log",
                        camera=camera,
                        first=of_camera[epoch],
                        last=frame_id - 1,
                    )
                of_camera[epoch] = frame_id
        return found, gaps

    def close(self) -> None:
        """Write what the disk takes; the rest is counted in `lost`. No partial line is left in the file."""
        self.flush()
        self._writer.close()


def _hand_back(journal: Journal) -> None:
    """Copy lines that an earlier decide left for another log, because the results folder has changed."""
    path = Path(journal.log_path)
    try:
        if path.exists():
            other = LogFile(path)
            left = _recover(other, journal)
            other.close()
        else:
            left = journal.untaken(0, 0)
    except OSError as error:
        log.error("log of an earlier run cannot be written", path=str(path), error=error.strerror)
        return
    if left:
        log.error("verdicts of an earlier run are lost", path=str(path), lines=left.count(b"\n"))


def _recover(file: LogFile, journal: Journal) -> bytes:
    """Copy to the log what an earlier decide could not; returns what the disk still does not take."""
    rest = journal.untaken(file.inode, file.size, file.last_line())
    if rest:
        log.info("copied verdicts of an earlier decide into the log", path=str(file.path), lines=rest.count(b"\n"))
    while rest:
        try:
            written = file.write(rest)
        except OSError as error:
            log.error("log cannot be written: its lines wait in memory", path=str(file.path), error=error.strerror)
            break
        rest = rest[written:]
    return rest


class _Track:
    """The frames of one ingest that have verdicts: how far they go, and the holes before that."""

    def __init__(self, first: int) -> None:
        self.next_frame = first
        self.holes: list[tuple[int, int]] = []

    def add(self, frame_id: int) -> None:
        """Count one frame. Ids rise, but for the frames of a long gap, which come beside later ones."""
        if frame_id >= self.next_frame:
            if frame_id > self.next_frame:
                self.holes.append((self.next_frame, frame_id))
            self.next_frame = frame_id + 1
            return
        for index, (start, stop) in enumerate(self.holes):
            if start <= frame_id < stop:
                rest = ((start, frame_id), (frame_id + 1, stop))
                self.holes[index : index + 1] = [hole for hole in rest if hole[0] < hole[1]]
                return


def last_places(folder: Path, cameras: list[str]) -> tuple[Places, Gaps]:
    """Next frame id of each camera and ingest, and frames before it without a verdict, from the newest logs."""
    newest = folder / VERDICTS_NAME
    files = [newest, *reversed(full_files(newest))][:LOOK_BACK_FILES]
    count = LEAST_FILES
    while True:
        tracks = _tracks(reversed(files[:count]))
        if count >= len(files) or {camera for camera, _ in tracks} >= set(cameras):
            break
        count += 1
    places: Places = {}
    gaps: Gaps = {}
    for (camera, epoch), track in tracks.items():
        places.setdefault(camera, {})[epoch] = track.next_frame
        gaps.setdefault(camera, []).extend((epoch, *hole) for hole in track.holes)
    return places, gaps


def _tracks(files: Iterable[Path]) -> dict[tuple[str, int], _Track]:
    decoder = msgspec.json.Decoder(_Place)
    tracks: dict[tuple[str, int], _Track] = {}
    for path in files:
        with path.open("rb") as lines:
            for line in lines:
                try:
                    place = decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    # A power cut may leave a damaged block in the file; decide must start all the same.
                    log.warning("a line of the verdict log cannot be read", path=str(path), error=str(error))
                    continue
                key = (place.camera, place.ingest_epoch)
                if key not in tracks:
                    tracks[key] = _Track(place.frame_id)
                tracks[key].add(place.frame_id)
    return tracks


__all__ = ["Gaps", "Places", "Rotation", "VerdictLog", "full_files", "last_places"]
