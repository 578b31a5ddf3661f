"""The line over the engine alone, its latency at half load, and what it carries with an instant engine.

python -m tests.benchmarks.line
"""

from pathlib import Path

from inspector.cli import main as inspector

DEMO = Path(__file__).parents[2] / "configs" / "demo" / "line.toml"


def main() -> None:
    """The same command a user has."""
    inspector(["bench", "--config", str(DEMO), "--rounds", "25"])


if __name__ == "__main__":
    main()
