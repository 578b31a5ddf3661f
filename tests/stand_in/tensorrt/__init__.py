"""`tensorrt` without the library: the bindings' classes and signatures, an engine that ONNX Runtime computes."""

from .builder import (
    Builder,
    IBuilderConfig,
    INetworkDefinition,
    IOptimizationProfile,
    OnnxParser,
)
from .callbacks import IErrorRecorder, ILogger, IProgressMonitor
from .engine import ICudaEngine, IExecutionContext, Runtime
from .values import (
    BuilderFlag,
    DataType,
    Dims,
    ErrorCodeTRT,
    ExecutionContextAllocationStrategy,
    HardwareCompatibilityLevel,
    IHostMemory,
    NetworkDefinitionCreationFlag,
)
from .version import __version__

__all__ = [
    "Builder",
    "BuilderFlag",
    "DataType",
    "Dims",
    "ErrorCodeTRT",
    "ExecutionContextAllocationStrategy",
    "HardwareCompatibilityLevel",
    "IBuilderConfig",
    "ICudaEngine",
    "IErrorRecorder",
    "IExecutionContext",
    "IHostMemory",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IProgressMonitor",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "Runtime",
    "__version__",
]
