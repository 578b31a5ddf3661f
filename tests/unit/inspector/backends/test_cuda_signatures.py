"""The table of CUDA calls against NVIDIA's cuda-python, which can be imported without a GPU, and the stand-in."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from inspector.backends.cuda_runtime import CudaRuntime
from tests.support.gpu_pcs import stand_in_gpu

runtime = pytest.importorskip("cuda.bindings.runtime", reason="no cuda-bindings: pip install '.[dev]'")

CALLS = sorted(name for name, value in vars(CudaRuntime).items() if inspect.isfunction(value) and "cuda" in name)
CONSTANTS = sorted(name for name in CudaRuntime.__annotations__ if name.startswith("cuda"))


def parameters_in(documentation: str) -> list[str]:
    """ "cudaMalloc(size_t size)" → ["size"]: in Cython's first line a type stands on either side of the name."""
    inside = re.search(r"\((.*)\)", documentation.splitlines()[0])
    assert inside, documentation
    parts = [part.split(":")[0].split("=")[0] for part in inside[1].split(",") if part.strip()]
    return [part.split()[-1] for part in parts]


def parameters_of(call: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(call).parameters if name != "self"]


@pytest.mark.parametrize("name", CALLS)
def test_every_cuda_call_has_nvidias_parameters(name: str) -> None:
    """Both the Protocol of our calls and the stand-in have NVIDIA's parameters."""
    genuine = parameters_in(getattr(runtime, name).__doc__)
    assert parameters_of(getattr(CudaRuntime, name)) == genuine
    with stand_in_gpu() as stand_in:
        played = getattr(stand_in, name)
        assert parameters_of(getattr(played, "__wrapped__", played)) == genuine


@pytest.mark.parametrize("name", CONSTANTS)
def test_every_constant_has_nvidias_value(name: str) -> None:
    """Enumerations member by member, as far as the stand-in has them."""
    genuine = getattr(runtime, name)
    with stand_in_gpu() as stand_in:
        played = getattr(stand_in, name)
        if isinstance(played, int):
            assert played == genuine
        else:
            assert {each.name: int(each) for each in played} == {
                each.name: int(getattr(genuine, each.name)) for each in played
            }
