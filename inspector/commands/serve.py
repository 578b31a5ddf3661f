"""`inspector serve`, and the commands that do what the operator's page does: user, ack, event, review."""

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inspector.config.line import LoadedConfig, load_config
from inspector.errors import InputError
from inspector.extras import needs_extra

if TYPE_CHECKING:
    from inspector.serve.store import Store


def run_page(options: argparse.Namespace) -> int:
    """Run one of the page's commands; returns the exit code. Raises InspectorError."""
    config = load_config(options.config)
    with needs_extra(f"`inspector {options.command}`"):
        from inspector.serve.store import Store
    folder = config.line.page.folder
    if folder is None:
        raise InputError(f"{config.path}: page.folder is not set")
    store = Store(folder)
    match options.command:
        case "serve":
            return _serve(config, store)
        case "user":
            return _user(store, options)
        case "ack":
            return _acknowledge(store, options.alarm, options.note)
        case "event":
            return _event(store, options)
        case _:
            return _export(store, options.out)


def _serve(config: LoadedConfig, store: "Store") -> int:
    with needs_extra("`inspector serve`"):
        from inspector.serve.server import serve
    serve(config, store)
    return 0


def _user(store: "Store", options: argparse.Namespace) -> int:
    with needs_extra("`inspector user`"):
        from inspector.serve.accounts import Accounts, Role
    accounts = Accounts(store)
    if options.action == "list":
        for account in accounts.all():
            print(f"{account.role:9s} {account.name}")
        return 0
    if options.name is None:
        raise InputError(f"which account? `inspector user {options.action} NAME`")
    if options.action == "remove":
        accounts.remove(options.name, who())
        print(f"removed {options.name}")
        return 0
    accounts.add(options.name, Role(options.role), _password(), who())
    print(f"added {options.name}, {options.role}")
    return 0


def _password() -> str:
    """Ask for the password twice; a program writes it to stdin."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("password: ")
    if getpass.getpass("again: ") != first:
        raise InputError("the two passwords differ")
    return first


def _acknowledge(store: "Store", alarms: list[int], why: str) -> int:
    from inspector.serve.alarms import acknowledge, shown_alarms

    for alarm in alarms:
        acknowledge(store, alarm, who(), why)
        print(f"acknowledged {alarm}")
    if not alarms:
        for each in shown_alarms(store):
            state = "stands" if each["ended_ms"] is None else "ended"
            by = f", acknowledged by {each['acknowledged_by']}" if each["acknowledged_by"] else ""
            print(f"{each['id']:5d} {state}{by}: {each['text']}")
    return 0


def _event(store: "Store", options: argparse.Namespace) -> int:
    from inspector.serve.alarms import add_event

    print(f"event {add_event(store, options.kind, options.text, who(), options.coil)}")
    return 0


def _export(store: "Store", out: Path) -> int:
    from inspector.serve.review import export

    print(f"{export(store, out)} reviewed frames in {out}")
    return 0


def who() -> str:
    """Name of the user of this PC, also under sudo."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # in a container a user may have no name
        return f"user {os.getuid()}"
