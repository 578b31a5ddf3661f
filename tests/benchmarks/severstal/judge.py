"""Measures the Severstal engine on the frames kept out: escapes, overkills by what the eye sees, defect IoU.

python -m tests.benchmarks.severstal.judge SAMPLE [MODEL]
"""

import csv
import sys
from pathlib import Path
from typing import Final

from tests.benchmarks.severstal.deal import FRAMES_NAME
from tests.benchmarks.severstal.mix import SPLIT, UNLABELLED_DAMAGE
from trainer.data.formats import open_dataset
from trainer.data.frames import load_frames
from trainer.data.split_file import read_split
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.predictors import open_predictor

MODEL: Final = Path(__file__).parent / "model"


def main(sample: Path, model: Path = MODEL) -> None:
    """Print one line a tag, and the whole."""
    dataset = open_dataset(sample)
    names = read_split(SPLIT, dataset)["test"]
    with (sample / FRAMES_NAME).open(newline="", encoding="utf-8") as rows:
        tags = {row["ImageId"]: row["tag"] for row in csv.DictReader(rows)}
    with open_predictor(model) as predictor:
        clear = [name for name in names if tags[name] != UNLABELLED_DAMAGE]
        for what, chosen in (("kept out", names), ("of them without damage that nobody labelled", clear)):
            figures = evaluate(predictor, load_frames(dataset, chosen))
            print(
                f"{len(chosen)} frames {what}: {figures['escapes']} of {figures['defective_frames']} defective "
                f"ones escape, {figures['overkills']} of {figures['good_frames']} others are rejected; "
                f"defect IoU {figures['defect_iou']:.3f}, mIoU {figures['miou']:.3f}"
            )
        for tag in sorted({tags[name] for name in names if tags[name]}):
            some = load_frames(dataset, [name for name in names if tags[name] == tag])
            print(f"  {tag}: {evaluate(predictor, some)['overkills']} of {len(some)} rejected")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
