"""Add, remove or list the accounts of the operator's page."""

import argparse
import getpass
import sys
from typing import Final

from inspector.commands.options import add_config
from inspector.commands.page import open_page, who
from inspector.errors import InputError
from inspector.extras import needs_extra

EXAMPLE: Final = "example: inspector user add kim --role operator"

ROLES: Final = ("viewer", "operator", "quality", "admin")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", choices=("add", "remove", "list"))
    parser.add_argument("name", nargs="?", metavar="NAME", help="name of the account")
    parser.add_argument("--role", choices=ROLES, default="viewer", help="what the account may do (default viewer)")
    add_config(parser, installed=True)


def run(arguments: argparse.Namespace) -> int:
    """Change or list the accounts; returns the exit code. Raises InspectorError."""
    _, store = open_page(arguments)
    with needs_extra("`inspector user`"):
        from inspector.serve.accounts import Accounts, Role
    accounts = Accounts(store)
    name: str | None = arguments.name
    if arguments.action == "list":
        for account in accounts.all():
            print(f"{account.role:9s} {account.name}")
        return 0
    if name is None:
        raise InputError(f"which account? `inspector user {arguments.action} NAME`")
    if arguments.action == "remove":
        accounts.remove(name, who())
        print(f"removed {name}")
        return 0
    accounts.add(name, Role(arguments.role), _password(), who())
    print(f"added {name}, {arguments.role}")
    return 0


def _password() -> str:
    """Ask for the password twice; a program writes it to stdin."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("password: ")
    if getpass.getpass("again: ") != first:
        raise InputError("the two passwords differ")
    return first
