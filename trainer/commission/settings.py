"""What a commissioning depends on, stored in its folder so that a resume repeats it."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inspector.errors import InputError
from inspector.files import write_whole

SETTINGS_NAME: Final = "commission.json"

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class CommissionSettings(BaseModel):
    """The settings of `trainer commission`; field names are its options."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    source: Path
    out: Path
    frames: Annotated[int, Field(ge=20)] = 600
    """Most own frames that are taken, evenly spread over the source."""
    set_aside: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    """Share of the own frames, the most unusual ones, that are not taken as sound."""
    held_out: Annotated[float, Field(gt=0.0, le=0.5)] = 0.3
    """Share of the sound frames that only choose thresholds."""
    false_rejects: Share = 0.05
    """Share of the held-out frames that may be rejected."""
    transplant: Path | None = None
    """Labelled data set of another plant, whose defects are put on the own frames, too."""
    minutes: Annotated[float, Field(gt=0.0)] = 60.0
    encoder_weights: Path | None = None
    seed: int = 1
    threads: Annotated[int, Field(ge=1)] | None = None

    def write(self) -> None:
        """Write commission.json into the folder."""
        self.out.mkdir(parents=True, exist_ok=True)
        write_whole(self.out / SETTINGS_NAME, (self.model_dump_json(indent=1) + "\n").encode())


def settings_of(options: dict[str, object]) -> CommissionSettings:
    """Check the options; raises InputError with the first wrong one."""
    try:
        return CommissionSettings.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--{str(first['loc'][0]).replace('_', '-')} {first['msg']}") from None


def stored_settings(out: Path) -> CommissionSettings:
    """The settings of the commissioning in `out`; raises InputError."""
    path = out / SETTINGS_NAME
    try:
        return CommissionSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: no commissioning to resume in {out}") from None
    except ValidationError as error:
        raise InputError(f"{path}: {error.errors()[0]['msg']}: not a commissioning of this version") from None
