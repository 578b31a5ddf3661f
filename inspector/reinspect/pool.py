"""Runs units: one after the other here, or on the workers of a Ray cluster."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, Final

from inspector.errors import InspectorError, WorkError
from inspector.extras import needs_extra
from inspector.reinspect.units import Unit
from inspector.reinspect.work import Done, Job, inspect_unit

RETRIES: Final = 5
"""Attempts after a worker was killed or its PC went away. A replay that fails is not tried again."""

WAIT_S: Final = 1.0

OBJECT_STORE_BYTES: Final = 100 * 1024 * 1024
"""Shared memory of a local Ray: units are names and paths, so its smallest size is enough."""

Outcome = tuple[Unit, Done | str]
"""A unit, and what was done or why it failed."""


def run_here(job: Job, units: Sequence[Unit]) -> Iterator[Outcome]:
    """Run the units in this process, one after the other."""
    for unit in units:
        try:
            yield unit, inspect_unit(job, unit)
        except InspectorError as error:
            yield unit, str(error)


SHORT: Final = "/tmp"  # noqa: S108  # only a folder of its own in it is used
"""Where Ray's sockets go: below TMPDIR their path may be longer than the 107 bytes that a socket's may have."""


def run_on_ray(job: Job, units: Sequence[Unit], workers: int, address: str | None) -> Iterator[Outcome]:
    """Run the units on `workers` local workers, or on the cluster at `address`; yields them as they end.

    Raises InputError without Ray, WorkError if the cluster does not answer.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing leaves the plant
    with needs_extra("`inspector reinspect` on several workers"):
        import ray
    own = tempfile.mkdtemp(prefix="ray-", dir=SHORT)
    where: dict[str, Any] = (
        {"address": address}
        if address is not None
        else {
            "num_cpus": workers,
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
            "_temp_dir": own,
        }
    )
    try:
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        shutil.rmtree(own, ignore_errors=True)
        raise WorkError(f"ray at {address or 'this PC'}: {error}") from None
    try:
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(inspect_unit)
        running = {task.remote(job, unit): unit for unit in units}
        while running:
            ready, _ = ray.wait(list(running), num_returns=1, timeout=WAIT_S)
            for one in ready:
                unit = running.pop(one)
                try:
                    yield unit, ray.get(one)
                except ray.exceptions.RayTaskError as error:
                    yield unit, str(error.cause)
                except ray.exceptions.RayError as error:
                    yield unit, f"its worker was lost {1 + RETRIES} times: {type(error).__name__}"
    finally:
        ray.shutdown()
        shutil.rmtree(own, ignore_errors=True)
