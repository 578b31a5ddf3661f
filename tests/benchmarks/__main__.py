"""Runs all benchmarks of docs/figures.md, one after another."""

import sys
from functools import partial

from tests.benchmarks import demo_engine, gate_faults, line, page, records, soak, swaps, verdict_costs

SOAK_FRAMES = (50_000, 2_000)
"""Minutes instead of the better part of an hour; `python -m tests.benchmarks.soak` is the long one."""

for benchmark, run in (
    (line, line.main),
    (demo_engine, demo_engine.main),
    (swaps, swaps.main),
    (records, records.main),
    (verdict_costs, verdict_costs.main),
    (gate_faults, gate_faults.main),
    (page, page.cost),
    (soak, partial(soak.main, *SOAK_FRAMES)),
):
    print(f"\n== {(benchmark.__doc__ or '').splitlines()[0]}", flush=True)
    run()
sys.exit(0)
