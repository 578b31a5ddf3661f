"""Libraries that only training needs: a missing one gives one clear line instead of a traceback."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from inspector.extras import needs_extra

_LIBRARIES: Final = ("torch", "lightning", "torchmetrics", "onnx", "onnxscript", "onnxruntime", "tensorboard")

EXTRAS: Final = dict.fromkeys((*_LIBRARIES, "pycocotools", "yaml", "optuna"), "train")
"""Library → the extra that installs it."""


@contextmanager
def needs_train_extra(command: str, extra: str = "train") -> Iterator[None]:
    """Turn a missing training library inside the block into an InputError that names the install command.

    `extra` is the smallest extra that installs what the command needs. Import torch only inside such a block: it
    reads OMP_WAIT_POLICY once, when it is loaded, and this function sets it.
    """
    # Waiting threads sleep instead of spinning: with two threads on two cores shared with other programs, a step
    # of ten convolutions took 0.45 s instead of 0.75 to 1.75 s.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with needs_extra(f"`trainer {command}`", EXTRAS | dict.fromkeys(_LIBRARIES, extra)):
        yield
