"""The demo line on simulated coils with seeds it was not trained on: escapes and overkills, frame by frame.

python -m tests.benchmarks.demo_engine [SEED …]
"""

import csv
import json
import sys
import tempfile
from pathlib import Path

from inspector.cli import main as inspector
from trainer.cli import main as trainer

DEMO = Path(__file__).parents[2] / "configs" / "demo" / "line.toml"
FRAMES = 600
DEFECTIVE_SHARE = 0.2
SEEDS = (4242, 777)
"""The recipe's thresholds were chosen on the first; nothing was chosen on the second."""


def main(seeds: tuple[int, ...] = SEEDS) -> None:
    """Simulate, replay, and hold each verdict against the frame's label."""
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            coil, out = Path(folder) / "coil", Path(folder) / "out"
            arguments = ["--frames", str(FRAMES), "--seed", str(seed), "--defective-share", str(DEFECTIVE_SHARE)]
            trainer(["simulate", "--out", str(coil), *arguments])
            inspector(["replay", str(coil / "train_images"), "--config", str(DEMO), "--out", str(out)])
            _print(seed, coil, out)


def _print(seed: int, coil: Path, out: Path) -> None:
    with (coil / "train.csv").open() as rows:
        defective = {row["ImageId"] for row in csv.DictReader(rows)}
    verdicts = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    escapes = sum(v["decision"] == "accept" for v in verdicts if v["file"] in defective)
    overkills = sum(v["decision"] == "reject" for v in verdicts if v["file"] not in defective)
    good = len(verdicts) - len(defective)
    print(
        f"seed {seed}: {len(verdicts)} frames, {len(defective)} defective\n"
        f"  escapes   {escapes:3d} = {escapes / len(verdicts):.1%} of all frames, "
        f"{escapes / len(defective):.1%} of the defective ones\n"
        f"  overkills {overkills:3d} = {overkills / len(verdicts):.1%} of all frames, "
        f"{overkills / good:.1%} of the good ones"
    )


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SEEDS)
