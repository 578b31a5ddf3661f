"""What the operator's page costs the line, whether its memory grows, and how fast it opens.

python -m tests.benchmarks.page cost [ROUNDS [SECONDS]]     the same run with and without ten open pages, in turns
python -m tests.benchmarks.page soak [MINUTES]              memory of the server and of a browser while a line runs
python -m tests.benchmarks.page coil                        a coil of 20,000 frames and 5,000 defects in a browser
"""

import asyncio
import contextlib
import json
import math
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from scipy import stats

from inspector.backends.instant import write_engine
from inspector.machine import machine
from tests.support.pages import answers, chromium

ROUNDS = 6
SECONDS = 20.0
CAMERAS = 4
FRAMES_PER_SECOND = 40
BROWSERS = 10
SOAK_EVERY_S = 30
"""Degrees of freedom → Student's t for 95 %, two-sided."""

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


async def clients() -> None:
    """Keep BROWSERS pages open until stdin ends; then print the ages of the frames that they got, as JSON."""
    ages_ms: list[float] = []
    stop = asyncio.Event()
    pages = [asyncio.create_task(look(ages_ms, stop)) for _ in range(BROWSERS)]
    await asyncio.to_thread(sys.stdin.read)
    stop.set()
    await asyncio.gather(*pages)
    print(json.dumps(ages_ms))


def open_pages() -> "subprocess.Popen[str]":
    """Start the clients. They stand for browsers on other PCs, so they take only the CPU that is left."""
    command = ["nice", "-n", "19", sys.executable, "-m", "tests.benchmarks.page", "clients"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextlib.contextmanager
def page_of(config: Path) -> Iterator[psutil.Process]:
    """The page's server."""
    server = subprocess.Popen(
        [sys.executable, "-m", "inspector", "serve", "--config", str(config)], stderr=subprocess.DEVNULL
    )
    try:
        until_s = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{PORT}/api/session"):
            assert time.monotonic() < until_s, "the page does not answer"
            time.sleep(0.2)
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
        pages = open_pages() if with_page else None
        answer = line.communicate()[0]
        ages_ms = json.loads(pages.communicate()[0]) if pages is not None else []
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


def cost(rounds: int = ROUNDS, seconds: float = SECONDS) -> None:
    """Print a line for each run, and the ratios of the rounds with their error.

    Each round compares two runs that follow each other, and every second round has the page first: what else the
    PC does changes slowly, and so falls out of the ratio.
    """
    print(f"{machine()}; {CAMERAS} cameras of {FRAMES_PER_SECOND} frames/s, {BROWSERS} pages, {seconds:g} s each")
    ratios: dict[str, list[float]] = {"frames_per_second": [], "p50_ms": [], "p99_ms": []}
    for number in range(rounds):
        found: dict[bool, dict[str, float]] = {}
        for with_page in (False, True) if number % 2 == 0 else (True, False):
            with tempfile.TemporaryDirectory() as folder:
                found[with_page] = run(write(Path(folder), seconds), with_page=with_page)
            told = "   ".join(f"{name} {value:.1f}" for name, value in found[with_page].items())
            print(f"{number + 1} {'with the page' if with_page else 'without      '}   {told}", flush=True)
        for name, all_ratios in ratios.items():
            all_ratios.append(found[True][name] / found[False][name])
    for name, all_ratios in ratios.items():
        print(f"{name}: with the page ÷ without: {paired(all_ratios)}")


def paired(ratios: list[float]) -> str:
    """Geometric mean of the ratios, and the range in which it lies in 95 % of such measurements (Student's t)."""
    logs = [math.log(each) for each in ratios]
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return f"{math.exp(mean):.3f} (one round: no error)"
    error = stats.t.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return f"{math.exp(mean):.3f} (95 %: {math.exp(mean - error):.3f} to {math.exp(mean + error):.3f})"


def soak(minutes: float = 10.0) -> None:
    """Print the memory of the server and of a browser's page twice a minute, and how much both grow in an hour."""
    with tempfile.TemporaryDirectory() as folder:
        config = write(Path(folder), 60 * minutes + 60)
        line = subprocess.Popen(
            [sys.executable, "-m", "inspector", "run", "--config", str(config)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            with page_of(config) as server, chromium() as browser:
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.goto(f"http://127.0.0.1:{PORT}/#/live")
                page.wait_for_selector("figure canvas")
                client = page.context.new_cdp_session(page)
                client.send("Performance.enable")
                taken: list[tuple[float, float, float]] = []
                began_s = time.monotonic()
                while (at_s := time.monotonic() - began_s) < 60 * minutes:
                    client.send("HeapProfiler.collectGarbage")
                    metrics = {
                        each["name"]: each["value"] for each in client.send("Performance.getMetrics")["metrics"]
                    }
                    taken.append((at_s, server.memory_info().rss / 1e6, metrics["JSHeapUsedSize"] / 1e6))
                    print("{:6.0f} s   server {:.1f} MB   browser's heap {:.1f} MB".format(*taken[-1]), flush=True)
                    time.sleep(SOAK_EVERY_S)
        finally:
            line.send_signal(signal.SIGINT)
            line.wait()
    # The history of the map and the trends fills up first: the second half shows whether anything grows for ever.
    half = taken[len(taken) // 2 :]
    for name, column in (("server", 1), ("browser's heap", 2)):
        slope = statistics.linear_regression([each[0] for each in half], [each[column] for each in half]).slope
        print(f"{name}: {3600 * slope:+.1f} MB an hour over the second half")


def coil() -> None:
    """Print how long the coil takes from the click to its drawn map, five times."""
    with tempfile.TemporaryDirectory() as folder:
        config = write(Path(folder), 1)
        write_coil(Path(folder) / "out")
        with page_of(config) as _, chromium() as browser:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            for _ in range(5):
                page.goto("about:blank")
                page.goto(f"http://127.0.0.1:{PORT}/#/health")
                page.wait_for_selector(".panel")
                began_s = time.monotonic()
                page.goto(f"http://127.0.0.1:{PORT}/#/coils/1/BIG")
                page.wait_for_selector("tbody tr[aria-selected=true]")
                page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
                print(f"{machine()}: coil opens in {time.monotonic() - began_s:.2f} s")


def write_coil(out: Path) -> None:
    """Records of a coil of 20,000 frames and 5,000 defects."""
    from tests.support.recorded import RunOnRecord, defect, verdict

    out.mkdir()
    history = RunOnRecord(out / "history", f"sqlite:///{out / 'records.sqlite'}")
    for n in range(20_000):
        found = [defect(f"top-{n}", area_px=100 + n % 900, along_mm=128.0 * n)] if n % 4 == 0 else []
        history.records.write(verdict(n, *found, coil="BIG"))
        if n % 2000 == 1999:
            history.records.flush()
            history.settle(120)
    history.close()


if __name__ == "__main__":
    what, *given = sys.argv[1:] or ["cost"]
    if what == "clients":
        asyncio.run(clients())
    elif what == "soak":
        soak(*(float(each) for each in given))
    elif what == "coil":
        coil()
    else:
        cost(*(kind(each) for kind, each in zip((int, float), given, strict=False)))
