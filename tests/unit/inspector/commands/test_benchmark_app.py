"""OpenVINO's benchmark_app beside the line's figures."""

from pathlib import Path

import pytest

from inspector.backends.instant import write_engine
from inspector.commands.benchmark_app import BenchmarkApp
from inspector.engine.manifest import open_folder

ENGINE = Path(__file__).parents[4] / "configs" / "demo" / "engine"


def test_an_openvino_engine_is_measured_by_the_real_program() -> None:
    """Both hints give a figure."""
    if not (ENGINE / "manifest.json").exists():
        pytest.skip("the demo engine is not built: make demo")
    app = BenchmarkApp.of(open_folder(ENGINE), threads=None)
    assert app is not None
    frames_per_second, latency_ms = app.frames_per_second(1.0), app.latency_ms(1.0)
    assert frames_per_second is not None
    assert latency_ms is not None
    assert 1 < frames_per_second < 10_000
    assert 0.1 < latency_ms < 1_000


def test_what_it_cannot_measure_is_left_out(tmp_path: Path) -> None:
    """An engine of another backend, and a model that OpenVINO cannot read."""
    instant = write_engine(tmp_path / "engine", height=64, width=128)
    assert BenchmarkApp.of(instant, threads=None) is None
    if (ENGINE / "manifest.json").exists():
        assert BenchmarkApp.of(open_folder(ENGINE), threads=2) is None
    (tmp_path / "model.xml").write_text("none")
    app = BenchmarkApp(Path(__file__).parents[4] / "none", tmp_path / "model.xml", "fp32")
    assert app.frames_per_second(1.0) is None
    known = BenchmarkApp.of(open_folder(ENGINE), None) if (ENGINE / "manifest.json").exists() else None
    if known is not None:
        assert BenchmarkApp(known.program, tmp_path / "model.xml", "fp32").frames_per_second(1.0) is None
