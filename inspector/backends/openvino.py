"""The embedded default: a CPU engine on OpenVINO, compiled for throughput and for latency.

For throughput each core computes a separate batch; for latency all cores share one batch. A batch that finds the
engine idle takes the second form, and is ready in little more than half the time. A line at full load always has
another batch in flight, so it stays with the first. Both give the same maps, bit for bit.
"""

import functools
import os
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import numpy as np
import structlog

from inspector.backends.base import Answer, Backend
from inspector.errors import EngineError
from inspector.folders import why_not_private
from inspector.values import Pixels

MODEL_NAME: Final = "model.xml"
WEIGHTS_NAME: Final = "model.bin"

_HINTS: Final = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "bf16"}
"""Precision hints. Layers of an int8 model that are not quantised run in bf16 if the CPU supports it."""


_Work = tuple[int, Pixels] | None
"""A ticket and its batch; None ends a request's thread."""

log = structlog.get_logger()


@functools.cache
def _core() -> Any:
    """Return OpenVINO's core, the only one of this process.

    A core gives the thread that first compiles with it a signal stack (AMX's registers need it), and restores
    the previous stack when it is destroyed. Of two cores that exist at the same time, the later one may restore a
    stack that is already unmapped. The next signal, SIGTERM or Ctrl-C, then crashes the process.
    """
    import openvino as ov

    return ov.Core()


def _why_no_cache(folder: Path) -> str | None:
    """Return why `folder` cannot hold the compile cache; None when it can.

    A cached engine runs instead of the one that was checked, so only this user or root may write to the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        return f"{folder}: cannot be made: {error.strerror}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder}: cannot be written to"
    return why_not_private(folder)


class OpenVinoBackend(Backend):
    """An OpenVINO IR, compiled for this CPU in throughput mode, because a line always has another frame coming."""

    queues = True

    def _open(self) -> None:
        try:
            import openvino as ov
        except ImportError as error:
            raise EngineError(f"{self.folder.path}: needs OpenVINO ({error}): `pip install openvino`") from None
        core = _core()
        model_path = self.folder.path_of(MODEL_NAME)
        # From memory, so that what runs is what was checked. OpenVINO copies the weights; free ours after that.
        model, weights = self.folder.read(MODEL_NAME), self._weights()
        try:
            network = core.read_model(model, weights)
            del weights
            compiled = core.compile_model(network, "CPU", self._properties(core, "THROUGHPUT"))
            quick = core.compile_model(network, "CPU", self._properties(core, "LATENCY"))
        except RuntimeError as error:
            raise EngineError(
                f"{model_path}: OpenVINO {ov.__version__} cannot compile it "
                f"({str(error).strip().splitlines()[-1]}): build the engine again on this PC"
            ) from None
        self._check_ports(compiled, model_path)
        self._device = str(core.get_property("CPU", "FULL_DEVICE_NAME"))
        self._running = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        # One request more than OpenVINO has streams, so that no stream waits for Python. As many batches again
        # queue for the requests.
        requests = 1 + max(2, compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self.slots = self.settings.slots or 2 * requests
        self._tensor = ov.Tensor
        self._version = str(ov.__version__)
        self._work: SimpleQueue[_Work] = SimpleQueue()
        self._quick_work: SimpleQueue[_Work] = SimpleQueue()
        served = [(quick, self._quick_work)] + [(compiled, self._work)] * min(requests, self.slots)
        self._threads = [
            threading.Thread(
                target=self._serve, args=(model.create_infer_request(), work), name=f"openvino-{number}"
            )
            for number, (model, work) in enumerate(served)
        ]
        for thread in self._threads:
            thread.start()

    def _properties(self, core: Any, form: str) -> dict[str, Any]:
        hint = _HINTS[self.manifest.precision]
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if hint == "bf16" and "BF16" not in capabilities:
            hint = "f32"
        properties: dict[str, Any] = {
            "PERFORMANCE_HINT": form,
            "INFERENCE_PRECISION_HINT": hint,
        }
        if self.settings.threads is not None:
            properties["INFERENCE_NUM_THREADS"] = self.settings.threads
        if self.settings.cache_dir is not None:
            problem = _why_no_cache(self.settings.cache_dir)
            if problem is None:
                properties["CACHE_DIR"] = os.fspath(self.settings.cache_dir)
            else:
                log.warning("compile cache not used: each start compiles the engine", reason=problem)
        return properties

    def _weights(self) -> bytes:
        """Return the weights; a network without constants has no weights file."""
        return self.folder.read(WEIGHTS_NAME) if WEIGHTS_NAME in self.manifest.files else b""

    def _check_ports(self, compiled: Any, model_path: Path) -> None:
        names = {name for port in compiled.outputs for name in port.names}
        if not self.outputs().keys() <= names or "frames" not in compiled.inputs[0].names:
            raise EngineError(
                f"{model_path}: not an engine model (needs input frames, outputs {', '.join(self.outputs())}): "
                "export and build it again"
            )

    def _submit(self, ticket: int, frames: Pixels) -> None:
        idle = self.in_flight - len(self._answers) == 1
        (self._quick_work if idle else self._work).put((ticket, frames))

    def _serve(self, request: Any, work: "SimpleQueue[_Work]") -> None:
        """Serve one request in a thread: OpenVINO calls no callback for a failed inference, but a wait raises."""
        while (batch := work.get()) is not None:
            ticket, frames = batch
            started = time.perf_counter()
            kind = score = frame = error = None
            try:
                # Shares the batch's memory without a copy, unless it is read-only, which OpenVINO refuses.
                shared = np.require(frames, requirements=["C", "W"])
                request.set_tensor("frames", self._tensor(shared, shared_memory=True))
                request.infer()
                kind = request.get_tensor("kind").data.copy()
                score = request.get_tensor("score").data.copy()
                if self.manifest.scores_frames:
                    frame = request.get_tensor("frame").data.copy()
            except Exception as failure:  # noqa: BLE001  # a thread that died would leave the line waiting for ever
                kind, score, frame = None, None, None
                error = (str(failure).strip() or type(failure).__name__).splitlines()[-1]
            self._answer(Answer(ticket, kind, score, (time.perf_counter() - started) * 1e3, error, frame))

    def _close(self) -> None:
        self._quick_work.put(None)
        for _ in self._threads[1:]:
            self._work.put(None)
        for thread in self._threads:
            thread.join()

    def device(self) -> str:
        """Return the CPU's name and the precision it computes in."""
        quantised = "int8 and " if self.manifest.precision == "int8" else ""
        return f"{self._device}, {quantised}{self._running}"

    def versions(self) -> dict[str, str]:
        """Return OpenVINO's version."""
        return {"openvino": self._version}
