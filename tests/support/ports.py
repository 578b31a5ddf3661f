"""Ports of 127.0.0.1 for tests."""

import random
import socket
from pathlib import Path

LOWEST = 10_000
"""Below it lie the ports of well-known services."""


def free_port() -> int:
    """A port that nothing listens on, and that stays free until the caller binds it.

    The kernel gives outgoing connections ports from a range of its own. A port of that range can be taken between
    this call and the bind, and a client that dials it can even connect to itself. So the port comes from below it.
    """
    kernels = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(LOWEST, kernels), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no free port between {LOWEST} and {kernels}")
