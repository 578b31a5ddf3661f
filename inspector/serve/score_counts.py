"""Counts what the live view shows, by ten minutes: scores and brightness of the frames, and what became of them.

The records hold a defect's mean score, and nothing of a frame without one: they cannot say what a lower threshold
would reject. The view has the highest score of each kind in every frame that it shows.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import msgspec

from inspector.core.rules import BoundRecipe
from inspector.errors import WorkError
from inspector.serve.store import Store
from inspector.values import MAX_SCORE, Decision
from inspector.wire.view import ViewMessage

BUCKET_S: Final = 600
BINS: Final = 64
STEPS: Final = (MAX_SCORE + 1) // BINS
"""Score steps in one bin."""

WRITE_EVERY_S: Final = 30.0
KEEP_DAYS: Final = 90

Bins = dict[int, list[int]]
"""Kind → frames by their highest score of that kind."""
Counts = tuple[int, int, int]
"""Accepted, rejected, uninspected."""


class Scores(msgspec.Struct):
    """Histograms of one stretch of time."""

    clean: Bins = msgspec.field(default_factory=dict)
    """Of accepted frames that were seen."""
    alone: Bins = msgspec.field(default_factory=dict)
    """Of rejected frames that were seen, and in which no other kind rejects."""

    def add(self, other: "Scores") -> None:
        """Add another stretch of time."""
        for own, more in ((self.clean, other.clean), (self.alone, other.alone)):
            for kind, bins in more.items():
                own[kind] = [a + b for a, b in zip(own.get(kind, [0] * BINS), bins, strict=True)]


@dataclass
class _CameraCounts:
    """Sums of one camera since they were last written."""

    seen_accepted: int = 0
    seen_rejected: int = 0
    grey: float = 0.0
    """Sum of the frames' mean grey."""
    peak: float = 0.0
    """Sum of the accepted frames' highest scores, 0..1."""
    counts: list[int] = field(default_factory=lambda: [0, 0, 0])
    scores: Scores = field(default_factory=Scores)

    def add(self, other: "_CameraCounts") -> None:
        """Add other sums."""
        self.seen_accepted += other.seen_accepted
        self.seen_rejected += other.seen_rejected
        self.grey += other.grey
        self.peak += other.peak
        self.counts = [own + more for own, more in zip(self.counts, other.counts, strict=True)]
        self.scores.add(other.scores)


class ScoreCounts:
    """Adds up counts in memory and writes them into the page's database now and then."""

    def __init__(self, store: Store, recipe: BoundRecipe) -> None:
        self._store, self._recipe = store, recipe
        self._lock = threading.Lock()
        self._score_counts: dict[str, _CameraCounts] = {}
        self._before: dict[str, Counts] = {}
        self._next_s = 0.0

    def take(self, seen: ViewMessage) -> None:
        """Look at one frame of the view; frames without a picture are not counted."""
        verdict = seen.verdict
        if seen.pixels is None or verdict.decision is Decision.UNINSPECTED:
            return
        grey = float(cv2.mean(seen.pixels)[0])
        with self._lock:
            look = self._score_counts.setdefault(verdict.camera, _CameraCounts())
            look.grey += grey
            if verdict.decision is Decision.ACCEPT:
                look.seen_accepted += 1
                look.peak += max(seen.peaks, default=0) / MAX_SCORE
                for kind in range(1, len(self._recipe.names)):
                    _count(look.scores.clean, kind, seen.peaks)
            else:
                look.seen_rejected += 1
                rejecting = {each.kind for each in verdict.defects if each.name in self._recipe.rejected}
                if len(rejecting) == 1:
                    _count(look.scores.alone, rejecting.pop(), seen.peaks)

    def count(self, cameras: Mapping[str, Counts]) -> None:
        """Take decide's counters; they begin at 0 again with decide."""
        with self._lock:
            for name, now in cameras.items():
                before = self._before.get(name, now)
                look = self._score_counts.setdefault(name, _CameraCounts())
                for n in range(3):
                    look.counts[n] += max(0, now[n] - before[n])
            self._before = dict(cameras)

    def write(self, *, now: bool = False) -> None:
        """Write the sums, if it is time. Raises WorkError."""
        if not now and time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + WRITE_EVERY_S
        with self._lock:
            counts, self._score_counts = self._score_counts, {}
        try:
            self._add(counts)
        except WorkError:
            with self._lock:
                for camera, look in counts.items():
                    self._score_counts.setdefault(camera, _CameraCounts()).add(look)
            raise

    def _add(self, counts: Mapping[str, _CameraCounts]) -> None:
        began_s = int(time.time()) // BUCKET_S * BUCKET_S
        with self._store.changing() as connection:
            for camera, look in counts.items():
                before = connection.execute(
                    "SELECT scores FROM looks WHERE began_s = ? AND camera = ?", (began_s, camera)
                ).fetchone()
                scores = _decoded(before["scores"]) if before else Scores({}, {})
                scores.add(look.scores)
                connection.execute(
                    "INSERT INTO looks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (began_s, camera) "
                    "DO UPDATE SET accepted = accepted + excluded.accepted, "
                    "rejected = rejected + excluded.rejected, uninspected = uninspected + excluded.uninspected, "
                    "seen_accepted = seen_accepted + excluded.seen_accepted, "
                    "seen_rejected = seen_rejected + excluded.seen_rejected, grey = grey + excluded.grey, "
                    "peak = peak + excluded.peak, scores = excluded.scores",
                    (
                        began_s, camera, *look.counts, look.seen_accepted, look.seen_rejected, look.grey,
                        look.peak, msgspec.msgpack.encode(scores),
                    ),
                )  # fmt: skip
            connection.execute("DELETE FROM looks WHERE began_s < ?", (began_s - KEEP_DAYS * 86400,))


