"""The view link over TCP: encrypted, for known viewers only (CURVE, https://rfc.zeromq.org/spec/26/).

Only this link may leave the PC: the others carry slots of shared memory and times of the monotonic clock, which
mean nothing on another PC.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import zmq
from zmq.auth import create_certificates, load_certificate
from zmq.auth.thread import ThreadAuthenticator

from inspector.config.line import CAMERA_NAME
from inspector.config.sinks import ViewSettings
from inspector.errors import ConfigError, InputError
from inspector.wire.links import VIEW, open_sender

LINE_NAME: Final = "line"
"""Name of the line's key pair: line.key, by which viewers know it, and line.key_secret."""

VIEWERS_FOLDER: Final = "viewers"
"""Folder with the public keys of the viewers that are let in."""

MAKE_KEYS: Final = "make them with `inspector keys line --out DIR`"


@contextmanager
def open_view(
    context: "zmq.Context[zmq.Socket[bytes]]", view: ViewSettings, folder: Path
) -> "Iterator[zmq.Socket[bytes] | None]":
    """decide's end of the view link, on this PC or over TCP; None when the view is off. Raises ConfigError."""
    if not view.frames_per_second:
        yield None
        return
    if view.address is None or view.keys is None:
        yield open_sender(context, VIEW, folder, linger_ms=0)
        return
    public, secret = _own_pair(view.keys)
    known = ThreadAuthenticator(context)
    known.start()
    try:
        # Reads the folder once: a new viewer needs a restart of decide.
        known.configure_curve(location=view.keys / VIEWERS_FOLDER)
        socket = context.socket(VIEW.pattern[0])
        socket.linger = 0
        socket.sndhwm = VIEW.high_water
        socket.curve_publickey, socket.curve_secretkey, socket.curve_server = public, secret, True
        try:
            socket.bind(view.address)
        except zmq.ZMQError as error:
            raise ConfigError(f"view.address: {view.address}: cannot be opened: {error.strerror}") from None
        yield socket
    finally:
        known.stop()


def check_view(view: ViewSettings) -> str:
    """Where viewers connect, as text; raises ConfigError for keys that `open_view` needs and cannot use."""
    if not view.frames_per_second:
        return "off"
    if view.address is None or view.keys is None:
        return "on this PC"
    _own_pair(view.keys)
    return view.address


def make_line_keys(folder: Path) -> None:
    """Make the line's key pair; raises InputError when it exists."""
    _make(folder, LINE_NAME)
    (folder / VIEWERS_FOLDER).mkdir(exist_ok=True)


def make_viewer_keys(folder: Path, name: str) -> Path:
    """Make a viewer's key pair and let the viewer in.

    Returns the path of the secret key: carry that file to the viewer and remove it here.
    """
    if not CAMERA_NAME.fullmatch(name):
        raise InputError(f"--name {name!r}: letters, digits, - and _ make a viewer's name")
    if not (folder / VIEWERS_FOLDER).is_dir():
        raise InputError(f"{folder}: no keys of a line here: {MAKE_KEYS}")
    return _make(folder / VIEWERS_FOLDER, name)


def _make(folder: Path, name: str) -> Path:
    secret = folder / f"{name}.key_secret"
    if secret.exists() or (folder / f"{name}.key").exists():
        raise InputError(f"{folder / name}.key: already exists: remove it first")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        secret.touch(mode=0o640)
        create_certificates(folder, name)
    except OSError as error:
        for half in (secret, folder / f"{name}.key"):
            with suppress(OSError):  # the first error is the one to report
                half.unlink()
        raise InputError(f"{folder}: keys cannot be written: {error.strerror}") from None
    return secret


def _own_pair(folder: Path) -> tuple[bytes, bytes]:
    path = folder / f"{LINE_NAME}.key_secret"
    try:
        others_may_read = path.stat().st_mode & 0o007
        public, secret = load_certificate(path)
    except OSError as error:
        raise ConfigError(f"view.keys: {path}: {error.strerror}: {MAKE_KEYS}") from None
    except ValueError as error:
        raise ConfigError(f"view.keys: {path}: {error}: {MAKE_KEYS}") from None
    if others_may_read:
        raise ConfigError(f"view.keys: {path}: everybody may read it: chmod o= {path}")
    if secret is None:
        raise ConfigError(f"view.keys: {path}: holds no secret key: {MAKE_KEYS}")
    return public, secret
