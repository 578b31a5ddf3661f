"""From ONNX to a plan that the stand-in's runtime opens. How a build goes, NVIDIA's genuine builder tests."""

from types import SimpleNamespace

import onnx
from cuda.bindings import runtime as cuda

from .callbacks import ILogger, Telling, checked
from .plan import write_plan
from .values import (
    BuilderFlag,
    HardwareCompatibilityLevel,
    IHostMemory,
    Misuse,
    NetworkDefinitionCreationFlag,
)
from .version import __version__

_STRONGLY_TYPED = 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED.value


class Builder(Telling):
    def __init__(self, logger) -> None:
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
        if not config.profiles:
            raise Misuse("the network has a dynamic input and no optimisation profile")
        self.logger.log(ILogger.Severity.INFO, f"[MemUsageStats] stand-in of {__version__}")
        _, properties = cuda.cudaGetDeviceProperties(0)
        facts = {
            "version": __version__,
            "capability": [properties.major, properties.minor],
            "flags": sorted(flag.name for flag in config.set_flags),
            "hardware": config.hardware_compatibility_level.name,
            "profile": config.profiles[0],
        }
        return IHostMemory(write_plan(facts, network.model.SerializeToString()))


class INetworkDefinition:
    def __init__(self) -> None:
        self.model = None
        self.error_recorder = None

    @property
    def num_inputs(self):
        return len(self.model.graph.input)

    @property
    def num_outputs(self):
        return len(self.model.graph.output)

    def get_input(self, index):
        return SimpleNamespace(name=self.model.graph.input[index].name)

    def get_output(self, index):
        return SimpleNamespace(name=self.model.graph.output[index].name)


class OnnxParser:
    def __init__(self, network, logger) -> None:
        self._network = network
        checked(logger, ILogger)

    def parse(self, model, path=None):
        self._network.model = onnx.load_from_string(bytes(model))
        onnx.checker.check_model(self._network.model, full_check=True)
        return True


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes = {}

    def set_shape(self, input, min, opt, max) -> None:
        self.shapes[input] = [list(min), list(opt), list(max)]


class IBuilderConfig:
    def __init__(self) -> None:
        self.progress_monitor = None
        self.hardware_compatibility_level = HardwareCompatibilityLevel.NONE
        self.set_flags = {BuilderFlag.TF32}
        self.profiles = []

    def set_flag(self, flag) -> None:
        self.set_flags.add(flag)

    def clear_flag(self, flag) -> None:
        self.set_flags.discard(flag)

    def add_optimization_profile(self, profile):
        self.profiles.append(profile.shapes)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache) -> None:
        """Times nothing, so keeps nothing."""
