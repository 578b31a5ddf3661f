"""What `inspector bench` says of edges and corrections."""

from pathlib import Path

import numpy as np
import pytest

from inspector.commands.bench import picture_costs
from inspector.config.line import load_config
from tests.support.lines import LineUnderTest


@pytest.mark.parametrize(
    ("keys", "costs"),
    [
        ("", set()),
        ('edges = "dark"', {"strip_edges_ms"}),
        ('edges = "bright"\ncalibration = "c.json"', {"strip_edges_ms", "calibration_ms"}),
    ],
)
def test_only_what_the_config_asks_for_is_measured(tmp_path: Path, keys: str, costs: set[str]) -> None:
    """A line without edges and calibration has no such cost, and no such figure."""
    line = LineUnderTest(tmp_path)
    line.write_config(f"\n[strip]\n[strip.cameras.top]\n{keys}\n", type="simulator")
    pictures = np.full((3, 64, 128), 100, np.uint8)
    figures = picture_costs(load_config(line.config).line, pictures)
    assert set(figures) == costs
    assert all(0 < each < 1000 for each in figures.values())
