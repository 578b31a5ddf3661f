"""The live view: publishes verdicts, and the frames that a viewer asked for, to all subscribers."""

import msgspec
import numpy as np
import zmq

from inspector.core.verdicts import Outcome


class Viewer:
    """A PUB socket: a slow or absent viewer costs nothing and misses frames.

    Each message holds the camera's name (the topic) and the verdict as JSON. A frame with a picture adds its
    [height, width] as JSON, its pixels and its mask (uint8 planes), the highest score of each kind as JSON, the
    score map's [height, width], and the map.
    """

    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        self._socket = socket
        self._encoder = msgspec.json.Encoder()

    def show(self, outcome: Outcome) -> None:
        """Publish one verdict."""
        verdict = outcome.verdict
        parts: list[bytes | memoryview] = [verdict.camera.encode(), self._encoder.encode(verdict)]
        mask = outcome.mask()
        if outcome.pixels is not None and mask is not None:
            parts.append(self._encoder.encode(outcome.pixels.shape))
            parts += [np.ascontiguousarray(plane).reshape(-1).data for plane in (outcome.pixels, mask)]
            parts.append(self._encoder.encode(outcome.peaks()))
            if outcome.segmentation is not None:
                score = outcome.segmentation.score
                parts.append(self._encoder.encode(score.shape))
                parts.append(np.ascontiguousarray(score).reshape(-1).data)
        self._socket.send_multipart(parts, zmq.NOBLOCK)
