"""What the operator's page costs the line: the same run with and without ten open pages, in turns.

python -m tests.benchmarks.page [ROUNDS [SECONDS]]
"""

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from inspector.backends.instant import write_engine
from inspector.machine import machine

ROUNDS = 3
SECONDS = 20.0
CAMERAS = 4
FRAMES_PER_SECOND = 40
BROWSERS = 10
PORT, HEALTH_PORT = 8479, 9479

CONFIG = """
name = "bench"
engine = "engine"
recipe = "recipe.toml"
deadline_ms = 2000
{cameras}
[sinks]
out = "out"
[records]
enabled = true
[health]
port = {health}
[view]
frames_per_second = 5
[page]
address = "127.0.0.1:{port}"
"""

CAMERA = """
[cameras.c{n}]
type = "simulator"
seed = {n}
distinct = 30
frames_per_second = {pace}
frames = {frames}
"""


def write(folder: Path, seconds: float) -> Path:
    """A line of CAMERAS simulated cameras in front of an engine that answers at once."""
    write_engine(folder / "engine")
    (folder / "recipe.toml").write_text(
        'name = "b"\nmm_per_px_across = 1\nmm_per_px_along = 1\n[classes.bright]\n[picture]\nchecks = false\n'
    )
    frames = int(seconds * FRAMES_PER_SECOND)
    cameras = "".join(CAMERA.format(n=n, pace=FRAMES_PER_SECOND, frames=frames) for n in range(CAMERAS))
    config = folder / "line.toml"
    config.write_text(CONFIG.format(cameras=cameras, health=HEALTH_PORT, port=PORT))
    return config


async def look(ages_ms: list[float], stop: asyncio.Event) -> None:
    """One open page: takes every message, and notes how old each frame is when it arrives."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

    while not stop.is_set():
        with contextlib.suppress(OSError, WebSocketException, TimeoutError):
            async with connect(f"ws://127.0.0.1:{PORT}/api/live", max_size=None, compression=None) as socket:
                while not stop.is_set():
                    message = await asyncio.wait_for(socket.recv(), 2)
                    if isinstance(message, bytes):
                        length = int.from_bytes(message[:4], "little")
                        ages_ms.append(time.time() * 1000 - json.loads(message[4 : 4 + length])["captured_ms"])
        await asyncio.sleep(0.2)


async def watch(line: "subprocess.Popen[bytes]") -> list[float]:
    """Keep BROWSERS pages open until the line has ended; returns the ages of the frames that they got."""
    ages_ms: list[float] = []
    stop = asyncio.Event()
    pages = [asyncio.create_task(look(ages_ms, stop)) for _ in range(BROWSERS)]
    while line.poll() is None:
        await asyncio.sleep(0.2)
    stop.set()
    await asyncio.gather(*pages)
    return ages_ms


@contextlib.contextmanager
def page_of(config: Path) -> Iterator[psutil.Process]:
    """The page's server."""
    server = subprocess.Popen(
        [sys.executable, "-m", "inspector", "serve", "--config", str(config)], stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(4)
        yield psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()


def run(config: Path, *, with_page: bool) -> dict[str, float]:
    """One run of the line; its figures, and those of the page."""
    command = [sys.executable, "-m", "inspector", "run", "--config", str(config), "--json"]
    with page_of(config) if with_page else contextlib.nullcontext() as server:
        line = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        before_s = sum(server.cpu_times()[:2]) if server else 0.0
        ages_ms = asyncio.run(watch(line)) if with_page else []
        answer = line.communicate()[0]
        cpu_s = sum(server.cpu_times()[:2]) - before_s if server else 0.0
        memory_mb = server.memory_info().rss / 1e6 if server else 0.0
    summary = json.loads(answer)
    figures = {
        "frames_per_second": summary["frames_per_second"],
        "p50_ms": summary["latency_ms"]["p50"],
        "p99_ms": summary["latency_ms"]["p99"],
        "uninspected": summary["uninspected"],
    }
    if ages_ms:
        quantiles = statistics.quantiles(ages_ms, n=100)
        figures |= {
            "age_p50_ms": quantiles[49],
            "age_p99_ms": quantiles[98],
            "cpu_s": cpu_s,
            "memory_mb": memory_mb,
        }
    return figures


def main(rounds: int = ROUNDS, seconds: float = SECONDS) -> None:
    """Print a line for each run."""
    print(f"{machine()}; {CAMERAS} cameras of {FRAMES_PER_SECOND} frames/s, {BROWSERS} pages, {seconds:g} s each")
    for number in range(rounds):
        for with_page in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                figures = run(write(Path(folder), seconds), with_page=with_page)
            told = "   ".join(f"{name} {value:.1f}" for name, value in figures.items())
            print(f"{number + 1} {'with the page' if with_page else 'without      '}   {told}", flush=True)


if __name__ == "__main__":
    main(*(kind(each) for kind, each in zip((int, float), sys.argv[1:], strict=False)))