def _count(bins: Bins, kind: int, peaks: tuple[int, ...]) -> None:
    peak = peaks[kind - 1] if kind <= len(peaks) else 0
    bins.setdefault(kind, [0] * BINS)[peak // STEPS] += 1


def _decoded(content: bytes) -> Scores:
    return msgspec.msgpack.decode(content, type=Scores)


def score_bins(store: Store, hours: int) -> dict[str, Any]:
    """Return the scores of the frames of the last hours, and how many frames they stand for."""
    since_s = int(time.time()) - hours * 3600
    totals = {"accepted": 0, "rejected": 0, "seen_accepted": 0, "seen_rejected": 0}
    scores = Scores({}, {})
    with store.reading() as connection:
        for row in connection.execute("SELECT * FROM looks WHERE began_s > ?", (since_s - BUCKET_S,)):
            for name in totals:
                totals[name] += row[name]
            scores.add(_decoded(row["scores"]))
    return totals | {"bins": BINS, "clean": scores.clean, "alone": scores.alone}


def drift(store: Store, hours: int, most: int = 200) -> list[dict[str, Any]]:
    """Return brightness, scores and shares of each camera over the last hours, in at most `most` steps of time."""
    now_s = int(time.time())
    since_s = now_s - hours * 3600
    step_s = max(1, -(-hours * 3600 // BUCKET_S // most)) * BUCKET_S
    with store.reading() as connection:
        found = connection.execute(
            "SELECT began_s / :step * :step AS at_s, camera, SUM(accepted) AS accepted, "
            "SUM(rejected) AS rejected, SUM(uninspected) AS uninspected, SUM(seen_accepted) AS seen_accepted, "
            "SUM(seen_accepted + seen_rejected) AS seen, SUM(grey) AS grey, SUM(peak) AS peak FROM looks "
            "WHERE began_s > :since GROUP BY at_s, camera ORDER BY at_s",
            {"step": step_s, "since": since_s - BUCKET_S},
        ).fetchall()
    return [
        {
            "at_s": row["at_s"],
            "camera": row["camera"],
            "frames": row["accepted"] + row["rejected"] + row["uninspected"],
            "rejected": row["rejected"],
            "uninspected": row["uninspected"],
            "grey": round(row["grey"] / row["seen"], 2) if row["seen"] else None,
            "peak": round(row["peak"] / row["seen_accepted"], 4) if row["seen_accepted"] else None,
        }
        for row in found
    ]
