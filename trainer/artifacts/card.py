"""card.json: what a model is, its training data, its quality, its intended use and its known weaknesses."""

import json
import shlex
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from inspector.engine.manifest import GOLDEN_NAME, Sha256, Unit, file_sha256
from inspector.errors import InputError
from trainer.artifacts.card_text import card_text

CARD_NAME: Final = "card.json"
CARD_TEXT_NAME: Final = "card.md"
ONNX_NAME: Final = "model.onnx"


class Card(BaseModel):
    """The model card: everything that an engine build or a reader needs to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=256)]
    """Class names, normal first."""
    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    map_stride: Literal[1, 2, 4]
    flips: Literal[1, 4, 8] = 1
    """Number of mirrored and transposed views of a frame that the graph averages."""
    files: dict[str, Sha256]
    """SHA-256 of model.onnx and golden.npz."""
    model: dict[str, Any]
    """Architecture, its parameters, and the number of weights."""
    pretrained: dict[str, Any] | None = None
    """Name, licence, source and SHA-256 of the weights that the encoder started from; None for random ones."""
    thresholds: dict[str, Unit]
    min_area_px: dict[str, Annotated[int, Field(ge=0)]]
    frame_threshold: Unit | None = None
    """Frame score chosen on validation; None for a network without frame scores."""
    threshold_choice: dict[str, Any]
    """The costs for which the thresholds were chosen."""
    data: dict[str, Any]
    """Content hashes and sizes of the training and validation parts."""
    training: dict[str, Any]
    """Settings, command and library versions of the training run."""
    figures: dict[str, Any]
    """Figures of `trainer evaluate` on the validation part, for the exported model at these thresholds."""
    parity: dict[str, Any]
    """Agreement of the ONNX model with the torch network."""
    intended_use: str
    known_weaknesses: list[str]
    versions: dict[str, str]
    command: str
    engine: dict[str, Any] | None = None
    """Set on the card of an engine: how it was built, what the build cost in quality, and its speed."""

    @field_validator("data", "training", "command", "engine", mode="before")
    @classmethod
    def _tells_no_paths(cls, value: Any) -> Any:
        return without_folders(value)


class ModelFolder:
    """A model folder with a valid card and files that match the hashes in it."""

    def __init__(self, path: Path, card: Card) -> None:
        self.path = path
        self.card = card

    @property
    def onnx(self) -> Path:
        """Path of model.onnx."""
        return self.path / ONNX_NAME

    @property
    def golden(self) -> Path:
        """Path of the golden frames: real frames with the maps of the fp32 reference."""
        return self.path / GOLDEN_NAME


def is_model_folder(path: Path) -> bool:
    """Whether `path` holds a card.json."""
    return (path / CARD_NAME).is_file()


def open_model(path: Path) -> ModelFolder:
    """Read a model folder and check its hashes; raises InputError for a missing, invalid or changed file."""
    card_path = path / CARD_NAME
    try:
        card = Card.model_validate_json(card_path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: no model here ({CARD_NAME}: {error.strerror}): make one with `trainer export`"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "card"
        raise InputError(f"{card_path}: {where}: {first['msg']}: export the model again") from None
    for name in (ONNX_NAME, GOLDEN_NAME):
        try:
            actual = file_sha256(path / name)
        except OSError as error:
            raise InputError(f"{path / name}: {error.strerror}: export the model again") from None
        if card.files.get(name) != actual:
            raise InputError(f"{path / name}: content does not match {CARD_NAME}: copy or export it again")
    return ModelFolder(path, card)


def write_card(path: Path, card: Card) -> None:
    """Write card.md, for people, and then card.json, the last file of a folder."""
    content = card.model_dump(mode="json")
    (path / CARD_TEXT_NAME).write_text(card_text(content), encoding="utf-8")
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (path / CARD_NAME).write_text(text + "\n", encoding="utf-8")


def without_folders(value: Any) -> Any:
    """The same JSON value with every absolute path, also inside a command line, reduced to its file name."""
    if isinstance(value, dict):
        return {key: without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_folders(inner) for inner in value]
    if not isinstance(value, str) or "/" not in value:
        return value
    if value.startswith("/"):
        return Path(value).name
    try:
        words = shlex.split(value)
    except ValueError:  # a text with an apostrophe, not a command line
        return value
    if not any(_path_in(word) for word in words):
        return value
    return shlex.join(_shortened(word) for word in words)


def _path_in(word: str) -> str:
    """The absolute path that a word is or ends in (--data=/a/b), or an empty string."""
    last = word.rpartition("=")[2]
    return last if last.startswith("/") else ""


def _shortened(word: str) -> str:
    path = _path_in(word)
    return word.removesuffix(path) + Path(path).name if path else word
