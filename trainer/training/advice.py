"""Keeps Lightning's advice to itself."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_advice() -> Iterator[None]:
    """The frames are in memory, so workers would only copy them around; the rest is known, too."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for advice in (
            ".*does not have many workers.*",
            ".*Checkpoint directory.*exists.*",
            ".*IterableDataset.*",
            ".*treespec.*",  # a deprecation between Lightning and torch
        ):
            warnings.filterwarnings("ignore", advice)
        yield
