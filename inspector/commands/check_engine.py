"""The engine's rows in `inspector check`: results as at the build, speed, and library versions."""

from typing import Final

from inspector import __version__
from inspector.backends import Backend
from inspector.backends.speed import measure_speed
from inspector.engine import golden
from inspector.engine.manifest import Manifest
from inspector.machine import machine

SPEED_S: Final = 1.0
"""How long the engine is timed, seconds; a slower table would not be used."""


def golden_frames(backend: Backend) -> str:
    """Run the golden frames; raises EngineError if the maps differ too much."""
    agreement = backend.verify_golden()
    return f"mask agreement {agreement.mask_agreement:.4f} on {backend.device()}"


def parity(manifest: Manifest) -> str:
    """Agreement of the engine with its model, measured at the build."""
    found = manifest.quality.get("engine_against_model")
    if found is None:
        return "not measured when it was built"
    agreement, frames = found["mask_agreement"], found["frames"]
    return f"as the model on {agreement:.4%} of the pixels of {frames} frames, measured at the build"


def speed(backend: Backend) -> str:
    """Speed on this PC, next to the speed at the build."""
    frames = golden.load_checked(backend.folder).frames
    now, before = measure_speed(backend, frames, SPEED_S), backend.manifest.speed
    at_build = f"; at the build {before['frames_per_second']} on {before['device']}" if before else ""
    return (
        f"{now['frames_per_second']} frames/s alone, batch {now['batch']}, {now['slots']} slots, a batch "
        f"{now['median_ms']} ms{at_build}"
    )


def this_pc(backend: Backend) -> str:
    """Libraries, devices and the PC, for a bug report."""
    facts = {"inspector": __version__, **backend.versions(), "machine": machine()}
    return "; ".join(f"{name} {value}" for name, value in facts.items())
