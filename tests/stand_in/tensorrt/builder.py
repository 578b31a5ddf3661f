"""From ONNX to a plan."""

import signal
from types import SimpleNamespace

import onnx
from cuda.bindings import runtime as cuda

from .callbacks import REFUSE, ILogger, IProgressMonitor, Telling, checked
from .plan import write_plan
from .values import (
    BuilderFlag,
    ErrorCodeTRT,
    HardwareCompatibilityLevel,
    IHostMemory,
    Misuse,
    NetworkDefinitionCreationFlag,
)
from .version import __version__

_STRONGLY_TYPED = 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED.value


class Builder(Telling):
    def __init__(self, logger):
        super().__init__(logger)

    def create_network(self, flags=0):
        if flags & ~_STRONGLY_TYPED:
            raise Misuse(f"no such network flags: {flags:b}")
        if __version__.startswith("10.") and not flags & _STRONGLY_TYPED:
            raise Misuse("a weakly typed network chooses its own precision")
        return INetworkDefinition()

    def create_builder_config(self):
        return IBuilderConfig()

    def create_optimization_profile(self):
        return IOptimizationProfile()

    def build_serialized_network(self, network, config):
        if network.model is None:
            raise Misuse("the network is empty")
        if not config.profiles:
            raise Misuse("the network has a dynamic input and no optimisation profile")
        monitor = config.progress_monitor
        if monitor is not None:
            checked(monitor, IProgressMonitor).phase_start("Building", None, 2)
            if REFUSE == "stop":
                signal.raise_signal(signal.SIGINT)
            if not monitor.step_complete("Building", 0):
                monitor.phase_finish("Building")
                return None
        if REFUSE == "build":
            words = "Could not find any implementation for node conv."
            return self.fail(ErrorCodeTRT.INTERNAL_ERROR, words)
        self.logger.log(ILogger.Severity.INFO, f"[MemUsageStats] stand-in of {__version__}")
        if config.timings is not None:
            config.timings.known += b"timed;"
        if monitor is not None:
            monitor.step_complete("Building", 1)
            monitor.phase_finish("Building")
        _, properties = cuda.cudaGetDeviceProperties(0)
        facts = {
            "version": __version__,
            "capability": [properties.major, properties.minor],
            "flags": sorted(flag.name for flag in config.set_flags),
            "hardware": config.hardware_compatibility_level.name,
            "profile": config.profiles[0],
        }
        return IHostMemory(write_plan(facts, network.model))


class INetworkDefinition:
    def __init__(self):
        self.model = None


class OnnxParser:
    def __init__(self, network, logger):
        self._network = network
        checked(logger, ILogger)
        self._errors = []

    @property
    def num_errors(self):
        return len(self._errors)

    def get_error(self, index):
        return SimpleNamespace(desc=lambda: self._errors[index])

    def parse(self, model, path=None):
        try:
            parsed = onnx.load_from_string(bytes(model))
            onnx.checker.check_model(parsed, full_check=True)
        except Exception as error:
            self._errors.append(f"Failed to parse the ONNX model: {error}")
            return False
        if REFUSE == "parse":
            self._errors.append("In node 3 with name: pad and operator: Pad (importPad):\nUNSUPPORTED_NODE: no")
            return False
        self._network.model = bytes(model)
        return True


class IOptimizationProfile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, input, min, opt, max):
        if not all(least <= best <= most for least, best, most in zip(min, opt, max, strict=True)):
            raise Misuse("min, opt and max do not grow")
        self.shapes[input] = [list(min), list(opt), list(max)]


class ITimingCache:
    def __init__(self, known):
        self.known = known

    def serialize(self):
        return IHostMemory(self.known)


class IBuilderConfig:
    def __init__(self):
        self.progress_monitor = None
        self.hardware_compatibility_level = HardwareCompatibilityLevel.NONE
        self.set_flags = {BuilderFlag.TF32}
        self.profiles = []
        self.timings = None

    def set_flag(self, flag):
        self.set_flags.add(flag)

    def clear_flag(self, flag):
        self.set_flags.discard(flag)

    def add_optimization_profile(self, profile):
        self.profiles.append(profile.shapes)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache):
        return ITimingCache(bytes(serialized_timing_cache))

    def set_timing_cache(self, cache, ignore_mismatch):
        if cache.known and not cache.known.startswith(b"timed;"):
            return False
        self.timings = cache
        return True

    def get_timing_cache(self):
        return self.timings
