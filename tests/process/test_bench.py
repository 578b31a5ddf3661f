"""`inspector bench`: the whole of it, on an engine whose speed is known."""

import json
from pathlib import Path

import pytest

from inspector.commands.bench import steady_rate
from inspector.sinks.log.verdict_log import VerdictLog
from inspector.values import Decision, Verdict
from tests.support.lines import LineUnderTest

DELAY_MS = 40.0
"""Time per batch of four; the engine answers one batch after another. A busy machine hardly changes it."""
DEADLINE_MS = 20_000
"""No frame is lost because the machine has other work; one that the bench loses would still show."""


def test_bench_tells_what_the_engine_and_the_line_do(tmp_path: Path) -> None:
    """An engine with a known delay is measured correctly; the line is compared with it, and no frame is lost."""
    line = LineUnderTest(tmp_path, delay_ms=DELAY_MS)
    line.write_config(f"deadline_ms = {DEADLINE_MS}\n")
    command = ("bench", "--config", line.config, "--json", "--seconds", "1.5", "--rounds", "2")
    run = line.finish(line.start(*command), tmp_path)
    assert run.code == 0, run.stderr
    figures = json.loads(run.stdout)
    assert figures["engine_latency_ms"] == pytest.approx(DELAY_MS, abs=DELAY_MS / 2)
    assert 0.5 * 4e3 / DELAY_MS < figures["engine_frames_per_second"] <= 4e3 / DELAY_MS
    assert len(figures["line_over_engine_rounds"]) == 2
    assert 0.5 < figures["line_over_engine"] < 1.5
    assert figures["half_load_frames_per_second"] < 0.7 * figures["line_frames_per_second"]
    assert figures["half_load_latency_ms"]["p50"] >= DELAY_MS
    assert figures["instant_frames_per_second"] > figures["engine_frames_per_second"]
    assert figures["uninspected"] == 0


def log_of(folder: Path, given_s: list[float]) -> Path:
    """A log of verdicts given at these times."""
    log = VerdictLog(folder)
    for index, at_s in enumerate(given_s):
        captured_ns = 10**18 + index * 1000
        total_ms = (10**18 + at_s * 1e9 - captured_ns) / 1e6
        times = {"total": total_ms} if index else {}
        log.write(Verdict("top", index, captured_ns, 0.0, None, Decision.ACCEPT, (), (), "r@1", "e@1", times))
    log.close()
    return log.path


def test_the_rate_is_that_of_a_line_that_has_warmed_up(tmp_path: Path) -> None:
    """Verdicts of one turn at the start of the measurement do not count, like those before it."""
    lumps = [0.0] * 16 + [0.45] * 16 + [0.5 + 0.16 * lump for lump in range(11) for _ in range(16)]
    assert steady_rate(log_of(tmp_path / "lumps", lumps)) == pytest.approx(100.0, rel=1e-3)


@pytest.mark.parametrize("given_s", [[], [0.0], [0.0, 0.1, 0.2], [0.0, 0.6, 0.6]])
def test_a_run_too_short_has_no_steady_rate(tmp_path: Path, given_s: list[float]) -> None:
    """A run that is too short gives no rate instead of noise."""
    assert steady_rate(log_of(tmp_path / "short", given_s)) is None
