"""A rolling steel strip that never was: mono frames with known defects, seeded and reproducible.

It serves the demo, the load tests, and a line that has no labelled data yet. The looks are made after the
Severstal frames; numbers, sizes and places of the defects follow their annotations (see annotations.py).
"""

from inspector.sources.simulator.settings import CLASS_NAMES, SimulatedFrame, SimulatorSettings
from inspector.sources.simulator.strip import strip

__all__ = ["CLASS_NAMES", "SimulatedFrame", "SimulatorSettings", "strip"]
