"""Describes the machine that a figure was measured on."""

import os
import platform
from pathlib import Path


def cpu_name() -> str:
    """The processor's name, as the system reports it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def machine() -> str:
    """Processor, cores, system and Python."""
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{cpu_name()}, {os.cpu_count()} cores, {system}"
