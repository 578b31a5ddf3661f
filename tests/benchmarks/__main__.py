"""All figures of the README, one after the other."""

import sys

from tests.benchmarks import demo_engine, gate_faults, line, memory, verdict_costs

for benchmark in (line, demo_engine, memory, verdict_costs, gate_faults):
    print(f"\n== {benchmark.__doc__.splitlines()[0]}", flush=True)
    benchmark.main()
sys.exit(0)
