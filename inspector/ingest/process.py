"""ingest: takes frames from one source, announces each to decide, then sends its pixels to a worker."""

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import structlog
import zmq

from inspector.clocks import both_clocks
from inspector.config.line import LoadedConfig
from inspector.config.recipe import LoadedRecipe, load_recipe
from inspector.core.drift import Block
from inspector.core.flow import CHUNK_FRAMES, RECORDING_CHUNK_S
from inspector.core.picture import DARK, PictureCheck
from inspector.engine.manifest import read_manifest
from inspector.errors import ConfigError, WorkError
from inspector.folders import make_own_folder
from inspector.ingest.corrected import corrected
from inspector.ingest.dispatch import Dispatch, ViewPace
from inspector.ingest.learned import LearnedLimits
from inspector.ingest.on_strip import OnStrip, open_on_strip, open_optics
from inspector.ingest.resume import files_so_far, keep_order, pass_over
from inspector.repeated import Repeated
from inspector.runtime.lock import hold_place
from inspector.runtime.notify import CAPTURED, READY, Notifier, Pulse
from inspector.runtime.send import send, set_retry
from inspector.runtime.stop import StopRequest
from inspector.sources import Measured, Source, WhenBehind, open_camera
from inspector.values import (
    PICTURE_BLOCK,
    PICTURE_FIGURES,
    PICTURE_FRAMES,
    REPLAY_EPOCH,
    Announcement,
    Capture,
    Code,
    Frame,
    Pixels,
    Uninspected,
)
from inspector.wire.archive import ArchiveSender
from inspector.wire.captures import CaptureCount, confirmed
from inspector.wire.links import FRAMES, NEWS, open_context, open_sender, ring_path
from inspector.wire.messages import Begin, End, Fault, Idle, News, Readings, encode
from inspector.wire.pixel_ring import PixelRing
from inspector.wire.positions import PlaceFile

FRAMES_LINGER_MS: Final = 500
"""How long to keep unsent frames for a missing worker at the end, ms; decide already knows their ids."""

NEWS_LINGER_MS: Final = 10_000
"""How long to keep unsent announcements at the end, ms: decide may be restarting."""

CONFIRM_S: Final = 5.0
"""How long an ingest that ends waits until decide has its last announcements, seconds: a restart of decide takes
1.4 s."""

CONFIRM_TURN_S: Final = 0.005

FIND_WORKER_MS: Final = 1000

SLOTS_PER_BATCH: Final = 6
LEAST_SLOTS: Final = 32
USUAL_SLOTS: Final = 80
USUAL_BYTES: Final = 32 * 2**20
"""Size of the shared memory. USUAL_SLOTS hold the frames of two workers, the old and the new one during a swap.
Large frames get fewer slots, within USUAL_BYTES, because no engine inspects many of them in a deadline."""

SHED_QUEUE_FRAMES: Final = 8
"""Frames of a live camera that may wait for a worker before the oldest is shed."""

IDLE_MS: Final = 200
"""An ingest that has sent nothing for this long sends Idle: five times before decide calls its camera silent."""

SHED_REASON: Final = Uninspected(Code.SHED, "shed: the worker is behind")
STOPPED_REASON: Final = Uninspected(Code.STOPPED, "stopped before the frame was inspected")

log = structlog.get_logger()

Socket = zmq.Socket[bytes]


OLDEST_CAPTURE_NS: Final = 10_000_000_000
"""A capture time further back than this is of another clock."""


def _age_ns(captured_ns: int | None, now_ns: int) -> int:
    """How long ago a source captured a frame; 0 if it does not say, or the PC's clock was set meanwhile."""
    if captured_ns is None:
        return 0
    age_ns = now_ns - captured_ns
    return age_ns if 0 < age_ns < OLDEST_CAPTURE_NS else 0


