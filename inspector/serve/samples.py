"""Keeps frames for review, without loss: rejects, uncertain ones, a few at random, and those a person marks."""

import queue
import sqlite3
import threading
import time
from typing import Final

import cv2
import msgspec
import structlog

from inspector.core.collect import DAY_S, Chosen, Collector
from inspector.errors import InputError, WorkError
from inspector.files import write_whole
from inspector.repeated import Repeated
from inspector.serve.audit import note as note_change
from inspector.serve.store import Store
from inspector.values import Pixels
from inspector.wire.view import ViewMessage

MOST_OPEN: Final = 500
"""Most frames that wait for a review, about 200 MB. The oldest random ones and rejects are dropped first, the
marked ones last."""

QUEUED: Final = 4
"""Most frames that wait to be written."""

log = structlog.get_logger()


def mask_png(mask: Pixels) -> bytes:
    """Encode a label map as PNG."""
    return _png(mask)


def _png(plane: Pixels) -> bytes:
    done, encoded = cv2.imencode(".png", plane, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f"a plane of shape {plane.shape} cannot be encoded")
    return encoded.tobytes()


class Sampler:
    """Picks frames from the live view and writes them in a thread."""

    def __init__(self, store: Store, classes: tuple[str, ...], collector: Collector) -> None:
        self._store, self._classes, self._collector = store, classes, collector
        self._queue: queue.Queue[tuple[Chosen, ViewMessage] | None] = queue.Queue(QUEUED)
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)
        self._troubles = Repeated()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued and stop."""
        self._queue.put(None)
        self._thread.join()

    def take(self, seen: ViewMessage) -> None:
        """Keep this frame if a policy chooses it."""
        now_s = time.monotonic()
        if seen.pixels is None or seen.mask is None:
            self._collector.pass_by(seen.verdict, now_s)
            return
        chosen = self._collector.choose(seen.verdict, seen.pixels, seen.score, now_s, int(time.time() // DAY_S))
        if chosen is None:
            return
        try:
            self._queue.put_nowait((chosen, seen))
        except queue.Full:
            return  # the disk is slow: keep the next one that is due

    def _run(self) -> None:
        while (taken := self._queue.get()) is not None:
            chosen, seen = taken
            try:
                keep(self._store, chosen.policy, seen, self._classes, chance=chosen.chance)
            except (OSError, WorkError) as error:
                if self._troubles.due() is not None:
                    log.warning("no frames are kept for review", error=str(error))


MARKED: Final = "marked"

ESCAPE: Final = "escape"
"""Origin of a frame that a person added because the line missed a defect in it."""

SOURCES: Final = {"reject": "reject", "random": "random", MARKED: MARKED, ESCAPE: MARKED}
"""Origin → the page's word for why a frame is kept; any other one is `uncertain`."""


def keep(
    store: Store,
    origin: str,
    seen: ViewMessage,
    classes: tuple[str, ...],
    *,
    chance: float | None = None,
    note: str | None = None,
) -> int | None:
    """Keep one frame for review; returns its number, None if it is kept already. Raises OSError, WorkError.

    `origin` says why; `chance` is the one with which a random frame was drawn. The page shows `note` beside the
    verdict's reasons.
    """
    if seen.pixels is None or seen.mask is None:
        return None
    verdict = seen.verdict
    reasons = verdict.reasons if note is None else (*verdict.reasons, note)
    source = SOURCES.get(origin, "uncertain")
    height, width = seen.pixels.shape
    with store.changing() as connection:
        made = connection.execute(
            "INSERT OR IGNORE INTO samples (source, camera, ingest_epoch, frame_id, captured_ns, position_mm,"
            " coil, decision, reasons, defects, classes, recipe, engine, width, height)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                source, verdict.camera, verdict.ingest_epoch, verdict.frame_id, verdict.captured_ns,
                verdict.position_mm, verdict.coil, verdict.decision.value,
                msgspec.json.encode(reasons).decode(), msgspec.json.encode(verdict.defects).decode(),
                msgspec.json.encode(classes).decode(), verdict.recipe, verdict.engine, width, height,
            ),
        )  # fmt: skip
        if not made.rowcount:
            return None
        number = int(made.lastrowid or 0)
        connection.execute("INSERT INTO origins VALUES (?, ?, ?)", (number, origin, chance))
        # Inside the transaction: a row without its pictures would be a frame that nobody can review.
        write_whole(store.samples / f"{number}.png", _png(seen.pixels), sync=False)
        write_whole(store.samples / f"{number}.mask.png", _png(seen.mask), sync=False)
        if seen.score is not None:
            write_whole(store.samples / f"{number}.score.png", _png(seen.score), sync=False)
        gone = _make_room(connection)
    for each in gone:
        for name in (f"{each}.png", f"{each}.mask.png", f"{each}.score.png"):
            (store.samples / name).unlink(missing_ok=True)
    return number


def mark(store: Store, seen: ViewMessage, classes: tuple[str, ...], who: str, why: str) -> int:
    """Put a frame that a person saw first in the queue; returns its number.

    Raises InputError if it is reviewed already, OSError, WorkError.
    """
    verdict = seen.verdict
    keep(store, MARKED, seen, classes)
    frame = f"{verdict.camera}, frame {verdict.frame_id}"
    with store.changing() as connection:
        row = connection.execute(
            "SELECT samples.id, reasons, who FROM samples LEFT JOIN reviews ON sample_id = samples.id "
            "AND undone_ns IS NULL WHERE camera = ? AND ingest_epoch = ? AND frame_id = ? AND captured_ns = ?",
            (verdict.camera, verdict.ingest_epoch, verdict.frame_id, verdict.captured_ns),
        ).fetchone()
        if row is None:
            raise WorkError(f"{frame}: could not be kept: too many frames wait for a review")
        if row["who"] is not None:
            raise InputError(f"{frame}: {row['who']} has reviewed it")
        reasons = [*msgspec.json.decode(row["reasons"]), f"marked by {who}" + (f": {why}" if why else "")]
        connection.execute(
            "UPDATE samples SET source = ?, reasons = ? WHERE id = ?",
            (MARKED, msgspec.json.encode(reasons).decode(), row["id"]),
        )
        note_change(connection, who, "frame marked for review", frame, why)
    return int(row["id"])


def _make_room(connection: sqlite3.Connection) -> list[int]:
    """Forget open frames beyond MOST_OPEN, in the order that MOST_OPEN says; returns their numbers."""
    open_samples = "SELECT id FROM samples WHERE id NOT IN (SELECT sample_id FROM reviews)"
    found = connection.execute(
        f"{open_samples} ORDER BY source = 'marked' DESC, source = 'uncertain' DESC, id DESC LIMIT -1 OFFSET ?",
        (MOST_OPEN,),
    )
    gone = [int(row["id"]) for row in found]
    connection.executemany("DELETE FROM samples WHERE id = ?", [(each,) for each in gone])
    return gone
