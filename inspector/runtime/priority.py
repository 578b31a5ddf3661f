"""Priority of the processes beside a line: they must not delay a verdict."""

import os


def run_when_idle() -> None:
    """Run this process, and threads that it starts later, only while no other process wants the CPU."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
