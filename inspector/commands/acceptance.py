"""Estimate escape and overkill of a line in service, from random frames that people reviewed on the page.

The page draws random accepts and rejects by lot ([collect] random_accepts, random_rejects). Review them, then give
this command the time span of the test, as an acceptance test after VDI/VDE/VDMA 2632-4 asks. The report can be
signed with a key of `inspector keys signing`, and checked with --verify.

Exit code 3: a limit is exceeded, or the sample is too small to tell."""

import argparse
import json
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from inspector import __version__
from inspector.commands.options import add_config, add_json, add_times, path
from inspector.commands.page import open_page, who
from inspector.config.line import LoadedConfig
from inspector.config.recipe import load_recipe
from inspector.core.acceptance import Acceptance, Estimate, accept, stratum
from inspector.core.rules import BoundRecipe
from inspector.engine.manifest import open_folder
from inspector.engine.signature import check_file, sign_file
from inspector.errors import InputError, WorkError
from inspector.extras import needs_extra
from inspector.files import write_whole
from inspector.numbers import thousands
from inspector.values import Decision

EXAMPLE: Final = (
    "example: inspector acceptance --from 2026-03-02 --to 2026-03-09 --out acceptance.json --config line.toml"
)

NOT_MET: Final = 3
FOREVER_NS: Final = 2**63 - 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=path, metavar="FILE.json", help="report to write")
    what.add_argument("--verify", type=path, metavar="FILE.json", help="check the signature of a report")
    add_times(parser)
    parser.add_argument("--coil", help="only this coil")
    parser.add_argument("--escape", type=_share, metavar="SHARE", help="largest escape that is accepted, 0..1")
    parser.add_argument("--overkill", type=_share, metavar="SHARE", help="largest overkill that is accepted, 0..1")
    parser.add_argument("--key", type=path, help="sign the report with this key")
    parser.add_argument(
        "--trusted", metavar="KEY", help="public key that must have signed (default: the config's)"
    )
    add_json(parser)
    add_config(parser, installed=True)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, got {text}")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Write or check a report; returns the exit code. Raises InspectorError."""
    config, store = open_page(arguments)
    if arguments.verify is not None:
        keys = (arguments.trusted,) if arguments.trusted else config.line.trusted_keys
        print(f"{arguments.verify}: signed by {check_file(arguments.verify, keys)}")
        return 0
    from inspector.serve.sampled import drawn_frames

    from_ns = arguments.from_ns or 0
    to_ns = FOREVER_NS if arguments.to_ns is None else arguments.to_ns
    folder = open_folder(config.line.engine)
    recipe = load_recipe(config.line.recipe).bind(folder.classes)
    drawn = drawn_frames(store, recipe, arguments.coil, from_ns, to_ns)
    counts, engines = _recorded(config, arguments.coil, from_ns, to_ns)
    strata = [
        stratum(counts.get(decision, 0), drawn[decision].drawn, drawn[decision].reviewed)
        for decision in (Decision.ACCEPT, Decision.REJECT)
    ]
    if not sum(each.reviewed for each in strata):
        raise InputError("no random frame of this time span was reviewed: review some on the page")
    result = accept(strata[0], strata[1])
    limits = {"escape": arguments.escape, "overkill": arguments.overkill}
    report = _report(config, recipe, engines, result, limits) | {
        "from_ns": arguments.from_ns,
        "to_ns": arguments.to_ns,
        "coil": arguments.coil,
        "uninspected": counts.get(Decision.UNINSPECTED, 0),
    }
    _write(arguments.out, report, arguments.key)
    print(json.dumps(report) if arguments.json else _told(arguments.out, result, report))
    return 0 if all(each in ("met", "not asked") for each in report["verdicts"].values()) else NOT_MET


def _recorded(
    config: LoadedConfig, coil: str | None, from_ns: int, to_ns: int
) -> tuple[dict[Decision, int], list[str]]:
    """Frames by decision in the records, and the engines that judged them."""
    with needs_extra("`inspector acceptance`"):
        from inspector.sinks.records.database import Database
        from inspector.sinks.records.selection import Selection, decisions
    selection = Selection(coil, None, from_ns, to_ns)
    with Database(str(config.line.records.url)).reading("cannot be read") as connection:
        counts, engines = decisions(connection, selection, config.line.name)
    if not counts:
        raise InputError(
            f"no verdict of {config.line.name} recorded with {selection}: strata sizes come from the records"
        )
    return {Decision(name): count for name, count in counts.items()}, engines


def _report(
    config: LoadedConfig,
    recipe: BoundRecipe,
    engines: list[str],
    result: Acceptance,
    limits: dict[str, float | None],
) -> dict[str, Any]:
    estimates = {"escape": result.escape, "overkill": result.overkill}
    return {
        "schema_version": 1,
        "made_ns": time.time_ns(),
        "made_by": who(),
        "version": __version__,
        "line": config.identity,
        "recipe": recipe.identity,
        "engines": engines,
        **msgspec.to_builtins(result),
        "limits": limits,
        "verdicts": {name: _verdict(estimates[name], limit) for name, limit in limits.items()},
    }


def _verdict(found: Estimate, limit: float | None) -> str:
    if limit is None:
        return "not asked"
    if found.high <= limit:
        return "met"
    return "exceeded" if found.low > limit else "undecided: review more random frames"


def _write(out: Path, report: dict[str, Any], key: Path | None) -> None:
    try:
        write_whole(out, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    except OSError as error:
        raise WorkError(f"{out}: cannot be written: {error.strerror}") from None
    if key is not None:
        sign_file(out, key)


def _told(out: Path, result: Acceptance, report: dict[str, Any]) -> str:
    lines = [f"{'':<10}{'frames':>12}{'drawn':>8}{'reviewed':>10}{'defective':>11}"]
    for name, of in (("accepts", result.accepts), ("rejects", result.rejects)):
        lines.append(f"{name:<10}{thousands(of.frames):>12}{of.drawn:>8}{of.reviewed:>10}{of.defective:>11}")
    for name, found in (("escape", result.escape), ("overkill", result.overkill)):
        now = "–" if found.share is None else f"{found.share:.2%}"
        between = f"95 %: {found.low:.2%} to {found.high:.2%}"
        asked = report["limits"][name]
        limit = "" if asked is None else f"   limit {asked:.2%}: {report['verdicts'][name]}"
        lines.append(f"{name:<10}{now:>8}   {between}{limit}")
    waiting = sum(of.drawn - of.reviewed for of in (result.accepts, result.rejects))
    if waiting:
        lines.append(f"{waiting} drawn frames are not reviewed: the estimate holds if they are like the others")
    return "\n".join([*lines, f"report: {out}"])
