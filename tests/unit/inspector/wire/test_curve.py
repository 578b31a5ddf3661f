"""The view link over TCP: for viewers whose key the line knows, and for nobody else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq
from zmq.auth import load_certificate

from inspector.config.sinks import ViewSettings
from inspector.errors import ConfigError, InputError
from inspector.wire.curve import make_line_keys, make_viewer_keys, open_view
from inspector.wire.links import open_context
from tests.support.ports import free_port

pytestmark = pytest.mark.skipif(not zmq.has("curve"), reason="curve: this ZeroMQ is built without it")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_line_keys(tmp_path / "keys")
    return tmp_path / "keys"


def free_address() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


@contextmanager
def viewer(address: str, keys: Path, secret: Path | None) -> Iterator["zmq.Socket[bytes]"]:
    with zmq.Context() as context, context.socket(zmq.SUB) as end:
        if secret is not None:
            end.curve_publickey, end.curve_secretkey = load_certificate(secret)
            end.curve_serverkey, _ = load_certificate(keys / "line.key")
        end.subscribe(b"")
        end.linger = 0
        end.connect(address)
        yield end


def sees_something(sender: "zmq.Socket[bytes]", end: "zmq.Socket[bytes]", tries: int) -> bool:
    for _ in range(tries):
        sender.send(b"frame", zmq.NOBLOCK)
        if end.poll(100):
            return end.recv() == b"frame"
    return False


def test_only_a_known_viewer_sees_anything(keys: Path, tmp_path: Path) -> None:
    """A viewer with an unknown key, and one without a key, receive no byte."""
    secret = make_viewer_keys(keys, "control-room")
    make_line_keys(tmp_path / "other")
    stranger = make_viewer_keys(tmp_path / "other", "stranger")
    settings = ViewSettings(frames_per_second=5, address=free_address(), keys=keys)
    assert settings.address is not None
    with open_context() as context, open_view(context, settings, tmp_path) as sender:
        assert sender is not None
        with viewer(settings.address, keys, secret) as known:
            assert sees_something(sender, known, 100)
            with (
                viewer(settings.address, keys, stranger) as unknown,
                viewer(settings.address, keys, None) as plain,
            ):
                assert sees_something(sender, known, 20), "the link is up"
                assert not sees_something(sender, unknown, 10)
                assert not sees_something(sender, plain, 10)


def test_tcp_without_keys_is_refused() -> None:
    """The error comes before anything is opened, and names the command that makes keys."""
    with pytest.raises(ValueError, match="inspector keys line"):
        ViewSettings(frames_per_second=5, address="tcp://0.0.0.0:7004")


def test_missing_keys_are_refused(tmp_path: Path) -> None:
    """A folder without keys is refused."""
    settings = ViewSettings(frames_per_second=5, address=free_address(), keys=tmp_path)
    with open_context() as context, pytest.raises(ConfigError, match="inspector keys line"):  # noqa: SIM117
        with open_view(context, settings, tmp_path):
            pass


def test_a_secret_that_everybody_may_read_is_refused(keys: Path, tmp_path: Path) -> None:
    """A secret key that everybody may read is refused."""
    (keys / "line.key_secret").chmod(0o644)
    settings = ViewSettings(frames_per_second=5, address=free_address(), keys=keys)
    with open_context() as context, pytest.raises(ConfigError, match="everybody may read it"):  # noqa: SIM117
        with open_view(context, settings, tmp_path):
            pass


def test_keys_are_private_and_never_overwritten(keys: Path) -> None:
    """A second call would lock out everybody who has the first."""
    secret = make_viewer_keys(keys, "control-room")
    assert not secret.stat().st_mode & 0o007
    with pytest.raises(InputError, match="already exists"):
        make_line_keys(keys)
    with pytest.raises(InputError, match="already exists"):
        make_viewer_keys(keys, "control-room")
