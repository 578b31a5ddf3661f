"""Keeps frames for review: rejected ones, uncertain ones, and a few at random, without loss."""

import queue
import random
import sqlite3
import threading
import time
from typing import Final

import cv2
import msgspec
import structlog

from inspector.errors import WorkError
from inspector.files import write_whole
from inspector.repeated import Repeated
from inspector.serve.store import Store
from inspector.serve.view import Seen
from inspector.values import Decision, Pixels

REJECT_EVERY_S: Final = 10.0
UNCERTAIN_EVERY_S: Final = 20.0
RANDOM_EVERY_S: Final = 60.0
"""Least time between two frames kept for the same reason, seconds: a person reviews some hundreds a day."""

UNCERTAIN_SCORE: Final = 0.75
"""A frame is uncertain if its surest defect has a lower mean score, or if it was accepted with a defect."""

MOST_OPEN: Final = 500
"""Most frames that wait for a review, about 200 MB; the oldest random ones and rejects are dropped first."""

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

    def __init__(self, store: Store, classes: tuple[str, ...]) -> None:
        self._store, self._classes = store, classes
        self._due = {"reject": 0.0, "uncertain": 0.0, "random": 0.0}
        self._random = random.Random()  # noqa: S311  # which steel is sampled is no secret
        self._queue: queue.Queue[tuple[str, Seen] | None] = queue.Queue(QUEUED)
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)
        self._troubles = Repeated()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued and stop."""
        self._queue.put(None)
        self._thread.join()

    def take(self, seen: Seen) -> None:
        """Keep this frame if one of its sort is due."""
        if seen.pixels is None or seen.mask is None:
            return
        source, now_s = _source(seen), time.monotonic()
        if now_s < self._due[source]:
            return
        every_s = {"reject": REJECT_EVERY_S, "uncertain": UNCERTAIN_EVERY_S, "random": RANDOM_EVERY_S}[source]
        # A fixed interval would pick the same place of every coil.
        self._due[source] = now_s + every_s * self._random.uniform(0.7, 1.3)
        try:
            self._queue.put_nowait((source, seen))
        except queue.Full:
            return  # the disk is slow: keep the next one that is due

    def _run(self) -> None:
        while (taken := self._queue.get()) is not None:
            try:
                keep(self._store, taken[0], taken[1], self._classes)
            except (OSError, WorkError) as error:
                if self._troubles.due() is not None:
                    log.warning("no frames are kept for review", error=str(error))


def _source(seen: Seen) -> str:
    defects = seen.verdict.defects
    if defects and (
        seen.verdict.decision is Decision.ACCEPT or max(each.score for each in defects) < UNCERTAIN_SCORE
    ):
        return "uncertain"
    return "reject" if seen.verdict.decision is Decision.REJECT else "random"


def keep(store: Store, source: str, seen: Seen, classes: tuple[str, ...]) -> int | None:
    """Keep one frame for review; returns its number, None if it is kept already. Raises OSError, WorkError."""
    if seen.pixels is None or seen.mask is None:
        return None
    verdict = seen.verdict
    height, width = seen.pixels.shape
    with store.changing() as connection:
        made = connection.execute(
            "INSERT OR IGNORE INTO samples (source, camera, ingest_epoch, frame_id, captured_ns, position_mm,"
            " coil, decision, reasons, defects, classes, recipe, engine, width, height)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                source, verdict.camera, verdict.ingest_epoch, verdict.frame_id, verdict.captured_ns,
                verdict.position_mm, verdict.coil, verdict.decision.value,
                msgspec.json.encode(verdict.reasons).decode(), msgspec.json.encode(verdict.defects).decode(),
                msgspec.json.encode(classes).decode(), verdict.recipe, verdict.engine, width, height,
            ),
        )  # fmt: skip
        if not made.rowcount:
            return None
        number = int(made.lastrowid or 0)
        # Inside the transaction: a row without its pictures would be a frame that nobody can review.
        write_whole(store.samples / f"{number}.png", _png(seen.pixels), sync=False)
        write_whole(store.samples / f"{number}.mask.png", _png(seen.mask), sync=False)
        gone = _make_room(connection)
    for each in gone:
        for name in (f"{each}.png", f"{each}.mask.png"):
            (store.samples / name).unlink(missing_ok=True)
    return number


def _make_room(connection: sqlite3.Connection) -> list[int]:
    """Forget the oldest frames without a review beyond MOST_OPEN; returns their numbers."""
    open_samples = "SELECT id FROM samples WHERE id NOT IN (SELECT sample_id FROM reviews)"
    found = connection.execute(
        f"{open_samples} ORDER BY source = 'uncertain', id DESC LIMIT -1 OFFSET ?",
        (MOST_OPEN,),
    )
    gone = [int(row["id"]) for row in found]
    connection.executemany("DELETE FROM samples WHERE id = ?", [(each,) for each in gone])
    return gone
