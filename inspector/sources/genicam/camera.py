"""A connection to one GenICam camera (GigE Vision, USB3 Vision) through Aravis."""

import gc
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from inspector.clocks import both_clocks
from inspector.config.sources import FeatureValue
from inspector.images import GreyWindow
from inspector.sources.camera.clock import CameraClock
from inspector.sources.camera.reader import OpenCamera, Quiet
from inspector.sources.genicam.features import FeatureFault, set_features
from inspector.sources.genicam.library import aravis, glib_error
from inspector.sources.genicam.losses import Grab
from inspector.sources.genicam.mono_formats import FORMATS, NAMES, Grey
from inspector.sources.genicam.readings import Readings
from inspector.sources.genicam.stream import NO_ID, StreamFault, hand_over, open_stream
from inspector.values import Code, Uninspected

_POP_US: Final = 100_000
"""Longest wait for a buffer, µs, so that the reader's thread can stop in time."""

_CONTROL_S: Final = 5.0
_CONTROL_TURN_S: Final = 0.25
"""How long to ask for control of a camera, seconds. When the controlling program was killed, the camera waits 3 s
for its heartbeat."""

_SILENT_S: Final = 5.0
"""Silence after which a free-running camera is reopened, seconds: after a power cycle it no longer streams."""

_PACKET_SIZE: Final = "GevSCPSPacketSize"

_STATUS: Final = {
    "timeout": "packets were lost and not sent again in time",
    "missing-packets": "packets were lost",
    "wrong-packet-id": "it has packets that belong to no frame",
    "size-mismatch": "it is larger than the camera announced",
    "aborted": "the stream was stopped",
}
"""Aravis' buffer states."""


class GenicamConnection:
    """How to open and set up one camera."""

    def __init__(
        self,
        device: str,
        features: Sequence[Mapping[str, FeatureValue]],
        *,
        frames_per_second: float,
        frame_rows: int | None,
        triggered: bool,
        grey_window: GreyWindow | None,
        encoder_chunk: str | None,
        readings: Readings,
    ) -> None:
        self.device, self.features, self.grey_window = device, features, grey_window
        self.frames_per_second, self.frame_rows, self.triggered = frames_per_second, frame_rows, triggered
        self.encoder_chunk, self.readings = encoder_chunk, readings

    def open(self) -> OpenCamera[Grab] | str:
        """Return an open camera that streams, or why it cannot be opened."""
        try:
            camera = self._control()
            if isinstance(camera, str):
                return camera
            set_features(camera.get_device(), self.features)
            return GenicamCamera(camera, self)
        except (FeatureFault, StreamFault) as fault:
            return str(fault)
        except glib_error() as error:
            text = " ".join(str(getattr(error, "message", error)).split())
            absent = "not found" in text
            return "no such camera answers: `inspector cameras` lists those that do" if absent else text
        finally:
            gc.collect()  # Aravis closes a camera when its last reference goes, and errors hold references

    def _control(self) -> Any:
        """Return the camera under this program's control, or a text when another program controls it."""
        until_s = time.monotonic() + _CONTROL_S
        while True:
            camera = aravis().Camera.new(self.device)
            if not camera.is_gv_device() or camera.get_device().is_controller():
                return camera
            del camera
            if time.monotonic() > until_s:
                return "another program controls it: end that program"
            time.sleep(_CONTROL_TURN_S)


