"""What systemd says of the service's units, where they are installed."""

import subprocess
from pathlib import Path
from typing import Final

RUNNING_SYSTEMD: Final = Path("/run/systemd/system")
"""There where systemd is what started this PC (sd_booted(3))."""

ANSWER_S: Final = 5.0


def unit_findings() -> list[str]:
    """A line for each unit that has failed or starts again and again: its name, and what to do."""
    if not RUNNING_SYSTEMD.is_dir():
        return []
    command = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", "inspector-*.service"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []  # it is an addition to what the line says itself
    return findings(done.stdout)


def findings(listed: str) -> list[str]:
    """The same of what `systemctl list-units` has printed: UNIT LOAD ACTIVE SUB DESCRIPTION, a line each."""
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
            found.append(
                f"{name} ends again and again: `journalctl -u {name} -n 20` says why; it is started again"
            )
    return found
