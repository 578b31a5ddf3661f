"""Silences Lightning's advice."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_advice() -> Iterator[None]:
    """Hide Lightning's hints inside the block: they do not apply here.

    The frames are in memory, so data-loading workers would only copy them.
    """
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
