"""Orders of `inspector swap`: what else comes to the socket never ends a line."""

import json
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.errors import ConfigError, WorkError
from inspector.runtime.orders import MAX_BYTES, give_order
from inspector.supervisor.children import Children
from inspector.supervisor.control import Control
from inspector.supervisor.swap import Swaps


def garbage() -> dict[str, bytes]:
    chance = random.Random(0)  # noqa: S311  # no secret
    texts = {
        "nothing": b"",
        "no text": b"\xff\x00\xfe",
        "deep lists": b"[" * 30_000,
        "deep tables": b'{"a":' * 10_000,
        "deep inside": b'{"engine": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        "long number": b"1" * 60_000,
        "a list": b"[]",
        "null": b"null",
        "no engine": b"{}",
        "engine is a list": b'{"engine": ["/etc"]}',
        "relative": b'{"engine": "x"}',
        "zero byte": json.dumps({"engine": "/etc\0x"}).encode(),
        "half a character": json.dumps({"engine": "/\ud800"}).encode(),
        "a long name": json.dumps({"engine": "/" + "a" * 60_000}).encode(),
        "no folder": json.dumps({"engine": "/etc/passwd"}).encode(),
        "not a number": b'{"engine": NaN}',
    }
    return texts | {f"random {n}": chance.randbytes(chance.randrange(1, 2000)) for n in range(20)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "links" / "control"


@pytest.fixture
def children(path: Path, tmp_path: Path) -> Iterator[Children]:
    children = Children(tmp_path / "line.toml", "x", tmp_path)
    yield children
    children.close()


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(5)
    client.connect(os.fspath(path))
    return client


@pytest.mark.parametrize("sent", garbage().values(), ids=garbage())
def test_garbage_starts_nothing_and_ends_nothing(children: Children, path: Path, sent: bytes) -> None:
    """Garbage is refused or disconnected, and the next order works."""
    swaps = Swaps(children, path, 1.0)
    try:
        for each in (sent, b'{"engine": "relative"}'):
            with connect(path) as client:
                client.send(each)
                children.listen()
                answer = client.recv(MAX_BYTES)
                assert not answer or "refused" in json.loads(answer)
        assert json.loads(answer) == {"refused": "the order must give the absolute path of an engine folder"}
        assert children.all == []
    finally:
        swaps.close()


def test_one_that_connects_and_is_silent_holds_the_line_up_for_a_moment(children: Children, path: Path) -> None:
    """It delays the line's loop only briefly."""
    swaps = Swaps(children, path, 1.0)
    with connect(path):
        began_s = time.monotonic()
        children.listen()
        assert time.monotonic() - began_s < 1
    swaps.close()


def test_another_user_gives_no_orders(path: Path) -> None:
    """The kernel identifies the sender, so another user's order is refused."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    control = Control(path)
    for each in (path.parent, *path.parents):
        if each.stat().st_mode & 0o001 == 0:
            each.chmod(each.stat().st_mode | 0o011)
    path.chmod(0o777)
    child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            with connect(path) as client:
                client.send(b'{"engine": "/etc"}')
                client.recv(100)
        finally:
            os._exit(0)
    time.sleep(0.3)
    assert control.take() is None
    os.waitpid(child, 0)
    control.close()


def test_the_socket_is_its_owners_alone_and_lies_in_no_foreign_folder(path: Path) -> None:
    """A folder that every user may write to is refused by both ends."""
    control = Control(path)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    control.close()
    path.parent.chmod(0o777)
    for use in (lambda: Control(path), lambda: give_order(path, {}, print)):
        with pytest.raises(ConfigError, match="every user can write to it"):
            use()


@pytest.mark.parametrize("sent", [b"[" * 30_000, b"\xff", b"[]", b"{}", b'{"done": 1}', b"null"])
def test_an_answer_that_is_none_is_one_clear_line(path: Path, sent: bytes) -> None:
    """Another program listens there: exit 1, no traceback."""
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(os.fspath(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(MAX_BYTES)
                connection.send(sent)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(
            WorkError, match="the program that listens there is not this version of `inspector run`"
        ):
            give_order(path, {"engine": "/x"}, print)
        thread.join()
