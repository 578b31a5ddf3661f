"""The `[mill]` table of line.toml: a simulated mill, which simulated cameras and the position source share."""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from inspector.config.plc import STRICT, Positive

Points = tuple[tuple[Annotated[float, Field(ge=0.0)], Annotated[float, Field(ge=-50.0, le=50.0)]], ...]


class MillSettings(BaseModel):
    """How the simulated strip moves, and which coils it consists of."""

    model_config = STRICT
    profile: Annotated[Points, Field(min_length=1)] = (
        (0.0, 0.0),
        (4.0, 2.0),
        (60.0, 2.0),
        (64.0, 0.0),
        (68.0, 0.0),
    )
    """(seconds, m/s), straight between the points; negative is reverse travel."""
    repeat: bool = True
    """After its last point the profile begins again; else the last speed stays."""
    coil_m: Positive | None = None
    """Length of each coil; None announces no coils."""
    first_coil: Annotated[int, Field(ge=0)] = 48213
    """Number in the first coil's name; the next coil has the next number."""
    grades: tuple[str, ...] = ()
    """Grades of the coils, in turn."""
    customers: tuple[str, ...] = ()
    width_mm: Positive | None = None
    marked_roll: str | None = None
    """Name of a roll in strip.rolls that leaves a mark at each turn."""
    missed_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3
    """Share of its turns without a mark."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        seconds = [at_s for at_s, _ in self.profile]
        if seconds[0] != 0.0 or any(later <= earlier for earlier, later in pairwise(seconds)):
            raise ValueError("profile: its first point is at 0 s, and the times rise")
        return self
