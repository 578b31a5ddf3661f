"""Reading a settings file, so that a wrong key or value is one clear line: file, key, what is allowed."""

import difflib
import json
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from inspector.errors import ConfigError
from inspector.passwords import masked

Model = TypeVar("Model", bound=BaseModel)

MAX_BYTES: Final = 65_536
"""Largest settings file that is read; those of a large plant have a few thousand."""


def read_bytes(path: Path) -> bytes:
    """A settings file's content; raises ConfigError when it cannot be read."""
    try:
        if path.exists() and not path.is_file():
            # A pipe would be waited for, for ever.
            raise ConfigError(f"{path}: is no file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: over {MAX_BYTES:,} bytes: this is no settings file")
    return raw


def parse(path: Path, raw: bytes) -> dict[str, Any]:
    """TOML, or JSON by its ending, as a dictionary; raises ConfigError with the place of a syntax error."""
    loads: Callable[[str], Any] = json.loads if path.suffix == ".json" else tomllib.loads
    try:
        values = loads(raw.decode("utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: not valid {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: tables or lists lie in each other too deep to be read") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold keys and values, not a {type(values).__name__}")
    return values


def validate(path: Path, values: Mapping[str, Any], model: type[Model]) -> Model:
    """The checked model; raises ConfigError for its first wrong key or value."""
    try:
        return model(**values)
    except ValidationError as error:
        # A misspelt key is two errors, one unknown and one missing: the unknown one is what to mend.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        variable = _variable(first, model)
        source = path if variable is None else f"environment: {variable}"
        raise ConfigError(f"{source}: {_explain(first, model)}") from None
    except SettingsError as error:
        raise ConfigError(f"environment: {error}") from None
    except TypeError as error:
        raise ConfigError(f"{path}: {error}") from None


def _variable(error: ErrorDetails, model: type[BaseModel]) -> str | None:
    """The environment variable that lies over the key in question, where there is one."""
    prefix, nested = (str(model.model_config.get(name) or "") for name in ("env_prefix", "env_nested_delimiter"))
    if not prefix:
        return None
    wanted = (prefix + nested.join(str(part) for part in error["loc"])).upper()
    return next((variable for variable in os.environ if variable.upper() == wanted), None)


def _explain(error: ErrorDetails, model: type[BaseModel]) -> str:
    keys = [str(part) for part in error["loc"]]
    where = ".".join(keys) or "the file"
    if error["type"] == "extra_forbidden":
        allowed = _keys_beside(keys, model)
        close = difflib.get_close_matches(keys[-1], allowed, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return f"{where}: unknown key: {hint}allowed: {', '.join(allowed)}"
    if error["type"] == "missing":
        return f"{where}: this key is required"
    message = error["msg"].removeprefix("Value error, ")
    hidden = isinstance(error["input"], (dict, list)) or keys[-1:] == ["password"]
    given = "" if hidden else f", got {masked(repr(error['input']))}"
    return f"{where}: {message}{given}"


def _keys_beside(keys: list[str], model: type[BaseModel]) -> list[str]:
    """The keys allowed where the last of `keys` stands."""
    models: list[type[BaseModel]] = [model]
    for key in keys[:-1]:
        inner: list[type[BaseModel]] = []
        for candidate in models:
            field = candidate.model_fields.get(key)
            inner += _models_in(field.annotation) if field is not None else []
        # A step that is no field is a dictionary's key or the tag of a union.
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
