"""Everything that a training run depends on, stored beside its checkpoints so that a resume repeats it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inspector.errors import InputError
from inspector.files import write_whole
from trainer.data.class_order import DEFECT_CLASS

SETTINGS_NAME: Final = "run.json"
SPLIT_NAME: Final = "split.json"
LAST_NAME: Final = "last.ckpt"
BEST_NAME: Final = "best.ckpt"


class TrainSettings(BaseModel):
    """The settings of `trainer train`; field names are its options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path
    out: Path
    split: Path | None = None
    init: Path | None = None
    """Checkpoint or model folder with the initial weights; None for random ones."""
    encoder_weights: Path | None = None
    """File with the pretrained encoder's weights; None takes those of the installed package."""
    val: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    model: dict[str, Any] | None = None
    """Architecture and its parameters, see trainer.models; None follows the data."""
    target: Literal["multiclass", "binary"] = "multiclass"
    """Classes of the network: normal and every kind of defect, or normal and defect."""
    fit: Literal["tile", "resize"] | None = None
    """How frames of another size than `frame` are fitted; None is "tile" if there are any."""
    frame: tuple[Annotated[int, Field(ge=8)], Annotated[int, Field(ge=8)]] | None = None
    """Height and width of the frames, px; None takes the usual size."""
    loss: str | None = None
    """See trainer.training.losses; None, also below, follows the data, see trainer.training.choices."""
    class_weighting: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Weight of a class in cross-entropy and focal loss: its area to the power of minus this value."""
    epochs: Annotated[int, Field(ge=1)] | None = None
    minutes: Annotated[float, Field(gt=0.0)] | None = None
    """At most one of epochs and minutes is set; with neither, the number of epochs follows the data."""
    batch: Annotated[int, Field(ge=1)] = 16
    crop: tuple[Annotated[int, Field(ge=8)], Annotated[int, Field(ge=8)]] | None = None
    """Height and width, px."""
    balanced: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Share of crops drawn around defects, class by class."""
    lr: Annotated[float, Field(gt=0.0)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    optimizer: Literal["adamw", "adam"] = "adamw"
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    relight: bool = True
    """Whether to vary brightness, contrast, gamma and noise of the crops."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many validations without improvement."""
    ema: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.998
    seed: int = 1
    threads: Annotated[int, Field(ge=1)] | None = None
    device: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    save_minutes: Annotated[float, Field(gt=0.0)] = 3.0
    """Minutes between saves: the most work that a SIGKILL costs."""

    @model_validator(mode="after")
    def _one_budget(self) -> "TrainSettings":
        if self.epochs is not None and self.minutes is not None:
            raise ValueError("give one of --epochs and --minutes")
        return self

    @property
    def network(self) -> dict[str, Any]:
        """Architecture and its parameters; raises InputError while they are open."""
        if self.model is None:
            raise InputError("--preset is missing: the network is chosen only while the data is loaded")
        return self.model

    def write(self) -> None:
        """Write run.json into the run's folder."""
        write_whole(self.out / SETTINGS_NAME, (self.model_dump_json(indent=1) + "\n").encode())

    def classes_of(self, classes: Sequence[str]) -> tuple[str, ...]:
        """Classes of the network for a data set with `classes`."""
        return tuple(classes) if self.target == "multiclass" else (classes[0], DEFECT_CLASS)


MAY_CHANGE_ON_RESUME: Final = frozenset(
    {"threads", "device", "save_minutes", "out", "data", "init", "encoder_weights"}
)
"""Settings that do not change the result. `data` may have moved; a hash checks its content."""


def settings_from(options: dict[str, Any]) -> TrainSettings:
    """Check the options; raises InputError with the first wrong one."""
    try:
        return TrainSettings(**options)
    except ValidationError as error:
        first = error.errors()[0]
        option = "".join(f"--{part} " for part in first["loc"][:1]).replace("_", "-")
        raise InputError(f"{option}{first['msg'].removeprefix('Value error, ')}") from None


def resumed_settings(out: Path, options: dict[str, Any]) -> TrainSettings:
    """The settings of the run in `out`; raises InputError if `options` contradict them."""
    path = out / SETTINGS_NAME
    try:
        stored = TrainSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: no run to resume in {out}") from None
    except ValidationError as error:
        raise InputError(f"{path}: {error.errors()[0]['msg']}: not a run of this version") from None
    wanted = settings_from({**stored.model_dump(), **options})
    for name in TrainSettings.model_fields:
        before, now = getattr(stored, name), getattr(wanted, name)
        if name not in MAY_CHANGE_ON_RESUME and before != now:
            raise InputError(
                f"--resume: the run in {out} was started with {name} {before}, not {now}: "
                "leave the option out, or start a new run in another folder"
            )
    return wanted
