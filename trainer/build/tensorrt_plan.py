"""From an ONNX file to the bytes of a plan: a strongly typed network, one optimisation profile."""

import os
from pathlib import Path

import tensorrt as trt

from inspector.backends.tensorrt import AMPERE_PLUS, SAME_CAPABILITY
from inspector.backends.tensorrt_messages import TensorRtErrors, TensorRtLog, start
from inspector.backends.tensorrt_versions import network_flags
from inspector.errors import WorkError
from inspector.runtime.stop import StopRequest
from trainer.build.request import BuildRequest
from trainer.build.tensorrt_parser import parse_onnx
from trainer.build.tensorrt_progress import BuildProgress

_LEVELS = {
    SAME_CAPABILITY: trt.HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY,
    AMPERE_PLUS: trt.HardwareCompatibilityLevel.AMPERE_PLUS,
}


def build_plan(request: BuildRequest, onnx_path: Path, version: str, cache: Path) -> tuple[bytes, list[str]]:
    """The plan, and what TensorRT said of INFO and above.

    Raises WorkError with TensorRT's reason where it gives no plan, KeyboardInterrupt after Ctrl-C.
    """
    # TensorRT holds plain pointers to both: they live until everything else is freed.
    log, errors = TensorRtLog(keep=True), TensorRtErrors()
    build = _Build(log, errors, version)
    try:
        # Ctrl-C is asked for, never raised: an exception out of a callback would pass through TensorRT's own code.
        with StopRequest() as stop:
            plan = build.run(request, onnx_path, cache, stop)
    finally:
        build.free()
    if stop:
        raise KeyboardInterrupt
    if plan is None:
        raise WorkError(f"{request.onnx}: TensorRT {version} cannot build it: {errors.told()}")
    return plan, log.lines or []


class _Build:
    """TensorRT's objects of one build, freed in the order that it asks for.

    Locals are freed in the order in which they were named, and after an exception only with its traceback.
    """

    def __init__(self, log: TensorRtLog, errors: TensorRtErrors, version: str) -> None:
        self._log, self._errors, self._version = log, errors, version
        self._builder = start(trt.Builder, log)
        self._network = self._builder.create_network(network_flags(trt.NetworkDefinitionCreationFlag, version))
        self._config = self._builder.create_builder_config()
        self._timings: trt.ITimingCache | None = None

    def run(self, request: BuildRequest, onnx_path: Path, cache: Path, stop: StopRequest) -> bytes | None:
        """The plan; None where TensorRT gives none. Raises WorkError for a model or a profile that it refuses."""
        if refusal := parse_onnx(onnx_path, self._network, self._log):
            raise WorkError(f"{onnx_path.name}: TensorRT {self._version} does not take the model: {refusal}")
        # Not before: a parser puts back the recorder that it finds, on a network that is freed before it.
        self._builder.error_recorder = self._errors
        self._network.error_recorder = self._errors
        self._add_profile(request)
        self._set_flags(request)
        self._use_timings(cache)
        self._config.progress_monitor = BuildProgress(stop, show=request.show_progress)
        memory = self._builder.build_serialized_network(self._network, self._config)
        if memory is None or stop:
            return None
        self._keep_timings(cache)
        return bytes(memory)

    def free(self) -> None:
        """What uses a thing before the thing: config, its timings, network, builder."""
        del self._config
        del self._timings
        del self._network
        del self._builder

    def _add_profile(self, request: BuildRequest) -> None:
        """One to the largest batch, fastest at the largest: where speed counts, batches are full."""
        profile = self._builder.create_optimization_profile()
        most = request.gpu.max_batch
        least, largest = (trt.Dims((frames, request.height, request.width)) for frames in (1, most))
        profile.set_shape("frames", least, largest, largest)
        if self._config.add_optimization_profile(profile) < 0:
            raise WorkError(f"TensorRT refuses batches of 1 to {most} frames: {self._errors.told()}")

    def _set_flags(self, request: BuildRequest) -> None:
        # fp32 means fp32: TensorFloat-32 keeps 10 bits of mantissa.
        self._config.clear_flag(trt.BuilderFlag.TF32)
        if request.gpu.version_compatible:
            self._config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
            # Without a lean runtime inside, the plan has no host code, which the line would not run.
            self._config.set_flag(trt.BuilderFlag.EXCLUDE_LEAN_RUNTIME)
        if request.gpu.hardware_compatible is not None:
            self._config.hardware_compatibility_level = _LEVELS[request.gpu.hardware_compatible]

    def _use_timings(self, cache: Path) -> None:
        """Start from earlier timings on this GPU; from none where there is no cache or TensorRT refuses it."""
        known = cache.read_bytes() if cache.is_file() else b""
        for begin in (known, b""):
            timings = self._config.create_timing_cache(begin)
            if timings is not None and self._config.set_timing_cache(timings, False):
                self._timings = timings
                break
        self._errors.clear()  # of a cache that is torn or of another GPU: it costs time, not the build

    def _keep_timings(self, cache: Path) -> None:
        if self._timings is None:
            return
        torn = cache.with_suffix(f".{os.getpid()}")
        torn.write_bytes(bytes(self._timings.serialize()))
        torn.replace(cache)
