"""Shared by the commands of the operator's page: its store, and the user who runs the command."""

import argparse
import getpass
import os
from typing import TYPE_CHECKING

from inspector.commands.options import config_path
from inspector.config.line import LoadedConfig, load_config
from inspector.errors import InputError
from inspector.extras import needs_extra

if TYPE_CHECKING:
    from inspector.serve.store import Store


def open_page(arguments: argparse.Namespace) -> "tuple[LoadedConfig, Store]":
    """Return the line's config and the page's store. Raises InspectorError."""
    config = load_config(config_path(arguments))
    with needs_extra(f"`inspector {arguments.command}`"):
        from inspector.serve.store import Store
    folder = config.line.page.folder
    if folder is None:
        raise InputError(f"{config.path}: page.folder is not set")
    return config, Store(folder)


def who() -> str:
    """Return the name of the user who runs the command, also under sudo."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # in a container a user may have no name
        return f"user {os.getuid()}"
