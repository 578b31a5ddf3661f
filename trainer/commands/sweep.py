"""Try settings of `trainer train`, and learn from each run which to try next.

Each trial is one training run in OUT/trial-0000, …; OUT/sweep.sqlite remembers them. Call it again to go
on after a break: a run that was killed is resumed, and more --trials are added."""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from inspector.errors import InputError, WorkError
from trainer.artifacts.extras import needs_train_extra

if TYPE_CHECKING:
    import optuna

EXAMPLE: Final = """\
example: trainer sweep --data severstal/ --out runs/sweep --trials 20 --search lr=0.0005:0.01 --search balanced=0:1
         --search preset=fast,balanced -- --minutes 30"""

STUDY: Final = "sweep"
STORE_NAME: Final = "sweep.sqlite"

LOG_FROM: Final = 20.0
"""A range whose end is so many times its beginning is searched by its logarithm."""

Space = dict[str, tuple[float, float] | list[str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled frames")
    parser.add_argument("--out", type=Path, required=True, help="folder of the sweep")
    parser.add_argument("--trials", type=int, default=20, help="runs in all, earlier ones included (default 20)")
    parser.add_argument(
        "--search",
        action="append",
        required=True,
        metavar="OPTION=LOW:HIGH|A,B,…",
        help="an option of `trainer train` and its range or its values; may be given several times",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the choice of settings (default 1)")
    parser.add_argument("train", nargs="*", metavar="-- OPTIONS", help="options that all runs have")


def run(arguments: argparse.Namespace) -> None:
    """Run the trials and print the best settings."""
    space = _space(arguments.search)
    with needs_train_extra("sweep"):
        import optuna
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=STUDY,
        storage=f"sqlite:///{out / STORE_NAME}",
        sampler=optuna.samplers.TPESampler(seed=arguments.seed),
        direction="maximize",
        load_if_exists=True,
    )
    states = optuna.trial.TrialState
    fixed = ["--data", str(arguments.data), *arguments.train]
    for broken in study.get_trials(states=[states.RUNNING]):
        # A trial that was killed before it had its options has trained nothing.
        before = broken.user_attrs.get("command")
        _tell(study, broken.number, None if before is None else _train(out, broken.number, before))
    while len(study.get_trials(states=[states.COMPLETE, states.FAIL])) < arguments.trials:
        trial = study.ask()
        command = [*fixed, *_chosen(trial, space)]
        trial.set_user_attr("command", command)
        _tell(study, trial.number, _train(out, trial.number, command))
    _show(study, out)


def _space(searches: list[str]) -> Space:
    """Parse the options of --search. Raises InputError."""
    space: Space = {}
    for search in searches:
        name, equals, values = search.partition("=")
        low, colon, high = values.partition(":")
        try:
            found: tuple[float, float] | list[str] = (
                (float(low), float(high)) if colon else [each for each in values.split(",") if each]
            )
        except ValueError:
            found = []
        if not (name and equals and found) or (isinstance(found, tuple) and not found[0] < found[1]):
            raise InputError(f"--search {search}: give OPTION=LOW:HIGH, or OPTION=A,B,…")
        space[name.lstrip("-")] = found
    return space


def _chosen(trial: "optuna.Trial", space: Space) -> list[str]:
    words = []
    for name, values in space.items():
        if isinstance(values, tuple):
            low, high = values
            log = low > 0 and high / low >= LOG_FROM
            words += [f"--{name}", f"{trial.suggest_float(name, low, high, log=log):.6g}"]
        else:
            words += [f"--{name}", str(trial.suggest_categorical(name, values))]
    return words


def _train(out: Path, number: int, options: list[str]) -> float | None:
    """Train, or go on with a run that was killed; returns its best mIoU, None if it failed."""
    from trainer.training.settings import LAST_NAME, SETTINGS_NAME

    folder = out / f"trial-{number:04d}"
    began = (folder / SETTINGS_NAME).exists() and (folder / LAST_NAME).exists()
    given = ["--resume"] if began else options
    command = [sys.executable, "-m", "trainer.cli", "train", "--out", str(folder), *given]
    print(f"trial {number}: {' '.join(options)}", flush=True)
    code = subprocess.run(command, check=False).returncode
    if code == InputError.exit_code:
        raise InputError(f"trial {number}: `trainer train` refuses these options: see its error above")
    if code < 0 or code > InputError.exit_code:
        raise WorkError(f"trial {number}: was stopped: call `trainer sweep` again to go on with it")
    return None if code else _best(folder / "metrics.csv")


def _best(table: Path) -> float:
    import csv

    from trainer.training.module import VAL_MIOU

    with table.open(newline="", encoding="utf-8") as file:
        return max(float(row[VAL_MIOU]) for row in csv.DictReader(file))


def _tell(study: "optuna.Study", number: int, value: float | None) -> None:
    from optuna.trial import TrialState

    if value is None:
        study.tell(number, state=TrialState.FAIL)
        print(f"trial {number}: failed", flush=True)
    else:
        study.tell(number, value)
        print(f"trial {number}: mIoU {value:.4f}, best so far {study.best_value:.4f}", flush=True)


def _show(study: "optuna.Study", out: Path) -> None:
    done: list[Any] = [trial for trial in study.get_trials() if trial.value is not None]
    if not done:
        raise WorkError(f"{out}: every trial failed: see their errors above")
    print("trial    mIoU   settings")
    for trial in sorted(done, key=lambda each: -each.value)[:10]:
        said = "  ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in trial.params.items()
        )
        print(f"{trial.number:5d}  {trial.value:.4f}   {said}")
    print(f"best: {out / f'trial-{study.best_trial.number:04d}'}")
