"""card.json: what a model is, what it was trained on, how good it is, and what it must not be used for."""

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
    """The model card; everything an engine build or a reader needs to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=256)]
    """Normal first."""
    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    map_stride: Literal[1, 2, 4]
    flips: Literal[1, 4, 8] = 1
    """Mirrored and transposed views of a frame that the graph averages over."""
    files: dict[str, Sha256]
    """model.onnx and golden.npz with their hashes."""
    model: dict[str, Any]
    """Architecture, its parameters, and how many weights it has."""
    thresholds: dict[str, Unit]
    min_area_px: dict[str, Annotated[int, Field(ge=0)]]
    threshold_choice: dict[str, Any]
    """The costs they were chosen for."""
    data: dict[str, Any]
    """Content hashes and sizes of the training and validation part."""
    training: dict[str, Any]
    """Settings and command."""
    figures: dict[str, Any]
    """`trainer evaluate` on the validation part, by the exported model at these thresholds."""
    parity: dict[str, Any]
    """How close the ONNX model comes to the network in torch."""
    intended_use: str
    known_weaknesses: list[str]
    versions: dict[str, str]
    command: str
    engine: dict[str, Any] | None = None
    """On the card of an engine: how it was built, what that cost, and how fast it is."""

    @field_validator("data", "training", "command", "engine", mode="before")
    @classmethod
    def _tells_no_paths(cls, value: Any) -> Any:
        return without_folders(value)


class ModelFolder:
    """A model folder whose card is valid and whose files match its hashes."""

    def __init__(self, path: Path, card: Card) -> None:
        self.path = path
        self.card = card

    @property
    def onnx(self) -> Path:
        """The model."""
        return self.path / ONNX_NAME

    @property
    def golden(self) -> Path:
        """Real frames with the maps of the fp32 reference."""
        return self.path / GOLDEN_NAME


def is_model_folder(path: Path) -> bool:
    """Whether there is a card."""
    return (path / CARD_NAME).is_file()


def open_model(path: Path) -> ModelFolder:
    """Read a model folder and check its hashes; raises InputError with what differs."""
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
    """Write card.md, for people, and card.json; the last files to be written."""
    content = card.model_dump(mode="json")
    (path / CARD_TEXT_NAME).write_text(card_text(content), encoding="utf-8")
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (path / CARD_NAME).write_text(text + "\n", encoding="utf-8")


def without_folders(value: Any) -> Any:
    """The same JSON value; of every absolute path in it, also inside a command line, only the name is left."""
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
    except ValueError:  # an apostrophe in a text, which is no command line
        return value
    if not any(_path_in(word) for word in words):
        return value
    return shlex.join(_shortened(word) for word in words)


def _path_in(word: str) -> str:
    """The absolute path a word is or ends in (--data=/a/b), or nothing."""
    last = word.rpartition("=")[2]
    return last if last.startswith("/") else ""


def _shortened(word: str) -> str:
    path = _path_in(word)
    return word.removesuffix(path) + Path(path).name if path else word
