"""Protocol of the comparison: the paper's settings where the paper states them, ours elsewhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inspector.errors import InputError
from inspector.files import write_whole
from trainer.models import PRESETS
from trainer.reproduce.intervals import MAX_SEEDS
from trainer.training.settings import TrainSettings

PROTOCOL_NAME: Final = "protocol.json"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of the paper's models."""

    key: str
    title: str
    paper: float
    """The paper's "mIoU", 0..1."""
    target: Literal["multiclass", "binary"]


CNN: Final = Contestant("cnn", "vanilla CNN", 0.759, "binary")
BINARY: Final = Contestant("binary", "binary U-Net", 0.913, "binary")
MULTICLASS: Final = Contestant("multiclass", "multi-class U-Net", 0.941, "multiclass")
CONTESTANTS: Final = (CNN, BINARY, MULTICLASS)


class Protocol(BaseModel):
    """Common settings of all runs, stored in the comparison's folder so that a restart uses the same ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path
    split: Path | None
    unet: str
    """Preset of both U-Nets."""
    seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS)]
    epochs: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=1)] = 16
    lr: Annotated[float, Field(gt=0.0)] = 1e-4
    crop: tuple[int, int] | None = None
    """Height and width, px; None for the default of `trainer train`."""
    quick: bool = False

    def settings(
        self, contestant: Contestant, seed: int, out: Path, tile: tuple[int, int] | None
    ) -> dict[str, Any]:
        """Fields of TrainSettings for one run; `tile` is the tile that the cnn decides on, None for whole frames.

        Adam at a constant rate, cross-entropy, crops drawn evenly from all frames and mirrored: only methods that
        the paper names, and the same ones for every model.
        """
        cnn = contestant is CNN
        return {
            "data": self.data,
            "out": out,
            "model": PRESETS["cnn" if cnn else self.unet],
            "target": contestant.target,
            "loss": "ce",
            "epochs": self.epochs,
            "batch": self.batch,
            "crop": tile if cnn and tile else self.crop,
            "balanced": 0.0,
            "lr": self.lr,
            "weight_decay": 0.0,
            "optimizer": "adam",
            "schedule": "constant",
            "relight": False,
            "ema": 0.0,
            "seed": seed,
        }


_MAY_DIFFER: Final = frozenset({"data"})
"""The data may have moved; the split in the comparison's folder names the frames that must exist."""


def keep_protocol(out: Path, protocol: Protocol) -> None:
    """Write the protocol into `out`; raises InputError if `out` holds a comparison with another protocol."""
    path = out / PROTOCOL_NAME
    if path.exists():
        try:
            stored = Protocol.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise InputError(f"{path}: {error.errors()[0]['msg']}: not a comparison of this version") from None
        for name in Protocol.model_fields:
            before, now = getattr(stored, name), getattr(protocol, name)
            if name not in _MAY_DIFFER and before != now:
                raise InputError(
                    f"{out} holds a comparison with {name} {before}, not {now}: ask for the same, or name another "
                    "folder"
                )
    write_whole(path, (protocol.model_dump_json(indent=1) + "\n").encode())


def train_settings(protocol: Protocol, contestant: Contestant, seed: int, out: Path, **more: Any) -> TrainSettings:
    """Settings of one run; `more` are `tile` and settings that do not change the result (threads, device)."""
    tile = more.pop("tile", None)
    return TrainSettings(**protocol.settings(contestant, seed, out, tile), **more)