class GenicamCamera:
    """An open camera that streams."""

    def __init__(self, camera: Any, connection: GenicamConnection) -> None:
        self._camera, self._device, self._connection = camera, camera.get_device(), connection
        self.ended, self.is_file = "the connection ended", False
        self._gone = threading.Event()
        self._signal = self._device.connect("control-lost", self._note_loss, self._gone)
        self._clock = CameraClock()
        self._grey = self._format()
        self.size: tuple[int, int] | None = (self._grey.height, self._grey.width)
        self._chunks = self._chunk_parser(connection.encoder_chunk)
        rows = self._grey.height if connection.frame_rows is None else connection.frame_rows
        self._stream = open_stream(camera, connection.frames_per_second * rows / self._grey.height)
        self._check_packets()
        connection.readings.opened(self._device, self._stream)
        camera.start_acquisition()
        self._heard_s = time.monotonic()

    @staticmethod
    def _note_loss(_device: Any, gone: threading.Event) -> None:
        """Note that the camera is gone. Aravis' thread calls this; a bound method would keep the camera open."""
        gone.set()

    def _format(self) -> Grey:
        number, name = self._camera.get_pixel_format(), self._camera.get_pixel_format_as_string()
        if number not in FORMATS:
            raise FeatureFault(f"the camera's PixelFormat is {name}: set {NAMES} in its features")
        window = self._connection.grey_window
        if FORMATS[number].bits > 8 and window is None:
            raise FeatureFault(
                f"the camera's PixelFormat is {name}: state grey_window = [low, high] in the config, the samples "
                "that are black and white, or set Mono8"
            )
        *_, width, height = self._camera.get_region()
        return Grey(number, height, width, window)

    def _check_packets(self) -> None:
        """Check the packet size: Aravis sends test packets and lowers the size to what the network carries."""
        for group in self._connection.features:
            wanted = group.get(_PACKET_SIZE)
            if wanted is not None and self._camera.is_gv_device():
                found = self._device.get_integer_feature_value(_PACKET_SIZE)
                if found != wanted:
                    raise FeatureFault(
                        f"features: {_PACKET_SIZE} = {wanted}: the network carries {found}: raise its MTU, or "
                        f"write {found}"
                    )

    def _chunk_parser(self, name: str | None) -> Any:
        if name is None:
            return None
        if not isinstance(self._device.get_feature(name), aravis().GcInteger):
            raise FeatureFault(f"encoder_chunk: the camera has no integer feature {name}")
        return self._camera.create_chunk_parser()

    def read(self) -> Grab | Literal[Quiet.YET] | None:
        """Return the next buffer; None when the camera is gone."""
        if self._gone.is_set():
            self.ended = "the camera is gone"
            return None
        buffer = self._stream.timeout_pop_buffer(_POP_US)
        now_s = time.monotonic()
        self._connection.readings.turn(now_s)
        if buffer is None:
            if now_s - self._heard_s > _SILENT_S and not self._connection.triggered:
                self.ended = f"no frame within {_SILENT_S:g} s"
                return None
            return Quiet.YET
        self._heard_s = now_s
        grab = self._grab(buffer)
        hand_over(self._stream, buffer)
        return grab

    def _grab(self, buffer: Any) -> Grab:
        frame_id = buffer.get_frame_id()
        known_id = None if frame_id == NO_ID else int(frame_id)
        if known_id is None:
            camera_ns, captured_ns = None, time.time_ns()
        else:
            camera_ns = int(buffer.get_timestamp())
            monotonic_ns, wall_ns = both_clocks()
            arrived_ns = int(buffer.get_system_timestamp())
            captured_ns = self._clock.on_pc_ns(camera_ns, arrived_ns, wall_ns - monotonic_ns)
        fault = self._unfit(buffer)
        if fault is not None:
            return Grab(None, fault, known_id, camera_ns, captured_ns)
        pixels = self._grey.pixels(buffer.get_image_data())
        return Grab(pixels, None, known_id, camera_ns, captured_ns, self._encoder(buffer))

    def _unfit(self, buffer: Any) -> Uninspected | None:
        """Return why a buffer is not a complete picture of the size and format that the camera announced."""
        status = buffer.get_status()
        if status != aravis().BufferStatus.SUCCESS:
            return Uninspected(Code.INCOMPLETE, f"incomplete: {_STATUS.get(status.value_nick, status.value_nick)}")
        if buffer.get_n_parts() < 1:
            return Uninspected(Code.UNREADABLE, f"no picture: payload {buffer.get_payload_type().value_nick}")
        height, width = buffer.get_image_height(), buffer.get_image_width()
        if (height, width) != (self._grey.height, self._grey.width):
            wanted = f"{self._grey.height}×{self._grey.width}"
            return Uninspected(Code.WRONG_SIZE, f"a picture of {height}×{width}, not {wanted}")
        if FORMATS.get(buffer.get_image_pixel_format()) is not self._grey.format:
            return Uninspected(Code.UNREADABLE, "the camera has changed its PixelFormat")
        return None

    def _encoder(self, buffer: Any) -> int | None:
        """Return the encoder's count from the frame's chunk data; None when the frame has none."""
        if self._chunks is None or not buffer.has_chunks():
            return None
        try:
            return int(self._chunks.get_integer_value(buffer, self._connection.encoder_chunk))
        except glib_error():
            return None

    def release(self) -> None:
        """Stop the stream and give up control."""
        self._device.disconnect(self._signal)
        self._connection.readings.closed()
        if not self._gone.is_set():
            try:
                self._camera.stop_acquisition()
            except glib_error():
                self._gone.set()  # the camera went away during the call
        del self._stream, self._chunks, self._camera, self._device
        gc.collect()
