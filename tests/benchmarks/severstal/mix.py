"""Mixes the training material of the Severstal engine: the sample's own frames, varied; defects put onto its sound
frames; and simulated strip.

python -m tests.benchmarks.severstal.mix SAMPLE OUT

OUT gets Kaggle's layout and a split.json: `train` from the training frames, `val` from the validation frames of
split.json beside this file; no test frame is opened. Frames that show damage nobody labelled are left out: they
would teach that torn steel is sound.
"""

import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from tqdm import tqdm

from inspector.sources.simulator import StripSettings, strip
from tests.benchmarks.severstal.deal import FRAMES_NAME
from tests.benchmarks.severstal.vary import Canvas, Labelled, cut_out, varied
from trainer.artifacts.new_folder import new_folder
from trainer.data.formats import open_dataset
from trainer.data.rle import decode, encode
from trainer.data.simulate import COIL_FRAMES, HEADER, JPEG_QUALITY
from trainer.data.split_file import read_split, write_split

SPLIT: Final = Path(__file__).parent / "split.json"
ANNOTATIONS_NAME: Final = "annotations_without_frames.csv"
UNLABELLED_DAMAGE: Final = "damage_not_labelled"
SEED: Final = 21
VARIANTS: Final = 24
"""Of each real training frame."""
PASTED: Final = {"train": 800, "val": 50}
SIMULATED: Final = 500
DEFECTIVE_SHARE: Final = 0.5
"""Of the simulated frames."""
DRAWN_SHARE: Final = 0.5
"""Of the pasted frames get simulated defects, as many, of the kinds, sizes and places that a real frame has."""
TRANSPLANTS: Final = 1.5
"""Real defects on one of the others, on average."""


def layouts(path: Path) -> list[list[tuple[int, str]]]:
    """What the annotations of other frames show, frame by frame: kinds and runs."""
    found = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            found[row["ImageId"]].append((int(row["ClassId"]), row["EncodedPixels"]))
    return list(found.values())


class Sample:
    """The labelled sample, part by part."""

    def __init__(self, root: Path) -> None:
        dataset = open_dataset(root)
        split = read_split(SPLIT, dataset)
        with (root / FRAMES_NAME).open(newline="", encoding="utf-8") as rows:
            tags = {row["ImageId"]: row["tag"] for row in csv.DictReader(rows)}
        self.frames: dict[str, list[Labelled]] = {}
        for part in ("train", "val"):
            names = [name for name in split[part] if tags[name] != UNLABELLED_DAMAGE]
            pixels = [dataset.frame(name) for name in names]
            self.frames[part] = [
                Labelled(frame, dataset.label(name, frame.shape))
                for name, frame in zip(names, pixels, strict=True)
            ]
        self.layouts = layouts(root / ANNOTATIONS_NAME)


def pasted(random: np.random.Generator, sample: Sample, part: str, count: int) -> Iterator[Labelled]:
    """Sound frames of a part with defects put onto them: drawn in real places, or cut out of its other frames."""
    sound = [frame for frame in sample.frames[part] if not frame.label.any()]
    cuts = defaultdict(list)
    for frame in sample.frames[part]:
        for cut in cut_out(frame):
            cuts[cut.kind].append(cut)
    kinds = sorted(cuts)
    for _ in range(count):
        background = varied(random, sound[random.integers(len(sound))])
        canvas = Canvas(background)
        if random.random() < DRAWN_SHARE:
            for kind, runs in sample.layouts[random.integers(len(sample.layouts))]:
                mask = decode(runs, background.label.shape)
                parts = cv2.connectedComponents(mask.astype(np.uint8))[1]
                for number in range(1, int(parts.max()) + 1):
                    canvas.draw(random, kind, parts == number)
        else:
            for _ in range(1 + int(random.poisson(TRANSPLANTS - 1))):
                of_kind = cuts[kinds[random.integers(len(kinds))]]
                canvas.transplant(random, of_kind[random.integers(len(of_kind))])
        yield canvas.done()


def material(sample: Sample) -> Iterator[tuple[str, str, Labelled]]:
    """Part, name and frame of all that goes in."""
    random = np.random.default_rng(SEED)
    for index, frame in enumerate(sample.frames["train"]):
        yield "train", f"real-{index:02d}-00", frame
        for variant in range(1, VARIANTS):
            yield "train", f"real-{index:02d}-{variant:02d}", varied(random, frame)
    for index, frame in enumerate(sample.frames["val"]):
        yield "val", f"val-{index:02d}", frame
    for part, count in PASTED.items():
        for index, frame in enumerate(pasted(random, sample, part, count)):
            yield part, f"pasted-{part}-{index:04d}", frame
    settings = StripSettings(seed=SEED, defective_share=DEFECTIVE_SHARE, coil_frames=COIL_FRAMES)
    for index, frame in enumerate(islice(strip(settings), SIMULATED)):  # type: ignore[assignment]
        yield "train", f"simulated-{index:04d}", Labelled(frame.pixels, frame.label)


def main(root: Path, out: Path) -> None:
    """Write the folder, whole or not at all."""
    sample = Sample(root)
    split: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    with new_folder(out) as folder:
        (folder / "train_images").mkdir()
        with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(HEADER)
            for part, stem, frame in tqdm(material(sample), unit="frame", disable=None):
                name = f"{stem}.jpg"
                split[part].append(name)
                path = str(folder / "train_images" / name)
                cv2.imwrite(path, frame.pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
                for kind in np.unique(frame.label[frame.label > 0]).tolist():
                    table.writerow((name, kind, encode(frame.label == kind)))
        write_split(folder / "split.json", split)
    print(json.dumps({part: len(names) for part, names in split.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
