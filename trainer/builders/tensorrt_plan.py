"""From an ONNX file to the bytes of a plan: a strongly typed network, one optimisation profile."""

import os
from pathlib import Path

import tensorrt as trt

from inspector.backends.tensorrt import AMPERE_PLUS, SAME_CAPABILITY
from inspector.backends.tensorrt_messages import TensorRtErrors, TensorRtLog
from inspector.backends.tensorrt_versions import network_flags
from inspector.errors import WorkError
from inspector.processes.stop import StopRequest
from trainer.builders.request import BuildRequest
from trainer.builders.tensorrt_progress import BuildProgress

_LEVELS = {
    SAME_CAPABILITY: trt.HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY,
    AMPERE_PLUS: trt.HardwareCompatibilityLevel.AMPERE_PLUS,
}


def build_plan(request: BuildRequest, onnx_path: Path, version: str, cache: Path) -> tuple[bytes, list[str]]:
    """The plan, and what TensorRT said; raises WorkError with its reason where it gives none."""
    log, errors = TensorRtLog(keep=True), TensorRtErrors()
    try:
        builder = trt.Builder(log)
    except TypeError as error:  # the bindings' word for a library that returned nothing
        raise WorkError(f"TensorRT {version} does not start: {log.first_error or error}") from None
    if log.first_error is not None:  # its bindings may hand out nothing as a builder: the next call would crash
        raise WorkError(f"TensorRT {version} does not start: {log.first_error}")
    builder.error_recorder = errors
    network = builder.create_network(network_flags(trt.NetworkDefinitionCreationFlag, version))
    _parse(onnx_path, network, log)
    config = builder.create_builder_config()
    _add_profile(builder, config, request)
    _set_flags(config, request)
    _use_timings(config, cache)
    # Ctrl-C is asked for, never raised: an exception out of a callback would pass through TensorRT's own code.
    with StopRequest() as stop:
        config.progress_monitor = BuildProgress(stop, show=request.show_progress)
        plan = builder.build_serialized_network(network, config)
    if stop:
        raise KeyboardInterrupt
    if plan is None:
        raise WorkError(f"{request.onnx}: TensorRT {version} cannot build it: {errors.told()}")
    _keep_timings(config, cache)
    return bytes(plan), log.lines or []


def _parse(onnx_path: Path, network: trt.INetworkDefinition, log: TensorRtLog) -> None:
    parser = trt.OnnxParser(network, log)
    if not parser.parse(onnx_path.read_bytes()):
        said = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        reason = " ".join(said[0].split()) if said else "no reason given"
        raise WorkError(f"{onnx_path.name}: TensorRT {trt.__version__} does not take the model: {reason}")


def _add_profile(builder: trt.Builder, config: trt.IBuilderConfig, request: BuildRequest) -> None:
    """One to the largest batch, fastest at the largest: where speed counts, batches are full."""
    profile = builder.create_optimization_profile()
    least, most = (trt.Dims((frames, request.height, request.width)) for frames in (1, request.gpu.max_batch))
    profile.set_shape("frames", least, most, most)
    if config.add_optimization_profile(profile) < 0:
        raise WorkError(f"TensorRT refuses batches of 1 to {request.gpu.max_batch} frames")


def _set_flags(config: trt.IBuilderConfig, request: BuildRequest) -> None:
    # fp32 means fp32: TensorFloat-32 keeps 10 bits of mantissa.
    config.clear_flag(trt.BuilderFlag.TF32)
    if request.gpu.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        # Without a lean runtime inside, the plan has no host code, which the line would not run.
        config.set_flag(trt.BuilderFlag.EXCLUDE_LEAN_RUNTIME)
    if request.gpu.hardware_compatible is not None:
        config.hardware_compatibility_level = _LEVELS[request.gpu.hardware_compatible]


def _use_timings(config: trt.IBuilderConfig, cache: Path) -> None:
    """Start from earlier timings on this GPU, where there are any; a cache it does not take is begun anew."""
    known = cache.read_bytes() if cache.is_file() else b""
    timings = config.create_timing_cache(known)
    if timings is None or not config.set_timing_cache(timings, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _keep_timings(config: trt.IBuilderConfig, cache: Path) -> None:
    timings = config.get_timing_cache()
    if timings is None:
        return
    torn = cache.with_suffix(f".{os.getpid()}")
    torn.write_bytes(bytes(timings.serialize()))
    torn.replace(cache)
