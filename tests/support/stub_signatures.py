"""Signatures of the genuine bindings, read from their stubs, and of the stand-in, read from its classes."""

import ast
import inspect
from pathlib import Path

from tests.support.gpu_pcs import stand_in_gpu

Signatures = dict[tuple[str, str], list[list[str]]]
"""(class, method) → parameters of each overload."""


def signatures(stub: Path) -> Signatures:
    """Of every method in a stub; `self` left out."""
    found: Signatures = {}
    for owner in ast.parse(stub.read_text()).body:
        if not isinstance(owner, ast.ClassDef):
            continue
        for method in owner.body:
            if isinstance(method, ast.FunctionDef):
                parameters = [argument.arg for argument in method.args.args][1:]
                found.setdefault((owner.name, method.name), []).append(parameters)
    return found


def stand_in_signatures() -> dict[tuple[str, str], list[str]]:
    """Of every public method of the stand-in's public classes."""
    found = {}
    with stand_in_gpu():
        import tensorrt

        for name in tensorrt.__all__:
            owner = getattr(tensorrt, name)
            for method, value in vars(owner).items() if inspect.isclass(owner) else ():
                if inspect.isfunction(value) and (not method.startswith("_") or method == "__init__"):
                    found[name, method] = list(inspect.signature(value).parameters)[1:]
                elif isinstance(value, property):
                    found[name, method] = []
    return found
