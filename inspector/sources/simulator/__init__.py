"""A simulated steel strip: mono frames with known defects, seeded and reproducible.

For the demo, load tests, and lines without labelled data. The appearance imitates the Severstal frames; numbers,
sizes and positions of the defects follow their annotations (see annotations.py).
"""

from inspector.sources.simulator.settings import CLASS_NAMES, SimulatedFrame, StripSettings
from inspector.sources.simulator.strip import SimulatedCoil, drawn_on, strip

__all__ = ["CLASS_NAMES", "SimulatedCoil", "SimulatedFrame", "StripSettings", "drawn_on", "strip"]
