"""systemd's view of the service's units, if systemd runs on this PC."""

import subprocess
from pathlib import Path
from typing import Final

RUNNING_SYSTEMD: Final = Path("/run/systemd/system")
"""Exists if systemd started this PC (sd_booted(3))."""

ANSWER_S: Final = 5.0


def unit_findings() -> list[str]:
    """Return a line for each unit that failed or keeps restarting: its name, and what to do."""
    if not RUNNING_SYSTEMD.is_dir():
        return []
    command = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", "inspector-*.service"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []  # the line's own state is reported all the same
    return findings(done.stdout)


def findings(listed: str) -> list[str]:
    """Return the same for the output of `systemctl list-units`: UNIT LOAD ACTIVE SUB DESCRIPTION per line."""
    found = []
    for line in listed.splitlines():
        unit, _, active, sub, *_ = [*line.split(maxsplit=4), "", "", "", ""]
        name = unit.removesuffix(".service")
        if active == "failed":
            found.append(
                f"{name} has failed: `journalctl -u {name} -n 20` says why; then `systemctl reset-failed {name}; "
                f"systemctl start {name}`"
            )
        elif sub == "auto-restart":
            found.append(f"{name} keeps restarting: `journalctl -u {name} -n 20` says why")
    return found
