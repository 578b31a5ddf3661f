"""A viewer's end of the live view: receives verdicts and frames from a running line."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import zmq
from zmq.auth import load_certificate

from inspector.config.line import load_config
from inspector.errors import InputError, WorkError
from inspector.values import Pixels, Verdict
from inspector.wire.links import VIEW, endpoint, open_context

SILENCE_S: Final = 10.0
"""How long a line may publish nothing before a viewer gives up, seconds."""

_WITH_PICTURE: Final = 5
"""Parts of a message with a picture that are read here: camera, verdict, shape, pixels, mask."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One verdict, with its frame if the line sent it."""

    verdict: Verdict
    pixels: Pixels | None = None
    """uint8 [H, W]."""
    mask: Pixels | None = None
    """uint8 [H, W]: class 1..K of defect pixels, else 0."""


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
) -> Iterator[Seen]:
    """Yield what the line publishes at `address`, of the given cameras or of all; the line never waits for it.

    Over TCP, `secret` is the viewer's key_secret file and `line_key` the line's key file. Raises InputError for
    keys that cannot be read, WorkError after `silence_s` without a verdict.
    """
    verdicts = msgspec.json.Decoder(Verdict)
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
            topic, verdict, *rest = socket.recv_multipart()
            if cameras and topic.decode() not in cameras:  # a topic matches by its beginning
                continue
            if len(rest) + 2 < _WITH_PICTURE:
                yield Seen(verdicts.decode(verdict))
                continue
            shape, pixels, mask = rest[:3]
            size = json.loads(shape)
            planes = (np.frombuffer(plane, np.uint8).reshape(size) for plane in (pixels, mask))
            yield Seen(verdicts.decode(verdict), *planes)


def _keys(path: Path) -> tuple[bytes, bytes | None]:
    try:
        return load_certificate(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a key made by `inspector keys`: {error}") from None
