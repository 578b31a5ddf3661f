"""Faults before a gate: what a verdict has waited, when the PLC knew, when the gate was back. Real processes.

python -m tests.benchmarks.gate_faults
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from inspector.machine import machine
from inspector.sinks.gate.gate import Block
from inspector.sinks.gate.registers import decode
from tests.support.lines import LineUnderTest, stage
from tests.support.plc import BASE, DEVICE, PLC

RATE = 100
"""Frames a second."""

TIMEOUT_MS = 50
DEADLINE_MS = 500
FAULT_S = 3.0
PATIENCE_S = 120.0


class Bench:
    """A line before a PLC, and what the PLC was told when."""

    def __init__(self, folder: Path) -> None:
        self.plc = PLC(folder).start()
        self.line = LineUnderTest(folder, delay_ms=5)
        self.line.write_config(
            f'deadline_ms = {DEADLINE_MS}\n[gate]\nhost = "127.0.0.1"\nport = {self.plc.port}\n'
            f"device_id = {DEVICE}\nbase_register = {BASE}\ntimeout_ms = {TIMEOUT_MS}\n",
            type="simulator", height=64, width=128, distinct=8, frames_per_second=RATE,
        )  # fmt: skip
        self.out = folder / "out"
        command = [sys.executable, "-m", "inspector", "run", "--config", self.line.config, "--out", self.out]
        self.run = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait(lambda: len(self.told()) > RATE)

    def told(self) -> list[tuple[int, Block]]:
        """(monotonic ns, block) of every write the PLC took."""
        lines = self.plc.log.read_text().splitlines() if self.plc.log.exists() else []
        return [(at_ns, decode(words)) for at_ns, _, words in map(json.loads, lines)]

    def wait(self, condition: Callable[[], bool]) -> float:
        """Seconds until it holds."""
        start_s = time.monotonic()
        while not condition():
            if time.monotonic() > start_s + PATIENCE_S:
                raise TimeoutError
            time.sleep(0.01)
        return time.monotonic() - start_s

    def back_s(self) -> float:
        """Seconds until the gate takes verdicts again."""
        before = self.told()[-1][1].records[0].sequence
        return self.wait(lambda: bool(now := self.told()[-1][1].records) and now[0].sequence > before)

    def longest_decide_ms(self, since: int) -> float:
        """Longest that a verdict took from its result to its record, of those after the first `since`."""
        verdicts = [json.loads(text) for text in (self.out / "verdicts.jsonl").read_text().splitlines()[since:]]
        return max((verdict["stage_ms"].get("decide", 0.0) for verdict in verdicts), default=0.0)

    def verdicts(self) -> int:
        """Given so far."""
        return (self.out / "verdicts.jsonl").read_bytes().count(b"\n")

    def end(self) -> None:
        """Kill what is left."""
        for child in psutil.Process(self.run.pid).children() if self.run.poll() is None else []:
            os.kill(child.pid, signal.SIGKILL)
        self.run.kill()
        self.run.wait()
        self.plc.stop()


def plc_hangs(bench: Bench) -> str:
    """It takes connections and answers nothing."""
    given = bench.verdicts()
    bench.plc.hang()
    time.sleep(FAULT_S)
    longest = bench.longest_decide_ms(given)
    bench.plc.go_on()
    return f"longest wait {longest:.0f} ms, back {bench.back_s():.2f} s after it answers again"


def plc_restarts(bench: Bench) -> str:
    """Gone for a while, its registers empty afterwards."""
    given = bench.verdicts()
    bench.plc.stop()
    time.sleep(FAULT_S)
    longest = bench.longest_decide_ms(given)
    bench.plc.start()
    return f"longest wait {longest:.0f} ms, back {bench.back_s():.2f} s after it listens again"


def stage_hangs(name: str) -> Callable[[Bench], str]:
    """SIGSTOP: when the heartbeat moved last, or when the fault came."""

    def fault(bench: Bench) -> str:
        frozen = stage(bench.run, name)  # type: ignore[arg-type]
        frozen.suspend()
        stopped_ns = time.monotonic_ns()
        time.sleep(FAULT_S)
        told = [(at_ns, block) for at_ns, block in bench.told() if at_ns > stopped_ns]
        beats = {block.heartbeat: at_ns for at_ns, block in reversed(told)}
        last_s = (max(beats.values()) - stopped_ns) / 1e9 if beats else 0.0
        faults = [at_ns for at_ns, block in told if block.fault]
        said = f", fault {(faults[0] - stopped_ns) / 1e9:.2f} s after it" if faults else ""
        frozen.resume()
        back_s = bench.wait(lambda: bench.told()[-1][1].heartbeat not in beats and not bench.told()[-1][1].fault)
        return f"heartbeat moved last {last_s:.2f} s after the stop{said}; again {back_s:.2f} s after its return"

    return fault


def worker_hangs(bench: Bench) -> str:
    """SIGSTOP of the worker: when the first reject for an uninspected frame came."""
    frozen = stage(bench.run, "worker")  # type: ignore[arg-type]
    frozen.suspend()
    stopped_ns = time.monotonic_ns()
    time.sleep(FAULT_S)
    rejects = [
        at_ns for at_ns, block in bench.told() if at_ns > stopped_ns and any(r.uninspected for r in block.records)
    ]
    frozen.resume()
    return f"first reject {(rejects[0] - stopped_ns) / 1e9:.2f} s after the stop (deadline {DEADLINE_MS} ms)"


FAULTS: dict[str, Callable[[Bench], str]] = {
    "PLC hangs": plc_hangs,
    "PLC gone and back": plc_restarts,
    "ingest hangs": stage_hangs("ingest"),
    "decide hangs": stage_hangs("decide"),
    "worker hangs": worker_hangs,
}


def main() -> None:
    """One line a fault."""
    for name, fault in FAULTS.items():
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder))
            try:
                print(f"{name:18s} {fault(bench)}", flush=True)
            finally:
                bench.end()
    print(f"{RATE} frames/s, timeout_ms = {TIMEOUT_MS}, {machine()}")


if __name__ == "__main__":
    main()
