"""Put an engine on a running line that `trainer promote-check` found better than the one there, without losing a
frame."""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from inspector.commands.options import add_config, add_json, config_path, path
from inspector.commands.page import who
from inspector.commands.swap import swap_engine
from inspector.config.line import LoadedConfig, load_config
from inspector.config.recipe import load_recipe
from inspector.engine.manifest import open_folder
from inspector.engine.promotion import PromotionCheck, read_check
from inspector.engine.signature import open_trusted
from inspector.errors import InputError
from inspector.extras import needs_extra
from inspector.monitoring.client import ask

EXAMPLE: Final = "example: inspector promote engines/second --check promotion.json --config line.toml"

EVENT: Final = "note"
"""Kind of the event on the page."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("engine", type=path, metavar="ENGINE", help="engine folder that replaces the line's")
    parser.add_argument("--check", type=path, required=True, metavar="FILE", help="of `trainer promote-check`")
    add_config(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check, swap, and note it on the page; returns the exit code. Raises InspectorError."""
    engine: Path = arguments.engine
    config = load_config(config_path(arguments))
    check = read_check(arguments.check)
    folder = open_trusted(engine.resolve(), config.line.trusted_keys)
    if folder.digest != check.candidate_sha256:
        raise InputError(
            f"{arguments.check}: is about {check.candidate}, {engine} is {folder.identity}: check this one"
        )
    running = _running(config)
    if running != check.current:
        raise InputError(
            f"{arguments.check}: compares with {check.current}, the line runs {running}: check against that"
        )
    recipe = load_recipe(config.line.recipe).identity
    if recipe != check.recipe:
        raise InputError(
            f"{arguments.check}: was judged by {check.recipe or 'the thresholds of the engines'}, the line judges "
            f"by {recipe}: check again with --recipe {config.line.recipe}"
        )
    if check.refusals:
        raise InputError(f"{folder.identity} may not replace {check.current}: {'; '.join(check.refusals)}")

    def note(text: str) -> None:
        if not arguments.json:
            print(text, file=sys.stderr, flush=True)

    done = swap_engine(config, folder, note)
    _tell_page(config, check)
    if arguments.json:
        print(json.dumps({"engine": folder.identity, "replaced": running, **done}))
        return 0
    print(f"the line uses {folder.identity} instead of {running}")
    if folder.path != config.line.engine.resolve():
        print(f'  {config.path} still names {config.line.engine}: set `engine = "{folder.path}"` to start with it')
    return 0


def _running(config: LoadedConfig) -> str:
    """The running line's engine: decide's answer, else the config's."""
    if config.line.health is not None:
        line = ask(config.line.health.port)[1].line
        if line is not None and line.worker.engine:
            return line.worker.engine
    return open_folder(config.line.engine).identity


def _tell_page(config: LoadedConfig, check: PromotionCheck) -> None:
    """Note the promotion among the page's events, if the line has a page."""
    folder = config.line.page.folder
    if folder is None or not folder.is_dir():
        return
    with needs_extra("`inspector promote`"):
        from inspector.serve.events import add_event
        from inspector.serve.store import Store
    frozen = check.frozen
    add_event(
        Store(folder),
        EVENT,
        f"engine {check.candidate} replaces {check.current}: escapes {frozen.current.escapes} → "
        f"{frozen.candidate.escapes}, overkills {frozen.current.overkills} → {frozen.candidate.overkills} on "
        f"{frozen.defective_frames + frozen.good_frames} frames of {frozen.name}",
        who(),
        None,
        None,
    )
