"""Chooses the plan of a coil: by name, by grade and customer, or the default, and says why."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from inspector.core.strip.coils import CoilData


class PlanChoice(msgspec.Struct, frozen=True):
    """One plan and the coils that it is for."""

    name: str
    recipe: str
    """Name and content hash."""
    grades: tuple[str, ...] = ()
    """Patterns such as `S355*`; empty allows every grade."""
    customers: tuple[str, ...] = ()

    def fits(self, coil: CoilData) -> bool:
        """Return whether the plan allows this grade and customer; one without patterns is chosen only by name."""
        if not self.grades and not self.customers:
            return False
        return _among(coil.grade, self.grades) and _among(coil.customer, self.customers)


class Chosen(msgspec.Struct, frozen=True):
    """The plan chosen for a coil, and why."""

    name: str
    """Name of the plan; empty for the default."""
    recipe: str
    why: str


def choose(coil: CoilData, plans: Sequence[PlanChoice], default: str) -> Chosen:
    """Choose a coil's plan; `default` is the identity of the line's recipe."""
    unknown = ""
    if coil.plan:
        named = next((plan for plan in plans if plan.name == coil.plan), None)
        if named is not None:
            return Chosen(named.name, named.recipe, "asked for by name")
        unknown = f"plan {coil.plan} is not known; "
    fitting = next((plan for plan in plans if plan.fits(coil)), None)
    if fitting is not None:
        stated = [f"grade {coil.grade}"] if fitting.grades else []
        stated += [f"customer {coil.customer}"] if fitting.customers else []
        return Chosen(fitting.name, fitting.recipe, f"{unknown}{' and '.join(stated)}")
    if not plans:
        return Chosen("", default, f"{unknown}the line has one recipe")
    grade = f"no plan for grade {coil.grade}" if coil.grade else "no grade is stated"
    return Chosen("", default, f"{unknown}{grade}: the default is used")


def _among(value: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(value.upper(), pattern.upper()) for pattern in patterns)
