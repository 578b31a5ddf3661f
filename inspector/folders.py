"""Checks who may write to a folder before the line uses it: another user could have prepared it."""

import os
import stat
from pathlib import Path

from inspector.errors import ConfigError

ROOT_UID = 0


def refuse_foreign_folder(path: Path) -> None:
    """Raise ConfigError when another user could add something to the links folder, or remove it.

    Accepted are a missing folder, and one of this user or root that is not writable for all, nor for a group that
    this process is not in. A link to a folder must belong to this user or root, too.
    """
    problem = _foreign(path)
    if problem is not None:
        raise ConfigError(
            f"links: {path}: {problem}: other users could read frames or give orders: remove the folder, or set "
            "`links` to one of your own"
        )


def is_of_root(path: Path) -> bool:
    """Whether only root, and the group that root chose, can write to a folder."""
    try:
        state = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(state.st_mode) and state.st_uid == ROOT_UID and not state.st_mode & stat.S_IWOTH


def make_own_folder(path: Path) -> None:
    """Make a folder that only its owner may enter, parents included; raises ConfigError if others can write to
    it."""
    for missing in reversed([path, *path.parents]):
        missing.mkdir(mode=0o700, exist_ok=True)
    refuse_foreign_folder(path)


def share_with_group(path: Path) -> None:
    """Let the folder's group use a socket or file, if the folder passes its group on (setgid).

    A service's folders do, because each link is for the users at its two ends. Otherwise only this user may use
    it.
    """
    shared = path.parent.stat().st_mode & stat.S_ISGID
    path.chmod(0o660 if shared else 0o600)


def why_not_private(path: Path) -> str | None:
    """Why another user could have changed what is in a folder; None when only this user or root can write there.

    Checks the folder, its content, and the folders above it.
    """
    try:
        real = path.resolve(strict=True)
        for above in real.parents:
            state = above.stat()
            if not _trusted(state) or (_others_write(state) and not state.st_mode & stat.S_ISVTX):
                return f"{above} can be changed by other users ({_described(state)})"
        for each in (real, *real.iterdir()):
            state = each.lstat()
            if not _trusted(state) or (_others_write(state) and not stat.S_ISLNK(state.st_mode)):
                return f"{each} can be changed by other users ({_described(state)})"
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return None


def _foreign(path: Path) -> str | None:
    try:
        own, state = path.lstat(), path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not stat.S_ISDIR(state.st_mode):
        return "is not a folder"
    if not _trusted(own) or not _trusted(state):
        owner = own if not _trusted(own) else state
        return f"belongs to another user ({_described(owner)})"
    if state.st_mode & stat.S_IWOTH:
        return f"every user can write to it ({_described(state)})"
    members = {os.getegid(), *os.getgroups()}
    if state.st_mode & stat.S_IWGRP and state.st_gid not in members and os.geteuid() != ROOT_UID:
        return f"a group that this process is not in can write to it ({_described(state)})"
    return None


def _trusted(state: os.stat_result) -> bool:
    return state.st_uid in {os.geteuid(), ROOT_UID}


def _others_write(state: os.stat_result) -> bool:
    return bool(state.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _described(state: os.stat_result) -> str:
    return f"user {state.st_uid}, group {state.st_gid}, mode {stat.S_IMODE(state.st_mode):04o}"
