"""The demo engine on a simulated coil with a seed it was not trained on: escape, overkill and speed.

python -m tests.benchmarks.demo_engine
"""

import tempfile
from pathlib import Path

from trainer.cli import main as trainer

ENGINE = Path(__file__).parents[2] / "configs" / "demo" / "engine"
FRAMES = 1000
SEED = 4242


def main() -> None:
    """A coil nobody trained on, evaluated frame by frame."""
    with tempfile.TemporaryDirectory() as folder:
        coil = Path(folder) / "coil"
        trainer(["simulate", "--out", str(coil), "--frames", str(FRAMES), "--seed", str(SEED)])
        trainer(["evaluate", str(ENGINE), "--data", str(coil)])


if __name__ == "__main__":
    main()