class Announcer:
    """Numbers a camera's captures, and announces each to decide before its pixels are sent."""

    def __init__(
        self,
        camera: str,
        news: Socket,
        stop: StopRequest,
        recipe: LoadedRecipe,
        height: int,
        coil: str | None,
        pulse: Pulse,
        places: PlaceFile | None = None,
        epoch: int | None = None,
        picture: PictureCheck | None = None,
        learned: LearnedLimits | None = None,
        count: CaptureCount | None = None,
        measured: Measured | None = None,
        strip: OnStrip | None = None,
        mm_per_px_along: float | None = None,
        archive: ArchiveSender | None = None,
    ) -> None:
        """`height` is the assumed frame height, px, until the first frame is read. `places` stores a live
        camera's positions, `learned` its picture limits, `count` how many frames it captured; `measured` measures
        the camera itself. `strip` says where a frame lies and on which coil. `mm_per_px_along` is the camera's, if
        it differs from the recipe's."""
        self._archive = archive
        self._count = count
        self._measured, self._readings = measured, dict[str, float]()
        self._block, self._told_block = Block(PICTURE_FRAMES), 0
        self._strip = strip
        self._picture, self._learned = picture, learned
        self._camera = camera
        self._pulse = pulse
        self._news_s = time.monotonic()
        self._news = news
        self._stop = stop
        self._mm_per_px = mm_per_px_along or recipe.recipe.mm_per_px_along
        self._recipe = recipe.identity
        self._coil = coil
        self._places = places
        self._next_mm, self._next_ns = 0.0, time.time_ns()
        self._height, self._width = height, 0
        self._unreadable = Repeated()
        self._untold: list[News] = []
        self._told_s = 0.0
        self.ingest_epoch = time.monotonic_ns() if epoch is None else epoch
        self._faults = 0
        self._given_up = 0
        self._fault: Uninspected | None = None
        self.captured = 0

    def begin(self, total: int | None) -> None:
        """Announce this ingest; its frame ids count from 0."""
        if self._archive is not None:
            self._archive.find()
        self._untold.append(Begin(self._camera, self.ingest_epoch, total))
        self.tell()

    def take(self, capture: Capture) -> Frame | None:
        """Give the capture its id and position, and queue its announcement. Returns None for a fault."""
        frame_id, self.captured = self.captured, self.captured + 1
        fault, before = capture.fault, self._fault
        if capture.pixels is not None and self._picture is not None:
            fault = self._checked(self._picture, capture.pixels)
        captured_monotonic_ns, now_ns = both_clocks()
        captured_ns = now_ns if capture.captured_ns is None else capture.captured_ns
        if self._places is not None and frame_id == 0:
            # At the first frame, not at the start: a camera may take seconds to give one.
            self._next_mm = self._places.start_mm(captured_monotonic_ns)
        if capture.pixels is not None:
            self._height, self._width = capture.pixels.shape
        position_mm = self._next_mm if capture.position_mm is None else capture.position_mm
        coil = self._coil if capture.coil is None else capture.coil
        place, zero, recipe, next_recipe = None, None, self._recipe, ""
        if self._strip is not None and capture.position_mm is None:
            at_ns = captured_monotonic_ns - _age_ns(capture.captured_ns, now_ns)
            length_mm = self._height * self._mm_per_px
            found = self._strip.place(capture, at_ns, length_mm, position_mm)
            position_mm, place, zero = found.position_mm, found.mark, found.zero
            coil, recipe, next_recipe = found.coil or coil, found.plan or recipe, found.next_plan
            if fault == DARK and found.mark.no_steel is True:
                fault = capture.fault
            fault = fault or self._strip.edge_fault(found)
        self._news_s, self._fault = time.monotonic(), fault
        self._faults += fault is not None
        self._next_mm, self._next_ns = position_mm + self._height * self._mm_per_px, captured_ns
        if self._places is not None:
            self._places.keep(position_mm, captured_monotonic_ns)
        if self._count is not None:
            self._count.keep(self.captured, captured_ns, self._next_mm, self._height)
        announcement = Announcement(
            self._camera,
            self.ingest_epoch,
            frame_id,
            captured_ns,
            captured_monotonic_ns,
            position_mm,
            self._height,
            coil,
            fault,
            capture.file,
            recipe,
            place,
            zero,
            next_recipe,
            self._width,
        )
        self._announce(announcement, capture.pixels)
        if capture.pixels is None:
            if self._unreadable.due() is not None:
                why = capture.fault and capture.fault.text
                log.warning("frame cannot be inspected", frame=frame_id, fault=why, so_far=self._faults)
            return None
        if fault is not None:
            if fault != before:  # log changes only: a dead lamp must not fill the log
                log.warning("picture cannot be inspected", frame=frame_id, fault=fault.text)
            return None
        return Frame(self._camera, frame_id, captured_ns, captured_monotonic_ns, position_mm, capture.pixels)

    def _checked(self, picture: PictureCheck, pixels: Pixels) -> Uninspected | None:
        """Why the picture is not fit to inspect; None when it is, and then its measures count for drift."""
        fault = picture.check(pixels)
        if self._learned is not None:
            self._learned.store(picture)
        if fault is None and (found := picture.newest) is not None:
            self._block.add(found.strip_grey, found.contrast, found.grain)
        return fault

    def _announce(self, announcement: Announcement, pixels: Pixels | None) -> None:
        self._untold.append(announcement)
        if self._archive is not None:
            self._archive.send(announcement, pixels)

    def give_up(self, frame: Frame, reason: Uninspected) -> None:
        """Report that an announced frame will not reach a worker."""
        self._given_up += 1
        self._untold.append(Fault(self._camera, self.ingest_epoch, frame.frame_id, reason))
        self.tell()

    def forget_untold(self) -> None:
        """Drop the queued announcements of frames that already had verdicts before a resume."""
        self._untold.clear()

    def end(self) -> None:
        """Announce that this ingest captures no more."""
        self._untold.append(
            End(self._camera, self.ingest_epoch, self.captured, self._next_ns, self._next_mm, self._height)
        )
        self.tell()

    def wait_confirmed(self, links: Path) -> None:
        """Wait until decide has this ingest's End; raises WorkError when it has not within CONFIRM_S."""
        until_s = time.monotonic() + CONFIRM_S
        while not confirmed(links, self._camera, self.ingest_epoch):
            if time.monotonic() >= until_s:
                raise WorkError(
                    f"camera {self._camera}: decide has not confirmed the {self.captured} captured frames within "
                    f"{CONFIRM_S:g} s: those that it does not know become uninspected when the next ingest starts"
                )
            self._pulse.held_up("decide")
            time.sleep(CONFIRM_TURN_S)

    def turn(self) -> None:
        """Call once per turn of the loop, with or without a new frame: reports progress, sends Idle when due."""
        self._pulse.turn(self.captured, pending=False, say=self._state)
        if self._places is not None:
            self._places.stands(time.monotonic_ns())
        readings = self._readings if self._measured is None else self._measured.readings()
        if readings is not self._readings or self._block.number != self._told_block:
            self._readings, self._told_block = readings, self._block.number
            self._untold.append(Readings(self._camera, self.ingest_epoch, readings | self._picture_means()))
        now_s = time.monotonic()
        if now_s - self._told_s >= IDLE_MS / 1e3:
            self._told_s = now_s
            # Do not wait for a full link: the next Idle follows soon.
            with contextlib.suppress(zmq.Again):
                self._news.send(encode([Idle(self._camera, self.ingest_epoch)]), zmq.NOBLOCK)

    def _picture_means(self) -> dict[str, float]:
        """Means of the newest block of pictures, for drift."""
        if not self._block.number:
            return {}
        names = (PICTURE_BLOCK, *(f"{PICTURE_BLOCK}.{name}" for name in PICTURE_FIGURES))
        return dict(zip(names, (float(self._block.number), *self._block.means), strict=True))

    def _state(self) -> str:
        silent_s = time.monotonic() - self._news_s
        last = f"last frame {self.captured - 1} {silent_s:.1f} s ago" if self.captured else "no frame yet"
        told = (
            f"{last}, {self.captured} captured, {self._faults} unreadable, missing or unfit, {self._given_up} shed"
        )
        return told if self._fault is None else f"{told}; {self._fault.text}"

    def tell(self) -> None:
        """Send the queued messages to decide; raises WorkError when decide takes none before a stop."""
        if not self._untold:
            return
        news, self._untold = self._untold, []
        self._told_s = time.monotonic()
        on_wait = partial(self._pulse.held_up, "decide")
        if not send(self._news, [encode(news)], self._stop, on_wait=on_wait):
            raise WorkError(
                f"camera {self._camera}: decide does not take announcements, or does not run: "
                f"{self.captured} frames were captured, see its log"
            )


