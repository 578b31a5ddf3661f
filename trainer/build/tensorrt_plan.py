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
    """Return the plan, and TensorRT's log messages of level INFO and above.

    Raises WorkError with TensorRT's reason if it makes no plan, KeyboardInterrupt after Ctrl-C.
    """
    # TensorRT holds plain pointers to both, so they must outlive everything else.
    log, errors = TensorRtLog(keep=True), TensorRtErrors()
    build = _Build(log, errors, version)
    try:
        # Poll for Ctrl-C instead of raising: an exception in a callback would pass through TensorRT's code.
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
    """TensorRT's objects of one build, freed in the order that TensorRT requires.

    Local variables would be freed in order of definition, and after an exception only with its traceback.
    """

    def __init__(self, log: TensorRtLog, errors: TensorRtErrors, version: str) -> None:
        self._log, self._errors, self._version = log, errors, version
        self._builder = start(trt.Builder, log)
        self._network = self._builder.create_network(network_flags(trt.NetworkDefinitionCreationFlag, version))
        self._config = self._builder.create_builder_config()
        self._timings: trt.ITimingCache | None = None

    def run(self, request: BuildRequest, onnx_path: Path, cache: Path, stop: StopRequest) -> bytes | None:
        """Return the plan; None if TensorRT makes none. Raises WorkError for a refused model or profile."""
        if refusal := parse_onnx(onnx_path, self._network, self._log):
            raise WorkError(f"{onnx_path.name}: TensorRT {self._version} refuses the model: {refusal}")
        # Only now: a parser restores the recorder that it found, on a network that is freed before it.
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
        """Free the users first: config, its timings, network, builder."""
        del self._config
        del self._timings
        del self._network
        del self._builder

    def _add_profile(self, request: BuildRequest) -> None:
        """Allow batches from one to the largest, optimised for the largest: batches are full when speed matters."""
        profile = self._builder.create_optimization_profile()
        most = request.gpu.max_batch
        least, largest = (trt.Dims((frames, request.height, request.width)) for frames in (1, most))
        profile.set_shape("frames", least, largest, largest)
        if self._config.add_optimization_profile(profile) < 0:
            raise WorkError(f"TensorRT refuses batches of 1 to {most} frames: {self._errors.told()}")

    def _set_flags(self, request: BuildRequest) -> None:
        # fp32 means fp32: TensorFloat-32 has only 10 bits of mantissa.
        self._config.clear_flag(trt.BuilderFlag.TF32)
        if request.gpu.version_compatible:
            self._config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
            # Without the lean runtime the plan contains no host code, which the line refuses to run.
            self._config.set_flag(trt.BuilderFlag.EXCLUDE_LEAN_RUNTIME)
        if request.gpu.hardware_compatible is not None:
            self._config.hardware_compatibility_level = _LEVELS[request.gpu.hardware_compatible]

    def _use_timings(self, cache: Path) -> None:
        """Start from earlier timings on this GPU, or from none if the cache is missing or refused."""
        known = cache.read_bytes() if cache.is_file() else b""
        for begin in (known, b""):
            timings = self._config.create_timing_cache(begin)
            if timings is not None and self._config.set_timing_cache(timings, False):
                self._timings = timings
                break
        self._errors.clear()  # a damaged cache, or one of another GPU, only costs time

    def _keep_timings(self, cache: Path) -> None:
        if self._timings is None:
            return
        torn = cache.with_suffix(f".{os.getpid()}")
        torn.write_bytes(bytes(self._timings.serialize()))
        torn.replace(cache)
