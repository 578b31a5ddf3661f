"""Compares the verdicts of a replay with the labels of its frames."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from inspector.errors import InputError
from inspector.report.run_rules import read_rules
from inspector.results import VERDICTS_NAME, read_verdicts
from inspector.values import Decision, Verdict
from trainer.data.dataset import Dataset


@dataclass(slots=True)
class Comparison:
    """Frames counted by label and verdict. Uninspected frames, which the gate rejects, are counted apart."""

    defective: int = 0
    """Inspected frames whose label shows a kind that the run's recipe rejects."""
    sound: int = 0
    missed: list[str] = field(default_factory=list)
    """Names of defective frames that were accepted: missed defects (escapes)."""
    false_rejects: list[str] = field(default_factory=list)
    """Names of sound frames that were rejected: false rejects (overkills)."""
    uninspected: int = 0

    def add(self, verdict: Verdict, name: str, *, defective: bool) -> None:
        """Count the verdict on the frame `name`."""
        if verdict.decision is Decision.UNINSPECTED:
            self.uninspected += 1
            return
        self.defective += defective
        self.sound += not defective
        if defective and verdict.decision is Decision.ACCEPT:
            self.missed.append(name)
        elif not defective and verdict.decision is Decision.REJECT:
            self.false_rejects.append(name)


def compare(run: Path, dataset: Dataset) -> Comparison:
    """Compare every verdict of a replay with the label of its frame.

    Raises InputError if `run` has no verdicts, or verdicts on frames that are not in the data set.
    """
    path = run / VERDICTS_NAME
    found = Comparison()
    kinds: list[int] | None = None
    try:
        for verdict in read_verdicts(path):
            if verdict.file not in dataset.images:
                raise InputError(
                    f"{path}: frame {verdict.frame_id} is of {verdict.file or 'no file'}, which is not in "
                    f"{dataset.root}: name the data set that was replayed"
                )
            if kinds is None:
                kinds = _rejected_kinds(run, verdict.recipe, dataset)
            shape = dataset.frame(verdict.file).shape
            label = dataset.label(verdict.file, (shape[0], shape[1]))
            found.add(verdict, verdict.file, defective=any(bool((label == kind).any()) for kind in kinds))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: name the folder of a replay") from None
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: a line is not a verdict ({error}): replay the frames again") from None
    if kinds is None:
        raise InputError(f"{path}: holds no verdict: replay the frames again")
    return found


def _rejected_kinds(run: Path, recipe: str, dataset: Dataset) -> list[int]:
    """Label classes that the run's recipe rejects; every defect class if the run has no record of its rules."""
    rules, _ = read_rules(run, None, {recipe})
    recorded = {rule.name for rule in rules.kinds if not rule.rejects} if rules else set()
    return [kind for kind, name in enumerate(dataset.classes) if kind and name not in recorded]
