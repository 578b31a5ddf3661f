"""The libraries only training needs: their absence is one clear line, never a traceback."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from inspector.extras import needs_extra

_LIBRARIES: Final = ("torch", "lightning", "torchmetrics", "onnx", "onnxscript", "onnxruntime", "tensorboard")

EXTRAS: Final = dict.fromkeys((*_LIBRARIES, "pycocotools"), "train")
"""Library → the extra that brings it."""


@contextmanager
def needs_train_extra(command: str, extra: str = "train") -> Iterator[None]:
    """Turn a missing training library inside the block into an InputError that names the install command.

    `extra` is the smallest that brings what the command needs.

    Import torch inside such a block only: what it reads once, when it is loaded, is set here.
    """
    # Threads that wait sleep instead of spinning: with two threads on two cores that other programs used, too,
    # a step of ten convolutions took 0.45 s instead of 0.75 to 1.75 s.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with needs_extra(f"`trainer {command}`", EXTRAS | dict.fromkeys(_LIBRARIES, extra)):
        yield
