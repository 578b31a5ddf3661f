"""Try settings of `trainer train`, and learn from each run which to try next.

Each trial is one training run in OUT/trial-0000, …; OUT/sweep.sqlite remembers them. Call it again to go
on after a break: a run that was killed is resumed, and more --trials are added."""

import argparse
import fcntl
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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

LOCK_NAME: Final = ".sweep.lock"
LOCK_WAIT_S: Final = 3.0
"""Longest wait for the lock of a sweep that was killed just now, seconds."""

Space = dict[str, "optuna.distributions.BaseDistribution"]
"""What to search, by the option's name."""


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
    """Run the trials and print the best settings. Raises InputError, WorkError."""
    with needs_train_extra("sweep"):
        import optuna
        import sqlalchemy
    space = _space(arguments.search)
    out: Path = arguments.out
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    fixed = ["--data", str(arguments.data), *arguments.train]
    try:
        with _locked(out) as lock:
            study = _study(out, space, arguments.seed)
            _search(study, Trials(out, lock), space, fixed, arguments.trials)
            _show(study, out)
    except (OSError, sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        why = str(error.__cause__ or error).partition("\n")[0]
        raise WorkError(f"{out}: the sweep cannot be kept there: {why}") from None


@contextmanager
def _locked(out: Path) -> Iterator[int]:
    """Make the folder and lock it; yields the lock's descriptor. Raises InputError if another sweep holds it.

    Runs inherit the lock, so that one that outlives its sweep keeps others away. One that was killed with it may
    take a moment to end.
    """
    out.mkdir(parents=True, exist_ok=True)
    lock = os.open(out / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        until_s = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until_s:
                    raise InputError(
                        f"{out}: another sweep uses it: wait for its end, or give another --out"
                    ) from None
                time.sleep(0.1)
        yield lock
    finally:
        os.close(lock)


def _study(out: Path, space: Space, seed: int) -> "optuna.Study":
    """Open the study of the folder, or begin it. Raises InputError if it has searched something else.

    A study of which nothing was trained, such as after a typo, is begun again.
    """
    import optuna

    def opened() -> optuna.Study:
        return optuna.create_study(
            study_name=STUDY,
            storage=store,
            sampler=optuna.samplers.TPESampler(seed=seed),
            direction="maximize",
            load_if_exists=True,
        )

    store = f"sqlite:///{out / STORE_NAME}"
    study = opened()
    if any(trial.distributions not in ({}, space) for trial in study.get_trials()):
        if any(_began(out, trial.number) for trial in study.get_trials()):
            raise InputError(f"{out}: its runs searched other options or ranges: give the same, or another --out")
        optuna.delete_study(study_name=STUDY, storage=store)
        study = opened()
    return study


def _began(out: Path, number: int) -> bool:
    """Return whether a trial has begun to train."""
    from trainer.training.settings import SETTINGS_NAME

    return (_folder(out, number) / SETTINGS_NAME).exists()


def _folder(out: Path, number: int) -> Path:
    return out / f"trial-{number:04d}"


def _search(study: "optuna.Study", trials: "Trials", space: Space, fixed: list[str], count: int) -> None:
    """Go on with trials that were killed, then run new ones up to `count`."""
    from optuna.trial import TrialState

    for broken in study.get_trials(states=[TrialState.RUNNING]):
        before: list[str] = broken.user_attrs.get("command", [])
        is_begun = bool(before) and _began(trials.out, broken.number)
        _tell(study, broken.number, trials.train(broken.number, before) if is_begun else None)
    while _trained(study, trials.out) < count:
        trial = study.ask(space)
        command = [*fixed, *_words(trial.params)]
        trial.set_user_attr("command", command)
        try:
            value = trials.train(trial.number, command)
        except InputError:
            study.tell(trial.number, state=TrialState.FAIL)
            raise
        _tell(study, trial.number, value)
        if value is None and not _began(trials.out, trial.number):
            raise WorkError(f"trial {trial.number}: failed before it trained: see its error above")


def _trained(study: "optuna.Study", out: Path) -> int:
    """Return the number of ended trials, without those that never began to train."""
    from optuna.trial import TrialState

    ended = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.FAIL])
    return sum(trial.state is TrialState.COMPLETE or _began(out, trial.number) for trial in ended)


