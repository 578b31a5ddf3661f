"""The health port: whatever connections do to it, the next question is answered at once."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.config.sinks import HealthSettings
from inspector.monitoring import http as health
from inspector.monitoring.http import HealthServer
from inspector.monitoring.local_server import MOST_CONNECTIONS, REQUEST_S

pytest.importorskip("prometheus_client")

AT_ONCE_S = 0.5
"""An answer takes a millisecond; the rest is for a machine that has other work."""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    with HealthServer(HealthSettings(port=number), tmp_path):
        yield number


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def raw(port: int, sent: bytes) -> bytes:
    """Return everything that the server sends before it closes."""
    with connect(port) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(sent)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := client.recv(65536):
                answer += part
    return answer


def scrape(port: int, path: str = "/healthz") -> tuple[int, float]:
    began_s = time.monotonic()
    answer = raw(port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    return int(answer.split()[1]), time.monotonic() - began_s


def test_the_three_paths_are_answered(port: int) -> None:
    """Before the first snapshot: unhealthy, but with metrics and a status."""
    paths = ("/healthz", "/metrics", "/status", "/metrics?x=1", "/etc/passwd")
    assert [scrape(port, path)[0] for path in paths] == [503, 200, 200, 200, 404]


def test_a_client_that_sends_a_byte_now_and_then_blinds_nobody(port: int) -> None:
    """Its connection ends after a fixed time, and other clients get answers meanwhile."""
    ended_s: list[float] = []
    began_s = time.monotonic()

    def drip() -> None:
        with connect(port) as client, contextlib.suppress(OSError):
            client.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
            client.settimeout(0.1)
            while time.monotonic() - began_s < 10:
                client.sendall(b"a")
                with contextlib.suppress(TimeoutError):
                    if client.recv(1) == b"":
                        break
        ended_s.append(time.monotonic() - began_s)

    thread = threading.Thread(target=drip)
    thread.start()
    time.sleep(0.2)
    for _ in range(5):
        assert scrape(port)[1] < AT_ONCE_S
    thread.join()
    assert REQUEST_S - 0.5 < ended_s[0] < REQUEST_S + 2


@pytest.mark.parametrize("count", [8, 3 * MOST_CONNECTIONS])
def test_silent_connections_block_nobody(port: int, count: int) -> None:
    """Idle connections delay no other; above the limit the oldest is closed, and none needs a thread."""
    threads = threading.active_count()
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(connect(port))
        assert scrape(port)[1] < AT_ONCE_S
        assert threading.active_count() == threads


def test_a_client_that_does_not_read_its_answer_blocks_nobody(port: int) -> None:
    """Its answer waits in the kernel and is dropped after the same fixed time."""
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(connect(port))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
        assert scrape(port, "/metrics")[1] < AT_ONCE_S


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET /status HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        (b"GET /status HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", 403),
        (b"GET /status HTTP/1.1\r\nHost: evil.example:9464\r\n\r\n", 403),
        (b"GET /status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\nHost: localhost:9464\r\n\r\n", 200),
        (b"GET /status HTTP/1.1\r\nhOST: [::1]:9464\r\n\r\n", 200),
        (b"GET /status HTTP/1.0\r\n\r\n", 200),
        (b"POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx", 405),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", 431),
        (b"\x00\xff\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
    ],
)
def test_what_is_not_asked_by_this_pc_in_http_is_refused(port: int, sent: bytes, code: int) -> None:
    """A name that leads here from elsewhere (DNS rebinding), another method, garbage: an answer, and no data."""
    answer = raw(port, sent)
    assert int(answer.split()[1]) == code
    assert (b'"findings"' in answer) == (code == 200)
    assert scrape(port)[0] == 503


def test_head_has_no_body(port: int) -> None:
    """Its length is that of GET's."""
    head, _, body = raw(port, b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503")
    assert body == b""


def test_a_disk_that_hangs_holds_up_no_answer(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreachable network disk blocks only the thread that reads its free space."""
    release = threading.Event()
    asked = threading.Event()

    def hangs(_path: object) -> None:
        asked.set()
        release.wait(20)
        raise OSError

    monkeypatch.setattr(health.shutil, "disk_usage", hangs)  # type: ignore[attr-defined]
    assert asked.wait(5)
    try:
        assert scrape(port, "/metrics")[1] < AT_ONCE_S
        assert scrape(port, "/status")[1] < AT_ONCE_S
    finally:
        release.set()


def test_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    """No thread and no descriptor is left, even with open connections."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before = len(list(Path("/proc/self/fd").iterdir()))
    with HealthServer(HealthSettings(port=port), tmp_path):
        clients = [connect(port) for _ in range(5)]
        time.sleep(0.2)
    for client in clients:
        client.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "health"]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
