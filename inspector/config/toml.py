"""Reads a settings file; a wrong key or value becomes one clear line: file, key, what is allowed."""

import difflib
import json
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from inspector.errors import ConfigError
from inspector.passwords import masked

Model = TypeVar("Model", bound=BaseModel)

MAX_BYTES: Final = 1_000_000
"""Largest settings file that is read: a replay of a thousand recordings names each of them."""


MOST_TOLD: Final = 10
"""Most faults in one message: for a file that is not a settings file, more would not help."""


def read_bytes(path: Path) -> bytes:
    """The content of a settings file; raises ConfigError when it cannot be read."""
    try:
        if path.exists() and not path.is_file():
            # Opening a pipe would block forever.
            raise ConfigError(f"{path}: is not a file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: over {MAX_BYTES / 1e6:g} MB: this is not a settings file")
    return raw


def parse(path: Path, raw: bytes) -> dict[str, Any]:
    """TOML, or JSON by the file's ending, as a dictionary; raises ConfigError with the place of a syntax error."""
    loads: Callable[[str], Any] = json.loads if path.suffix == ".json" else tomllib.loads
    try:  # "utf-8-sig" drops the byte order mark that Windows editors write
        values = loads(raw.decode("utf-8-sig"))
    except ValueError as error:
        raise ConfigError(f"{path}: not valid {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: tables or lists are nested too deeply") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold keys and values, not a {type(values).__name__}")
    return values


def validate(path: Path, values: Mapping[str, Any], model: type[Model]) -> Model:
    """The checked model; raises ConfigError with the first MOST_TOLD wrong keys and values."""
    try:
        return model(**values)
    except ValidationError as error:
        found = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        said: dict[str, list[str]] = {}
        for each in _not_implied(found, model)[:MOST_TOLD]:
            variable = _variable(each, model)
            source = str(path) if variable is None else f"environment: {variable}"
            said.setdefault(source, []).append(_explain(each, model))
        raise ConfigError("; ".join(f"{source}: {'; '.join(texts)}" for source, texts in said.items())) from None
    except SettingsError as error:
        raise ConfigError(f"environment: {error}") from None
    except TypeError as error:
        raise ConfigError(f"{path}: {error}") from None


def _not_implied(found: list[ErrorDetails], model: type[BaseModel]) -> list[ErrorDetails]:
    """A misspelt key gives two errors, one unknown and one missing key: keep the unknown one, to be fixed."""
    meant = {
        (*_written(each, model)[:-1], _meant(each, model)) for each in found if each["type"] == "extra_forbidden"
    }
    return [each for each in found if each["type"] != "missing" or tuple(_written(each, model)) not in meant]


def _meant(error: ErrorDetails, model: type[BaseModel]) -> str | None:
    keys = [str(part) for part in error["loc"]]
    close = difflib.get_close_matches(keys[-1], _keys_beside(keys, model), n=1)
    return close[0] if close else None


def _written(error: ErrorDetails, model: type[BaseModel]) -> list[str]:
    """The keys as written in the file: pydantic also names a source's kind (`cameras.top.video.loop`)."""
    written: list[str] = []
    models: list[type[BaseModel]] = [model]
    names_next = False
    for key in map(str, error["loc"]):
        fields = [each.model_fields[key] for each in models if key in each.model_fields]
        if names_next:
            names_next = False
        elif fields:
            models = [inner for field in fields for inner in _models_in(field.annotation)]
            names_next = any(get_origin(field.annotation) is dict for field in fields)
        elif any(_has_tag(each, key) for each in models):
            models = [each for each in models if _has_tag(each, key)]
            continue
        written.append(key)
    return written


def _variable(error: ErrorDetails, model: type[BaseModel]) -> str | None:
    """The environment variable that overrides the key in question; None when none does."""
    prefix, nested = (str(model.model_config.get(name) or "") for name in ("env_prefix", "env_nested_delimiter"))
    if not prefix:
        return None
    wanted = (prefix + nested.join(_written(error, model))).upper()
    return next((variable for variable in os.environ if variable.upper() == wanted), None)


def _explain(error: ErrorDetails, model: type[BaseModel]) -> str:
    keys = [str(part) for part in error["loc"]]
    where = ".".join(_written(error, model)) or "the file"
    if error["type"] == "extra_forbidden":
        allowed = _keys_beside(keys, model)
        meant = _meant(error, model)
        hint = f"did you mean {meant}? " if meant else ""
        return f"{where}: unknown key: {hint}allowed: {', '.join(allowed)}"
    if error["type"] == "missing":
        return f"{where}: this key is required"
    message = error["msg"].removeprefix("Value error, ")
    hidden = isinstance(error["input"], (dict, list)) or keys[-1:] == ["password"]
    given = "" if hidden else f", got {masked(repr(error['input']))}"
    return f"{where}: {message}{given}"


def _keys_beside(keys: list[str], model: type[BaseModel]) -> list[str]:
    """The keys allowed beside the last of `keys`."""
    models: list[type[BaseModel]] = [model]
    for key in keys[:-1]:
        inner: list[type[BaseModel]] = []
        for candidate in models:
            field = candidate.model_fields.get(key)
            inner += _models_in(field.annotation) if field is not None else []
        # A step that is not a field is a dictionary key or a union's tag.
        tagged = [each for each in models if _has_tag(each, key)]
        models = inner or tagged or models
    return sorted({name for each in models for name in each.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _has_tag(model: type[BaseModel], tag: str) -> bool:
    field = model.model_fields.get("type")
    return field is not None and tag in get_args(field.annotation)
