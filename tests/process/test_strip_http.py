"""Coil orders over HTTP to the real strip process: start, end, status, and what is refused, one line each."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.test_strip_coils import StripAlone, coil, result_files, wait
from tests.process.test_strip_position import mill_line
from tests.support.lines import LineUnderTest
from tests.support.ports import free_port


class Client:
    """A program of the mill on this PC."""

    def __init__(self, port: int, line: LineUnderTest, strip: StripAlone) -> None:
        self.port, self.line, self.strip = port, line, strip

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """(code, answer): JSON, or the line of text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = {} if raw is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, path, raw, kind | (headers or {}))
            response = connection.getresponse()
            content = response.read().decode()
            text = response.headers["Content-Type"].startswith("text/")
            return response.status, content if text else json.loads(content)
        finally:
            connection.close()

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/coil")[0] == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One strip process for all tests; each leaves no coil on the line."""
    folder: Path = tmp_path_factory.mktemp("http")
    port = free_port()
    line = mill_line(folder, f"result_wait_s = 0.2\nhttp_port = {port}\n", f'links = "{folder}/links"')
    line.config.write_text(line.config.read_text().replace("deadline_ms = 20000", "deadline_ms = 100"))
    (folder / "links").mkdir(mode=0o700)
    strip = StripAlone(line)
    strip.start()
    made = Client(port, line, strip)
    wait(made.answers, "the strip process serves")
    yield made
    strip.stop()


def test_a_coil_starts_and_ends_and_inspector_coil_shows_the_same(client: Client) -> None:
    """A repeated order is carried out once, even over a kill of the strip process."""
    code, started = client.ask(
        "POST", "/coil/start", {"id": "H-1", "grade": "DC04", "width_mm": 1500, "position_mm": -3000}
    )
    assert (code, started["id"], started["position_mm"]) == (200, "H-1", -3000)
    client.strip.kill()
    client.strip.start()
    wait(client.answers, "it serves again")
    code, again = client.ask("POST", "/coil/start", {"id": "H-1"})
    assert (code, again) == (200, {"again": "coil H-1 is on the line already: start ignored"})
    by_command = json.loads(coil(client.line, "status", "--json").stdout)
    code, by_http = client.ask("GET", "/coil")
    assert code == 200
    assert by_http == by_command
    assert [(each["id"], each["end_mm"]) for each in by_http["coils"]] == [("H-1", None)]
    assert client.ask("POST", "/coil/end", {"position_mm": -1000}) == (
        200,
        {"number": 1, "id": "H-1", "length_mm": 2000},
    )
    assert client.ask("POST", "/coil/end", {"id": "H-1"})[0] == 200
    wait(lambda: result_files(client.line), "its result")
    (result,) = result_files(client.line)
    assert (result["id"], result["grade"], result["width_mm"]) == ("H-1", "DC04", 1500)


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "why"),
    [
        ("POST", "/coil/start", {}, 400, "missing required field `id`"),
        ("POST", "/coil/start", {"id": ""}, 400, "id: Expected `str` of length >= 1"),
        ("POST", "/coil/start", {"id": 7}, 400, "id: Expected `str`, got `int`"),
        ("POST", "/coil/start", {"id": "A\nB"}, 400, "id: must not have control characters"),
        ("POST", "/coil/start", {"id": "A", "width_mm": -5}, 400, "width_mm: Expected `float` > 0.0"),
        ("POST", "/coil/start", {"id": "A", "width": 5}, 400, "unknown field `width`"),
        ("POST", "/coil/start", b'{"id": "A", "width_mm": NaN}', 400, "width_mm"),
        ("POST", "/coil/start", b"id=A", 400, "the order is no JSON"),
        ("POST", "/coil/start", b"[" * 60_000, 400, "the order is no JSON"),
        ("POST", "/coil/start", [], 400, "an order is an object"),
        ("POST", "/coil/end", {"id": "B"}, 409, "coil B has not started: end ignored"),
        ("POST", "/coil/end", None, 409, "coil ? has not started: end ignored"),
        ("POST", "/coil", {}, 405, "use GET for /coil"),
        ("GET", "/coil/start", None, 405, "use POST for /coil/start"),
        ("PUT", "/coil/start", {}, 405, "use GET, HEAD, POST"),
        ("GET", "/", None, 404, "there is GET /coil, POST /coil/start and POST /coil/end"),
        ("POST", "/coil/start", b" " * 70_000, 413, "a body has at most 65536 bytes"),
    ],
)
def test_what_is_refused_is_one_line(
    client: Client, method: str, path: str, body: Any, code: int, why: str
) -> None:
    """No coil starts."""
    before = client.ask("GET", "/coil")[1]["coils"]
    answered, told = client.ask(method, path, body)
    text = (told if isinstance(told, str) else told["refused"]).strip()
    assert answered == code
    assert why in text
    assert "\n" not in text
    assert client.ask("GET", "/coil")[1]["coils"] == before


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Host": "evil.example"}, 403),
        ({"Transfer-Encoding": "chunked"}, 400),
    ],
)
def test_a_web_page_cannot_give_orders(client: Client, headers: dict[str, str], code: int) -> None:
    """A page in a browser on this PC can send requests here: its origin, its type or its name shows it."""
    assert client.ask("POST", "/coil/start", {"id": "EVIL"}, headers)[0] == code
    assert "EVIL" not in [each["id"] for each in client.ask("GET", "/coil")[1]["coils"]]


def test_orders_of_another_kind_are_refused_on_the_socket_too(client: Client) -> None:
    """The same check: what the journal could not read again is not written."""
    told = coil(client.line, "start", "C-1", "--width-mm", "nan")
    assert told.returncode == 1
    assert "width_mm" in told.stderr
    assert len(told.stderr.splitlines()) == 1