def main(config: LoadedConfig, camera: str) -> None:
    """Run until the source ends or a stop is requested. Raises InputError before the first frame."""
    line = config.line
    if camera not in line.cameras:
        raise ConfigError(f"{config.path}: cameras: no camera {camera}; there is {', '.join(line.cameras)}")
    structlog.contextvars.bind_contextvars(camera=camera)
    make_own_folder(line.links)
    recipe = load_recipe(line.recipe)
    manifest = read_manifest(line.engine)
    batch = line.batch.frames(manifest.max_batch)
    optics = open_optics(line, camera)
    source = open_camera(line, camera, recipe.recipe.mm_per_px_along)
    files = files_so_far(line.sinks.out) if line.resume_frames is not None else []
    keep_order(source, files)
    notifier = Notifier()
    with (
        hold_place(f"ingest-{camera}", line.links),
        StopRequest() as stop,
        source,
        open_context() as context,
    ):
        news = open_sender(context, NEWS, line.links, linger_ms=NEWS_LINGER_MS)
        set_retry(news)
        ring = PixelRing.create(
            ring_path(line.links, camera),
            manifest.height * manifest.width,
            slots_for(manifest.height * manifest.width, batch),
        )
        try:
            frames = open_sender(context, FRAMES, line.links, camera, linger_ms=FRAMES_LINGER_MS)
            live = source.when_behind is WhenBehind.SHED_OLDEST
            picture = recipe.recipe.picture.start()
            learned = LearnedLimits(line.links, camera, recipe.identity) if live and picture is not None else None
            if learned is not None:
                picture = learned.load() or picture
            epoch = REPLAY_EPOCH if line.replay else time.monotonic_ns()
            count = None if line.replay else CaptureCount(line.links, camera, epoch)
            announcer = Announcer(
                camera,
                news,
                stop,
                recipe,
                _first_height_px(source, manifest.height),
                line.coil,
                Pulse(notifier, "frames"),
                PlaceFile(line.links, camera, list(line.cameras)) if live else None,
                epoch,
                picture,
                learned,
                count,
                source if isinstance(source, Measured) else None,
                open_on_strip(config, camera, recipe.recipe.mm_per_px_across, manifest.width),
                None if line.strip is None else line.strip.camera(camera).mm_per_px_along,
                None if line.archive is None else ArchiveSender(context, line.links, camera),
            )
            dispatch = Dispatch(
                frames,
                ring,
                int(line.deadline_ms * 1e6),
                announcer.ingest_epoch,
                stop,
                ViewPace(line.view.frames_per_second),
                line.frames.fit(manifest.height, manifest.width, manifest.map_stride),
            )
            captures = source.captures()
            if optics is not None:
                captures = corrected(captures, optics)
            announcer.begin(source.total())
            notifier.tell(**{READY: "1"})
            log.info("ingest started", source=line.cameras[camera].type)
            feed = _feed_shedding if live else _feed_waiting
            pass_over(captures, line.resume_frames or 0, files, announcer, stop)
            feed(captures, announcer, dispatch, stop)
            announcer.end()
            notifier.tell(**{CAPTURED: str(announcer.captured)})
            log.info("ingest ended", captured=announcer.captured, refused=dispatch.refused)
            announcer.wait_confirmed(line.links)
        finally:
            ring.close()


