"""A viewer's end of the live view: receives verdicts and frames from a running line."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import zmq
from zmq.auth import load_certificate

from inspector.config.line import load_config
from inspector.errors import InputError, WireError, WorkError
from inspector.values import MAX_SCORE, Pixels, Verdict
from inspector.wire.links import VIEW, endpoint, open_context

SILENCE_S: Final = 10.0
"""How long a line may publish nothing before a viewer gives up, seconds."""


class ViewMessage(msgspec.Struct, frozen=True):
    """One message of the live view."""

    verdict: Verdict
    pixels: Pixels | None = None
    """uint8 [H, W]; None for a verdict without a picture."""
    mask: Pixels | None = None
    """uint8 [H, W]: 0 normal, 1..K the kind."""
    peaks: tuple[int, ...] = ()
    """The highest score of each kind in the frame, 0 to 255, whatever its threshold; empty without a picture."""
    score: Pixels | None = None
    """The engine's score map, uint8 [H/m, W/m]."""


_VERDICT: Final = msgspec.json.Decoder(Verdict)
_SHAPE: Final = msgspec.json.Decoder(tuple[int, int])
_PEAKS: Final = msgspec.json.Decoder(tuple[Annotated[int, msgspec.Meta(ge=0, le=MAX_SCORE)], ...])

_PARTS: Final = (2, 6, 8)
"""Numbers of parts: without a picture, with one, and with its score map."""


def _score_map(parts: Sequence[bytes]) -> Pixels | None:
    if not parts:
        return None
    height, width = _SHAPE.decode(parts[0])
    if height < 1 or width < 1 or len(parts[1]) != height * width:
        raise WireError(f"the score map is not {height}×{width}")
    return np.frombuffer(parts[1], np.uint8).reshape(height, width)


def decode(parts: Sequence[bytes]) -> ViewMessage:
    """Decode a message of the live view; the planes share its memory. Raises WireError."""
    try:
        if len(parts) not in _PARTS:
            raise WireError(f"{len(parts)} parts")
        verdict = _VERDICT.decode(parts[1])
        if len(parts) == 2:
            return ViewMessage(verdict)
        height, width = _SHAPE.decode(parts[2])
        if height < 1 or width < 1 or any(len(plane) != height * width for plane in parts[3:5]):
            raise WireError(f"planes are not {height}×{width}")
        peaks = _PEAKS.decode(parts[5])
        pixels, mask = (np.frombuffer(plane, np.uint8).reshape(height, width) for plane in parts[3:5])
        score = _score_map(parts[6:])
    except (msgspec.MsgspecError, ValueError) as error:
        raise WireError(str(error)) from None
    return ViewMessage(verdict, pixels, mask, peaks, score)


def view_address(config: Path) -> str:
    """Return where a line publishes its view: from its line.toml, or from the line.json in a run's folder.

    Raises InputError if the file cannot be read.
    """
    if config.suffix != ".json":
        line = load_config(config).line
        return line.view.address or endpoint(VIEW, line.links)
    try:
        values = json.loads(config.read_bytes())
        return str(values["view"]["address"] or endpoint(VIEW, Path(values["links"])))
    except OSError as error:
        raise InputError(f"{config}: {error.strerror}: give the line.json of a run that is running") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{config}: is not the line.json of a run: {error}") from None


def watch(
    address: str,
    *,
    cameras: Sequence[str] = (),
    secret: Path | None = None,
    line_key: Path | None = None,
    silence_s: float = SILENCE_S,
) -> Iterator[ViewMessage]:
    """Yield what the line publishes at `address`, of the given cameras or of all; the line never waits for it.

    Over TCP, `secret` is the viewer's key_secret file and `line_key` the line's key file. Raises InputError for
    keys that cannot be read, WireError for another program's message, WorkError after `silence_s` of silence.
    """
    with open_context() as context:
        socket = context.socket(zmq.SUB)
        socket.linger, socket.rcvhwm = 0, VIEW.high_water
        for camera in cameras or ("",):
            socket.subscribe(camera)
        if secret is not None and line_key is not None:
            socket.curve_publickey, socket.curve_secretkey = _keys(secret)
            socket.curve_serverkey = _keys(line_key)[0]
        socket.connect(address)
        while True:
            if not socket.poll(round(silence_s * 1e3)):
                raise WorkError(
                    f"{address}: no verdict for {silence_s:g} s: is the line running, with [view] "
                    "frames_per_second above 0, and does it know this viewer's key?"
                )
            parts = socket.recv_multipart()
            if cameras and parts[0].decode() not in cameras:  # a topic matches by its beginning
                continue
            yield decode(parts)


def _keys(path: Path) -> tuple[bytes, bytes | None]:
    try:
        return load_certificate(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a key made by `inspector keys`: {error}") from None
