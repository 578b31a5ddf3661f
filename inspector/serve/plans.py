"""The line's plans: read for the page, and changed by people with that right. Keeps each file's earlier text."""

import os
import threading
import time
from pathlib import Path
from typing import Any, Final

import structlog

from inspector.config.line import LoadedConfig
from inspector.config.plans import PlanSet
from inspector.config.recipe import ClassRule, LoadedRecipe, load_recipe
from inspector.core.rules import EngineClasses
from inspector.errors import ConfigError, InputError, WorkError
from inspector.files import write_whole
from inspector.serve.audit import note
from inspector.serve.plan_files import Changes, changed_text
from inspector.serve.store import Store, UnknownError, rows

KEYS: Final = tuple(ClassRule.model_fields)
"""Keys of one class in a plan."""

log = structlog.get_logger()

_one_at_a_time = threading.Lock()


def plans(config: LoadedConfig, engine: EngineClasses, store: Store, used: str | None) -> list[dict[str, Any]]:
    """Return all plans, the default first. `used` is the default plan that the line judges by, if one runs.

    Raises ConfigError if a file is wrong.
    """
    loaded = config.plans()
    changes = _changes(store)
    return [_values(name, loaded, config, engine, used, changes) for name in ("", *config.line.plans)]


def _values(
    name: str, loaded: PlanSet, config: LoadedConfig, engine: EngineClasses, used: str | None,
    changes: list[dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    recipe = loaded.default if not name else loaded.recipe("", name)
    bound = recipe.bind(engine)
    choice = config.line.plans.get(name)
    classes = []
    for kind, class_name in enumerate(bound.names):
        if not kind:
            continue
        rule = recipe.recipe.classes[class_name]
        given = {key: getattr(rule, key) for key in KEYS}
        defaults = {"threshold": engine.thresholds[kind], "min_area_mm2": _engine_area_mm2(recipe, engine, kind)}
        classes.append({"kind": kind, "name": class_name, "given": given, "engine": defaults})
    own = [each for each in changes if each["plan"] == name]
    return {
        "name": name,
        "file": str(recipe.path),
        "identity": recipe.identity,
        "writable": _may_write(recipe.path),
        "grades": list(choice.grades) if choice else [],
        "customers": list(choice.customers) if choice else [],
        "classes": classes,
        "coil": recipe.recipe.coil.model_dump(mode="json", by_alias=True),
        "used": used if not name else None,
        "changes": own[:20],
    }


def _engine_area_mm2(recipe: LoadedRecipe, engine: EngineClasses, kind: int) -> float:
    return engine.min_area_px[kind] * recipe.recipe.mm_per_px_across * recipe.recipe.mm_per_px_along


def _may_write(path: Path) -> bool:
    """Whether the page may replace this file, which takes place in its folder."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)


def _changes(store: Store) -> list[dict[str, Any]]:
    with store.reading() as connection:
        return rows(
            connection.execute(
                "SELECT id, at_ns / 1000000 AS at_ms, who, why, plan, changed, identity FROM plan_changes "
                "ORDER BY id DESC LIMIT 500"
            )
        )


def change(
    config: LoadedConfig, engine: EngineClasses, store: Store, plan: str, identity: str, changes: Changes,
    who: str, why: str,
) -> str:  # fmt: skip
    """Change a plan's file; returns its new identity. Every stage reads it at its next start.

    Raises UnknownError for an unknown plan or class, InputError if the file has changed since it was looked at or
    the line would refuse it, WorkError if it cannot be written.
    """
    if plan and plan not in config.line.plans:
        raise UnknownError(f"plan {plan}: the line has no such plan")
    with _one_at_a_time:
        loaded = config.plans()
        recipe = loaded.recipe("", plan) if plan else loaded.default
        if recipe.identity != identity:
            raise InputError(f"{recipe.path.name} was changed meanwhile: look at it again")
        unknown = [name for name in changes if name not in recipe.recipe.classes]
        if unknown:
            raise UnknownError(f"class {unknown[0]}: the plan has no such class")
        told = _told(recipe, changes)
        if not told:
            raise InputError("nothing is changed")
        before = recipe.path.read_text(encoding="utf-8")
        text = changed_text(before, changes)
        if not _may_write(recipe.path):
            raise WorkError(
                f"{recipe.path}: the page may not write it: put the plans into a folder that its user may write "
                "(see `Plans` in the page's documentation), or edit the file"
            )
        made = _checked(store, recipe.path, text, engine)
        with store.changing() as connection:
            connection.execute(
                "INSERT INTO plan_changes (at_ns, who, why, plan, changed, identity, text_before) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (time.time_ns(), who, why, plan, told, made.identity, before),
            )
            note(connection, who, "plan changed", plan or made.recipe.name, f"{told} {why}".strip())
            _write(recipe.path.resolve(), text)
    log.info("plan changed", plan=plan or "default", changed=told, who=who, identity=made.identity)
    return made.identity


def _checked(store: Store, path: Path, text: str, engine: EngineClasses) -> LoadedRecipe:
    """Read the new text as the line will. Raises ConfigError with the plan's own name."""
    trial = store.folder / "plan.toml"
    try:
        write_whole(trial, text.encode(), sync=False)
        made = load_recipe(trial)
        made.bind(engine)
    except ConfigError as error:
        raise ConfigError(str(error).replace(str(trial), str(path))) from None
    finally:
        trial.unlink(missing_ok=True)
    return made


def _write(path: Path, text: str) -> None:
    mode = path.stat().st_mode & 0o777
    try:
        write_whole(path, text.encode())
        path.chmod(mode)
    except OSError as error:
        raise WorkError(f"{path}: cannot be written: {error.strerror}") from None


def _told(recipe: LoadedRecipe, changes: Changes) -> str:
    """Describe the change, for the audit."""
    told = []
    for name, keys in changes.items():
        for key, value in keys.items():
            before = getattr(recipe.recipe.classes[name], key)
            if before != value:
                told.append(f"{name}: {key} {_shown(before)} → {_shown(value)}")
    return "; ".join(told)


def _shown(value: Any) -> str:
    if value is None:
        return "the engine's"
    return f"{value:g}" if isinstance(value, float) else str(value)
