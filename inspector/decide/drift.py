"""Follows the figures of each camera: the picture as ingest measures it, scores and rates of defects."""

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog

from inspector.core.drift import DEVIATIONS, LONG_BLOCK_DEVIATIONS, Drift, Range
from inspector.decide.camera import Camera
from inspector.files import write_whole
from inspector.monitoring.counters import Meters
from inspector.monitoring.state import DriftState
from inspector.values import PICTURE_BLOCK, PICTURE_FIGURES, PICTURE_FRAMES, Decision

DRIFT_NAME: Final = "drift.json"

RATE_FRAMES: Final = 5_000
"""Verdicts in a block of rates: some ten coils, because one dirty coil says nothing about the mill."""

RATE_WINDOWS: Final = 4
"""Rates are learned over four times the window of the picture: such blocks are few."""

SCORED_DEFECTS: Final = 50
"""Defects in a block of scores."""

LEAST_CHANGE: Final = {"brightness": math.log(1.05), "contrast": math.log(1.15), "grain": math.log(1.15)}
"""Smallest changes worth an alarm: a lamp that lost 5 % of its light, texture that changed by 15 %."""

LEAST_SCORE_CHANGE: Final = math.log(1.1)
LEAST_RATE_CHANGE: Final = math.log(3.0)
"""A class must show three times as often, or a third as often: coils differ."""

SCORE: Final = "score"
RATE: Final = "rate of "

log = structlog.get_logger()


class _Stored(msgspec.Struct, frozen=True):
    recipe: str
    engine: str
    ranges: dict[str, dict[str, Range]]
    """By camera and figure."""


class Drifts:
    """Ranges and newest blocks of all cameras; the ranges outlive decide."""

    def __init__(self, folder: Path, window_frames: int, recipe: str, engine: str) -> None:
        """`recipe` and `engine` are identities: scores and rates of others are not comparable."""
        self._path, self._window_frames = folder / DRIFT_NAME, window_frames
        self._recipe, self._engine = recipe, engine
        self._rate_window = RATE_WINDOWS * window_frames // RATE_FRAMES
        self._known = self._read()
        self._drifts: dict[str, dict[str, Drift]] = {}
        self._blocks: dict[str, float] = {}
        """Camera → number of the picture block that was taken last."""
        self._counts: dict[str, tuple[int, Counter[str]]] = {}
        """Camera → verdicts and rejects by class at the last block of rates."""

    def look(self, cameras: Mapping[str, Camera], meters: Meters) -> tuple[DriftState, ...]:
        """Take new values, and return the state of every figure."""
        if meters.engine and meters.engine != self._engine:
            self._change_engine(meters.engine)
        learned = False
        for name, camera in cameras.items():
            learned |= self._take_picture(name, camera.readings)
            learned |= self._take_rates(name, meters)
            learned |= self._take_scores(name, meters)
        if learned:
            self._write()
        return tuple(
            _state(camera, figure, drift)
            for camera, of_camera in self._drifts.items()
            for figure, drift in of_camera.items()
        )

    def _change_engine(self, engine: str) -> None:
        """Learn scores and rates again: another engine finds other defects."""
        self._engine = engine
        for drifts in self._drifts.values():
            for figure in drifts.keys() - set(PICTURE_FIGURES):
                del drifts[figure]
        for ranges in self._known.values():
            for figure in ranges.keys() - set(PICTURE_FIGURES):
                del ranges[figure]

    def _take_picture(self, camera: str, readings: Mapping[str, float]) -> bool:
        number = readings.get(PICTURE_BLOCK)
        if number is None or self._blocks.get(camera) == number:
            return False
        self._blocks[camera] = number
        learned = False
        for figure in PICTURE_FIGURES:
            drift = self._drift(camera, figure, self._window_frames // PICTURE_FRAMES, LEAST_CHANGE[figure])
            learned |= drift.add(math.log(max(1e-3, readings[f"{PICTURE_BLOCK}.{figure}"])))
        return learned

    def _take_rates(self, camera: str, meters: Meters) -> bool:
        counts: Counter[str] = Counter()
        inspected = 0
        for (of, decision, reason), count in meters.frames.items():
            if of == camera and decision is not Decision.UNINSPECTED:
                inspected += count
                if decision is Decision.REJECT:
                    counts[reason] += count
        before, rejects = self._counts.setdefault(camera, (inspected, counts))
        if inspected - before < RATE_FRAMES:
            return False
        self._counts[camera] = (inspected, counts)
        learned = False
        for name in sorted(meters.rejected):
            in_block = (counts[name] - rejects[name]) * RATE_FRAMES / (inspected - before)
            drift = self._drift(camera, f"{RATE}{name}", self._rate_window, LEAST_RATE_CHANGE)
            learned |= drift.add(math.log1p(in_block))
        return learned

    def _take_scores(self, camera: str, meters: Meters) -> bool:
        total, count = meters.scores.get(camera, (0.0, 0))
        if count < SCORED_DEFECTS:
            return False
        del meters.scores[camera]
        drift = self._drift(camera, SCORE, self._rate_window, LEAST_SCORE_CHANGE)
        return drift.add(math.log(max(1e-3, total / count)))

    def _drift(self, camera: str, figure: str, window: int, least: float) -> Drift:
        of_camera = self._drifts.setdefault(camera, {})
        if figure not in of_camera:
            known = self._known.get(camera, {}).get(figure)
            deviations = DEVIATIONS if figure in PICTURE_FIGURES else LONG_BLOCK_DEVIATIONS
            of_camera[figure] = Drift(window, least, known, deviations)
        return of_camera[figure]

    def _read(self) -> dict[str, dict[str, Range]]:
        try:
            stored = msgspec.json.decode(self._path.read_bytes(), type=_Stored)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            log.warning("the commissioning window cannot be read: it is learned again", error=str(error))
            return {}
        same = stored.recipe == self._recipe and stored.engine == self._engine
        return {
            camera: {figure: found for figure, found in ranges.items() if same or figure in PICTURE_FIGURES}
            for camera, ranges in stored.ranges.items()
        }

    def _write(self) -> None:
        for camera, of_camera in self._drifts.items():
            for figure, drift in of_camera.items():
                if drift.range is not None:
                    self._known.setdefault(camera, {})[figure] = drift.range
        content = msgspec.json.encode(_Stored(self._recipe, self._engine, self._known))
        try:
            write_whole(self._path, msgspec.json.format(content, indent=1) + b"\n", sync=False)
        except OSError as error:
            log.warning("the commissioning window cannot be kept: a restart learns it again", error=error.strerror)


def _state(camera: str, figure: str, drift: Drift) -> DriftState:
    limit, deviation = drift.limit, drift.deviation
    return DriftState(
        camera=camera,
        figure=figure,
        alarming=drift.alarming,
        change=None if deviation is None else round(math.expm1(deviation), 4),
        limit=None if limit is None else round(math.expm1(limit), 4),
        learned=round(drift.progress, 3),
    )