def _space(searches: list[str]) -> Space:
    """Parse the options of --search, as `trainer train` declares them. Raises InputError."""
    from optuna.distributions import CategoricalDistribution

    from trainer.commands import train

    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    space: Space = {}
    for search in searches:
        name, equals, values = search.partition("=")
        name = name.lstrip("-").replace("_", "-")
        if not (name and equals and values):
            raise _unclear(search)
        known = parser._actions  # noqa: SLF001 (argparse has no public list of options)
        option = next((action for action in known if f"--{name}" in action.option_strings), None)
        if option is None or option.nargs is not None or name == "out":
            raise InputError(f"--search {search}: `trainer train` has no option --{name} that takes one value")
        low, colon, high = values.partition(":")
        if colon and option.type in {int, float}:
            space[name] = _range(search, low, high, is_whole=option.type is int)
            continue
        choices = [each for each in values.split(",") if each]
        if colon or not choices:
            raise _unclear(search)
        for each in choices:
            _check_value(search, option, each)
        space[name] = CategoricalDistribution(choices)
    return space


def _unclear(search: str) -> InputError:
    return InputError(f"--search {search}: give OPTION=LOW:HIGH, or OPTION=A,B,…")


def _range(search: str, low: str, high: str, *, is_whole: bool) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import FloatDistribution, IntDistribution

    try:
        first, last = float(low), float(high)
    except ValueError:
        raise _unclear(search) from None
    if not (first < last and math.isfinite(first) and math.isfinite(last)):
        raise _unclear(search)
    log = first > 0 and last / first >= LOG_FROM
    if not is_whole:
        return FloatDistribution(first, last, log=log)
    if not (first.is_integer() and last.is_integer()):
        raise InputError(f"--search {search}: the option takes whole numbers")
    return IntDistribution(int(first), int(last), log=log)


def _check_value(search: str, option: argparse.Action, text: str) -> None:
    """Raise InputError for a value that `trainer train` does not take."""
    try:
        value = option.type(text) if callable(option.type) else text
    except (ValueError, argparse.ArgumentTypeError):
        raise InputError(f"--search {search}: the option does not take {text}") from None
    if option.choices is not None and value not in option.choices:
        raise InputError(f"--search {search}: no {text}; there is {', '.join(map(str, option.choices))}")


def _words(chosen: dict[str, Any]) -> list[str]:
    """Return the chosen settings as options of `trainer train`."""
    said = {name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in chosen.items()}
    return [word for name, value in said.items() for word in (f"--{name}", value)]


@dataclass(frozen=True, slots=True)
class Trials:
    """Training runs in subfolders of `out`."""

    out: Path
    lock: int
    """Descriptor of the folder's lock."""

    def train(self, number: int, options: list[str]) -> float | None:
        """Train, or go on with a run that was killed; returns its best mIoU, None if it failed.

        Raises InputError for options that `trainer train` refuses, WorkError when it was stopped.
        """
        from trainer.training.settings import LAST_NAME, SETTINGS_NAME

        folder = _folder(self.out, number)
        goes_on = (folder / SETTINGS_NAME).exists() and (folder / LAST_NAME).exists()
        given = ["--resume"] if goes_on else options
        command = [sys.executable, "-m", "trainer.cli", "train", "--out", str(folder), *given]
        print(f"trial {number}: {' '.join(options)}", flush=True)
        code = subprocess.run(command, check=False, pass_fds=(self.lock,)).returncode
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
    print(f"best: {_folder(out, study.best_trial.number)}")