def _first_height_px(source: Source, of_engine_px: int) -> int:
    """The height of a first frame that cannot be read: that of the first one whose size is known, else the
    engine's."""
    _, (height, _) = next(source.sizes(), ("", (of_engine_px, 0)))
    return height


def slots_for(frame_bytes: int, batch: int) -> int:
    """Number of frames that the shared memory holds."""
    return max(LEAST_SLOTS, SLOTS_PER_BATCH * batch, min(USUAL_SLOTS, USUAL_BYTES // frame_bytes))


def _feed_waiting(
    captures: Iterator[Capture | None], announcer: Announcer, dispatch: Dispatch, stop: StopRequest
) -> None:
    """Feed from a recording: read a frame only when there is credit for it, so that none is shed."""
    ended = False
    while not ended:
        credit = dispatch.wait_for_credit(IDLE_MS)
        announcer.turn()
        if stop:
            return
        frames: list[Frame] = []
        until_s = time.monotonic() + RECORDING_CHUNK_S
        while credit > 0 and len(frames) < CHUNK_FRAMES:
            try:
                capture = next(captures)
            except StopIteration:
                ended = True
                break
            frame = announcer.take(capture) if capture is not None else None
            if frame is not None:
                frames.append(frame)
                credit -= dispatch.inputs(frame)
            if time.monotonic() >= until_s:
                break
        announcer.tell()
        for frame in frames[dispatch.send(frames) :]:
            # There was credit a moment ago, so the worker has just gone.
            announcer.give_up(frame, SHED_REASON)


def _feed_shedding(
    captures: Iterator[Capture | None], announcer: Announcer, dispatch: Dispatch, stop: StopRequest
) -> None:
    """Feed from a live camera: frames wait in a short queue, and when it is full the oldest is shed."""
    waiting: deque[Frame] = deque()
    shed = 0
    # Give a running worker time to connect; without one, capture starts all the same.
    dispatch.wait_for_credit(FIND_WORKER_MS)
    for capture in captures:
        announcer.turn()
        if stop:
            break
        frame = announcer.take(capture) if capture is not None else None
        announcer.tell()
        if frame is not None:
            waiting.append(frame)
        for _ in range(dispatch.send(tuple(waiting))):
            waiting.popleft()
        while len(waiting) > SHED_QUEUE_FRAMES:
            announcer.give_up(waiting.popleft(), SHED_REASON)
            shed += 1
            if shed.bit_count() == 1:
                # At 1, 2, 4, 8, …: shedding for hours must not fill the log.
                log.warning("frames shed: the worker is behind", shed=shed)
    while waiting:
        if not stop:
            dispatch.wait_for_credit(FIND_WORKER_MS)
        if dispatch.send([waiting[0]]):
            waiting.popleft()
        else:
            announcer.give_up(waiting.popleft(), STOPPED_REASON if stop else SHED_REASON)
