"""The steps of `slot.sh`, each in a separate process with a time limit; figures go to OUT/figures.jsonl."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from tests.support.gpu_figures import record

ROOT: Final = Path(__file__).parents[2]

LEAST_TRAINING_S: Final = 60.0
"""Less is not worth a start of torch."""

AFTER_TRAINING_S: Final = 45.0
"""torch starts before a run, and its last validation and the measuring of its checkpoint come after it."""

TRAINER: Final = (sys.executable, "-c", "import sys; from trainer.cli import main; sys.exit(main())")


@dataclass(frozen=True)
class Step:
    """One process of pytest; a cut-off one costs the others nothing."""

    name: str
    tests: str
    which: str
    """pytest's -k."""
    most_s: float
    before: tuple[str, ...] = ()
    """A program that it runs under."""


SANITIZER: Final = ("compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "99")

CHECKS: Final = (
    Step("plumbing", "test_plumbing.py", "", 120),
    Step("memcheck", "test_plumbing.py", "given_back", 60, SANITIZER),
    Step("parity", "test_engines.py", "masks_agree and torch", 120),
    Step("speed", "test_engines.py", "test_speed and fast and torch", 90),
    Step("line", "test_line.py", "torch", 150),
    Step("memory", "test_faults.py", "memory", 60),
    Step("capture", "test_faults.py", "capture", 60),
    Step("illegal", "test_faults.py", "illegal", 60),
)
PRESETS: Final = ("fast", "paper")


def main() -> int:
    """Exit 1 where a check failed or ran out of time; what is not there (a GPU, a tool) is skipped and said."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--neu-seg", type=Path)
    parser.add_argument("--minutes", type=float, default=9.5)
    parser.add_argument("--steps", type=lambda text: set(text.split(",")))
    options = parser.parse_args()
    unknown = (options.steps or set()) - {each.name for each in CHECKS} - {"pc", "train"}
    if unknown:
        parser.error(f"no step {', '.join(sorted(unknown))}")
    os.environ["GPU_FIGURES"] = str((options.out / "figures.jsonl").resolve())
    until_s = time.monotonic() + options.minutes * 60

    def wanted(name: str) -> bool:
        return options.steps is None or name in options.steps

    results = []
    if wanted("pc"):
        results.append(_pc())
    results += [_check(step, until_s) for step in CHECKS if wanted(step.name)]
    if wanted("train"):
        results.append(_train(options.neu_seg, until_s))
    return int(any(result in {"failed", "out of time"} for result in results))


def _pc() -> str:
    query = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    said = "no nvidia-smi"
    if shutil.which(query[0]):
        said = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False).stdout.strip()
    record("pc", gpu=said, cores=os.cpu_count(), python=sys.version.split()[0])
    return "passed"


def _check(step: Step, until_s: float) -> str:
    """Run one and record how it ended."""
    if step.before and not shutil.which(step.before[0]):
        record("step", name=step.name, result="skipped", why=f"no {step.before[0]}")
        return "skipped"
    tests = (sys.executable, "-m", "pytest", "-q", "-s", "-m", "gpu", "-p", "no:cacheprovider")
    select = ("-k", step.which) if step.which else ()
    started_s = time.monotonic()
    most_s = min(step.most_s, until_s - started_s)
    code, said = _run((*step.before, *tests, *select, str(ROOT / "tests/gpu" / step.tests)), most_s)
    result = _ended(code)
    if result == "passed" and not re.search(r"\d+ passed", said):
        result = "skipped"
    summary = (re.findall(r"\d+ (?:passed|failed|skipped|error|deselected)[^\n]*", said) or [""])[-1]
    why = sorted(
        set(re.findall(r"^(?:SKIPPED|FAILED|ERROR|E  ).*$|^=+ .*(?:ERROR|not supported).*", said, re.MULTILINE))
    )
    record(
        "step",
        name=step.name,
        result=result,
        exit=code,
        seconds=time.monotonic() - started_s,
        said=summary,
        why=why[:8],
    )
    return result


def _ended(code: int | None) -> str:
    return "out of time" if code is None else "failed" if code else "passed"


def _run(command: tuple[str, ...], most_s: float) -> tuple[int | None, str]:
    """(exit code, or None where it was ended; what it said). Its children end with it."""
    if most_s <= 0:
        return None, ""
    print(f"\n$ {' '.join(command)}", flush=True)
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=most_s)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        code = None
    print(said, flush=True)
    return code, said


def _train(neu_seg: Path | None, until_s: float) -> str:
    """`fast`, then `paper`, each for half of what is left; recorded after each."""
    left_s = until_s - time.monotonic()
    if neu_seg is None or left_s < len(PRESETS) * LEAST_TRAINING_S:
        why = "no --neu-seg" if neu_seg is None else f"{left_s:.0f} s are left"
        record("step", name="train", result="skipped", why=why)
        return "skipped"
    with tempfile.TemporaryDirectory() as scratch:
        data = _as_png(neu_seg, Path(scratch) / "neu_seg")
        split = Path(scratch) / "split.json"
        code, said = _run((*TRAINER, "split", str(data), "--out", str(split)), until_s - time.monotonic())
        if code:
            record("step", name="train", result="failed", exit=code, said=said[-500:])
            return "failed"
        results = []
        for place, preset in enumerate(PRESETS):
            each_s = (until_s - time.monotonic()) / (len(PRESETS) - place) - AFTER_TRAINING_S
            results.append(_train_one(preset, data, split, Path(scratch) / preset, each_s))
    return next((result for result in results if result != "passed"), "passed")


def _train_one(preset: str, data: Path, split: Path, run: Path, seconds: float) -> str:
    common: tuple[str, ...] = ("--data", str(data), "--split", str(split))
    started_s = time.monotonic()
    options = ("--preset", preset, "--minutes", f"{seconds / 60:.2f}", "--device", "auto", "--out", str(run))
    code, said = _run((*TRAINER, "train", *common, *options), seconds + AFTER_TRAINING_S)
    trained_s = time.monotonic() - started_s
    result = _ended(code)
    epochs = len(re.findall(r"^epoch", said, re.MULTILINE))
    record("training", preset=preset, result=result, seconds=trained_s, epochs=epochs, said=said[-500:])
    if (run / "best.ckpt").is_file():  # also of a run that was ended
        code, said = _run((*TRAINER, "evaluate", str(run / "best.ckpt"), *common, "--json"), 60)
        record("trained", preset=preset, exit=code, seconds=trained_s, measured=said[-4000:])
    return result


def _as_png(source: Path, target: Path) -> Path:
    """The same pixels as PNG: whether a JPEG is whole is asked of PyAV, which the machine need not have."""
    (target / "images").mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        list(
            pool.map(
                _one_as_png, sorted((source / "images").iterdir()), [target / "images"] * 100_000, chunksize=64
            )
        )
    shutil.copytree(source / "masks", target / "masks")
    if (source / "classes.json").is_file():
        shutil.copy(source / "classes.json", target)
    return target


def _one_as_png(image: Path, folder: Path) -> None:
    with Image.open(image) as opened:
        opened.draft("L", opened.size)
        opened.convert("L").save(folder / f"{image.stem}.png", compress_level=1)


if __name__ == "__main__":
    sys.exit(main())
