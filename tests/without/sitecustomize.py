"""In front of PYTHONPATH: this Python and its children do not have the packages that WITHOUT names."""

import os
from functools import partial
from importlib.machinery import PathFinder
from typing import Any

_WITHOUT = frozenset(os.environ["WITHOUT"].split())


def _find_others(find_spec: Any, name: str, path: Any = None, target: Any = None) -> Any:
    return None if name.partition(".")[0] in _WITHOUT else find_spec(name, path, target)


# A partial, because it is not bound as a method: pytest's import hook stores and calls this attribute unchanged.
PathFinder.find_spec = partial(_find_others, PathFinder.find_spec)
