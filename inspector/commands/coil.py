"""Report that a coil starts or ends, or show the coils on the line."""

import argparse
import json
import sys
from typing import Any, Final

from inspector.commands.options import add_config, add_json, config_path
from inspector.config.line import load_config
from inspector.errors import InputError, WorkError
from inspector.runtime.orders import give_order
from inspector.strip.orders import orders_path

EXAMPLE: Final = "example: inspector coil start C-48213 --grade S355 --config line.toml"

TEXTS: Final = ("grade", "customer", "plan")
SIZES_MM: Final = ("width", "thickness", "length")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "action",
        choices=("start", "end", "status"),
        help="a coil's head passes, its tail passes, or show the newest coils",
    )
    parser.add_argument("id", nargs="?", metavar="COIL", help="the coil's name; `end` ends the coil on the line")
    for name in TEXTS:
        parser.add_argument(f"--{name}", help="plan to use instead of the grade's" if name == "plan" else None)
    for name in SIZES_MM:
        parser.add_argument(f"--{name}-mm", type=float, metavar="MM")
    parser.add_argument("--position-m", type=float, metavar="M", help="position of head or tail (default: now)")
    add_config(parser, installed=True)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Give one order to the strip process of this line; returns the exit code. Raises InspectorError."""
    order = _order(arguments)
    action: str = arguments.action
    file = config_path(arguments)
    config = load_config(file)
    strip = config.line.strip
    if strip is None:
        raise InputError(f"{file}: has no [strip] table: add one, and start the line again")
    try:
        # Root gives orders to a service of another user, too.
        done = give_order(
            orders_path(strip.folder),
            {"coil": action, **order},
            lambda note: print(note, file=sys.stderr),
            any_owner=True,
        )
    except FileNotFoundError:
        raise WorkError(f"{file}: its strip process is not running: start the line") from None
    if arguments.json:
        print(json.dumps(done, ensure_ascii=False))
        return 0
    match action:
        case "start":
            plan = done["plan"] or "the default"
            print(
                f"coil {order['data']['id']} from {done['position_mm'] / 1000:.3f} m; plan: {plan} ({done['why']})"
            )
        case "end":
            print(f"coil {done['id']} ended after {done['length_mm'] / 1000:.3f} m")
        case _:
            print("\n".join(_table(done)))
    return 0


def _order(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the order for the strip process. Raises InputError for options of another action."""
    order: dict[str, Any] = {}
    given = {
        key: value
        for key in (*TEXTS, *(f"{name}_mm" for name in SIZES_MM))
        if (value := getattr(arguments, key)) is not None
    }
    if arguments.action == "start":
        if arguments.id is None:
            raise InputError("start: which coil? give its name, as in: inspector coil start C-48213")
        order["data"] = {"id": arguments.id, **given}
    elif given:
        raise InputError(f"{arguments.action}: --{next(iter(given)).replace('_', '-')} is for `coil start`")
    if arguments.action == "end":
        order["id"] = arguments.id or ""
    if arguments.action == "status":
        if arguments.id is not None or arguments.position_m is not None:
            raise InputError("status shows the newest coils: leave out the coil and --position-m")
    elif arguments.position_m is not None:
        order["position_mm"] = 1000 * arguments.position_m
    return order


def _table(told: dict[str, Any]) -> list[str]:
    lines = [f"position {told['position_mm'] / 1000:.3f} m   {told['position_source']}"]
    if "level2" in told:
        lines.append(f"level 2  {told['level2']}; {told['results_not_sent']} results not sent")
    for each in told["coils"]:
        state = each.get("verdict") or ("runs" if each["end_mm"] is None else "is being judged")
        plan = each["plan"] or "default"
        grade = f" {each['grade']}" if each["grade"] else ""
        lines.append(
            f"coil     {each['id']}{grade}: {state}, {each['length_mm'] / 1000:.1f} m, plan {plan} "
            f"({each['plan_why']})"
        )
        lines += [f"           {reason}" for reason in each.get("reasons", ())]
    lines += [f"rolls    {text}" for text in told["roll_marks"]]
    return lines
