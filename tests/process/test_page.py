"""The operator's page over HTTP, in front of a real line on the simulator."""

import contextlib
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from inspector.monitoring.client import ask
from tests.support.lines import slowdown
from tests.support.pages import PASSWORD, ROLES, PageUnderTest, running, write_frames

ROUTES = (
    "state", "line", "alarms", "events", "coils", "review", "review/done", "scores", "peaks", "drift", "plans",
    "engines",
)  # fmt: skip

NEEDS = {
    ("POST", "/api/alarms/{number}/acknowledgement"): "operator",
    ("POST", "/api/events"): "operator",
    ("POST", "/api/review/{sample}"): "quality",
    ("POST", "/api/review/marked"): "operator",
    ("DELETE", "/api/review/done/{number}"): "quality",
    ("PUT", "/api/plan"): "quality",
    ("GET", "/api/accounts"): "admin",
    ("POST", "/api/accounts"): "admin",
    ("DELETE", "/api/accounts/{name}"): "admin",
    ("GET", "/api/audit"): "admin",
}
"""Every other route is for viewers; the session's are for everybody."""

BODIES: dict[str, object] = {
    "/api/events": {"kind": "note", "text": "x"},
    "/api/alarms/{number}/acknowledgement": {"why": ""},
    "/api/review/{sample}": {"answer": "accept"},
    "/api/review/marked": {"number": 10**9},
    "/api/plan": {"plan": "", "identity": "steel@0", "classes": {"bright": {"threshold": 0.5}}},
    "/api/accounts": {"name": "", "password": "", "role": "admin"},
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageUnderTest]:
    """A line that runs, with an account of each role."""
    page = PageUnderTest(tmp_path_factory.mktemp("page"))
    for role in ROLES:
        page.add(role, role)
    with running(page):
        yield page


@pytest.fixture(scope="module")
def admin(page: PageUnderTest) -> Iterator[httpx.Client]:
    with page.client("admin") as client:
        yield client


def problem(answer: httpx.Response, status: int) -> str:
    """The detail of an RFC 9457 problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert content["status"] == status
    assert content["title"]
    return content["detail"]


@pytest.mark.parametrize("route", [*ROUTES, "accounts", "audit", "coil?run=1", "rejects/1", "review/1/picture"])
def test_nothing_is_shown_before_a_login(page: PageUnderTest, route: str) -> None:
    """With accounts, every route but the session's asks for one."""
    with page.client() as client:
        assert "log in" in problem(client.get(f"/api/{route}"), 401)
        assert client.get("/api/session").json() == {"login": True, "name": None, "role": None}


@pytest.mark.parametrize("role", [None, *ROLES])
def test_each_role_may_do_what_is_its_on_every_route(
    page: PageUnderTest, sessions: dict[str | None, httpx.Client], role: str | None
) -> None:
    """Every described route: 401 before a login, 403 for too small a role, else the work itself."""
    described = sessions["admin"].get("/api/openapi.json").json()["paths"]
    routes = [(method.upper(), path) for path, methods in described.items() for method in methods]
    assert set(routes) > NEEDS.keys()
    for method, path in routes:
        if path == "/api/session":
            continue
        needed = NEEDS.get((method, path), "viewer")
        url = path.replace("{number}", "99999").replace("{sample}", "99999").replace("{name}", "nobody")
        answer = sessions[role].request(method, url, json=BODIES.get(path))
        if role is None:
            assert "log in" in problem(answer, 401), path
        elif ROLES.index(role) < ROLES.index(needed):
            assert needed in problem(answer, 403), path
        else:
            assert answer.status_code in (200, 201, 404, 409, 422), f"{path}: {answer.text}"


@pytest.fixture(scope="module")
def sessions(page: PageUnderTest) -> Iterator[dict[str | None, httpx.Client]]:
    with contextlib.ExitStack() as open_clients:
        yield {role: open_clients.enter_context(page.client(role)) for role in (None, *ROLES)}


@pytest.fixture(scope="module")
def described(page: PageUnderTest, admin: httpx.Client) -> Any:
    """The routes as the OpenAPI description says them, but for those that log in and out."""
    schemathesis = pytest.importorskip("schemathesis", reason="pip install schemathesis")
    return schemathesis.openapi.from_dict(admin.get("/api/openapi.json").json()).exclude(path="/api/session")


def test_no_request_that_the_description_allows_or_forbids_breaks_the_page(
    page: PageUnderTest, admin: httpx.Client, described: Any
) -> None:
    """Schemathesis makes them up: each answer is a described one, a problem if it refuses, never a 500."""
    tried = [fuzz(operation.ok(), page.url, dict(admin.cookies)) for operation in described.get_all_operations()]
    assert len(tried) > 20
    assert "PUT /api/plan" in tried


def fuzz(operation: Any, url: str, cookies: dict[str, str]) -> str:
    """Ask one route with data that fits its description, and with data that does not; returns its name."""
    from hypothesis import HealthCheck, given, settings
    from schemathesis import GenerationMode

    fitting, other = (
        operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    )

    @settings(
        max_examples=12, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(case=(fitting | other) if takes_anything(operation) else fitting)
    def ask(case: Any) -> None:
        answer = case.call(base_url=url, cookies=cookies)
        told = f"{operation.label}: {answer.status_code} {answer.content[:500]!r}"
        assert str(answer.status_code) in operation.definition.raw["responses"], told
        if answer.status_code >= 400:
            assert answer.headers["content-type"][0] == "application/problem+json", told

    ask()
    return str(operation.label)


def takes_anything(operation: Any) -> bool:
    """Whether there is a parameter or body that could be wrong."""
    return bool(operation.definition.raw.get("parameters") or operation.definition.raw.get("requestBody"))


def test_the_state_is_what_inspector_status_says(page: PageUnderTest, admin: httpx.Client) -> None:
    """Cameras, counts and findings of the running line."""
    state = page.wait(lambda: (s := admin.get("/api/state").json()) and s["word"] == "up" and s, "the line is up")
    camera = state["line"]["cameras"]["top"]
    counted = camera["accepted"] + camera["rejected"] + camera["uninspected"] + camera["pending"]
    assert camera["captured"] == counted > 0
    assert page.wait(lambda: admin.get("/api/state").json()["speeds_mm_s"]["top"], "a speed") > 0


def test_coils_can_be_searched_and_opened(page: PageUnderTest, admin: httpx.Client) -> None:
    """Search by part of the name, kind and time; map and defects agree with the summary."""
    coil = page.wait_for_reject(admin)
    name = coil["coil"]
    found = admin.get("/api/coils", params={"search": name[-4:].lower()}).json()
    assert name in [each["coil"] for each in found]
    assert admin.get("/api/coils", params={"search": "no such coil"}).json() == []
    assert admin.get("/api/coils", params={"kind": "no such kind"}).json() == []
    assert admin.get("/api/coils", params={"kind": "bright"}).json()
    assert admin.get("/api/coils", params={"to_ms": 1000}).json() == []
    whole = admin.get("/api/coil", params={"run": coil["run"], "coil": name}).json()
    assert whole["reject"] >= coil["reject"]
    assert 1 in {segment[3] for segment in whole["segments"]}
    areas = [each["area_mm2"] for each in whole["defects"] if each["rejected"]]
    assert areas == sorted(areas, reverse=True)
    assert "not in the records" in problem(admin.get("/api/coil", params={"run": 999, "coil": name}), 404)


def test_a_defect_has_its_pictures(page: PageUnderTest, admin: httpx.Client) -> None:
    """The frame with outlines is a JPEG, the defect a lossless PNG; a deleted picture is a 404."""
    coil = page.wait_for_reject(admin)
    whole = admin.get("/api/coil", params={"run": coil["run"], "coil": coil["coil"]}).json()
    defect = whole["defects"][0]
    key = {"run": coil["run"], "camera": defect["camera"], "frame": defect["frame"], "epoch": defect["epoch"]}
    picture = page.wait(lambda: (a := admin.get("/api/picture", params=key)).status_code == 200 and a, "a picture")
    assert picture.content[:2] == b"\xff\xd8"
    crop = admin.get("/api/picture", params=key | {"crop": defect["n"]})
    assert crop.content[:4] == b"\x89PNG"
    assert "no such picture" in problem(admin.get("/api/picture", params=key | {"frame": 10**6}), 404)
    for camera in ("../../../etc/passwd", "top/../x", ".."):
        problem(admin.get("/api/picture", params=key | {"camera": camera}), 404)


def test_a_coil_has_a_report(page: PageUnderTest, admin: httpx.Client) -> None:
    """The page serves the file that `inspector report` writes."""
    coil = page.wait_for_reject(admin)
    answer = admin.get("/api/report", params={"run": coil["run"], "coil": coil["coil"]})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment")
    assert coil["coil"] in answer.text
    assert "</html>" in answer.text
    nothing = admin.get("/api/report", params={"run": coil["run"], "coil": "another coil"})
    assert "another coil" in problem(nothing, 409)
    # This line has no [strip], so that nothing judges its coils.
    unjudged = admin.get("/api/report", params={"run": coil["run"], "coil": coil["coil"], "pdf": True})
    assert "judged" in problem(unjudged, 409)


def test_live_data_come_by_websocket(page: PageUnderTest) -> None:
    """First everything, then figures five times a second and pictures; a stranger gets nothing."""
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect
    from websockets.typing import Origin

    url = page.url.replace("http", "ws") + "/api/live"
    with pytest.raises(InvalidStatus), connect(url):
        pass
    with page.client("viewer") as client:
        cookie = {"Cookie": f"inspector_session={client.cookies['inspector_session']}"}
    elsewhere = Origin("https://elsewhere.example")
    with pytest.raises(InvalidStatus), connect(url, additional_headers=cookie, origin=elsewhere):
        pass
    with connect(url, additional_headers=cookie, max_size=None) as socket:
        whole = json.loads(socket.recv(10))
        assert whole["type"] == "whole"
        kinds: set[str] = set()
        until_s = time.monotonic() + 30
        while kinds < {"tick", "picture"} and time.monotonic() < until_s:
            message = socket.recv(10)
            if isinstance(message, str):
                kinds.add(json.loads(message)["type"])
                continue
            length = int.from_bytes(message[:4], "little")
            header = json.loads(message[4 : 4 + length])
            assert header["camera"] == "top"
            assert message[4 + length :][:2] == b"\xff\xd8"
            kinds.add("picture")
        assert kinds == {"tick", "picture"}


def test_a_view_socket_that_is_not_read_delays_nobody(page: PageUnderTest) -> None:
    """Another page gets its messages meanwhile, and the line inspects every frame."""
    from websockets.sync.client import connect

    def counted() -> tuple[int, int]:
        line = ask(page.health)[1].line
        assert line is not None
        return line.cameras["top"].verdicts, line.cameras["top"].uninspected

    with page.client("viewer") as client, socket.socket() as stalled:
        cookie = f"inspector_session={client.cookies['inspector_session']}"
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(("127.0.0.1", page.port))
        request = (
            "GET /api/live HTTP/1.1", f"Host: 127.0.0.1:{page.port}", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", f"Cookie: {cookie}",
        )  # fmt: skip
        stalled.sendall("\r\n".join((*request, "", "")).encode())
        before = counted()
        with connect(page.url.replace("http", "ws") + "/api/live", additional_headers={"Cookie": cookie}) as live:
            until_s = time.monotonic() + 5
            longest_s, heard_s = 0.0, time.monotonic()
            while time.monotonic() < until_s:
                if isinstance(live.recv(10), str):
                    longest_s = max(longest_s, time.monotonic() - heard_s)
                    heard_s = time.monotonic()
        after = counted()
        assert stalled.recv(12) == b"HTTP/1.1 101"
    assert longest_s < 1.0 * slowdown()
    assert after[0] > before[0] + 12
    assert after[1] == before[1]


def test_a_frame_is_reviewed_and_exported(page: PageUnderTest, tmp_path: Path) -> None:
    """The queue's first frame: its picture and mask, an answer, one undo, and the data set that training takes."""
    with page.client("quality") as client:
        frames = page.wait(lambda: client.get("/api/review").json()["frames"], "a frame for review")
        number = frames[0]["id"]
        assert client.get(f"/api/review/{number}/picture").content[:4] == b"\x89PNG"
        mask = client.get(f"/api/review/{number}/mask").json()
        answer = {"answer": "redraw", "mask": [[1, 5, 3]], "why": "scale, not a pit"}
        first = client.post(f"/api/review/{number}", json=answer).json()["id"]
        assert "has reviewed it" in problem(client.post(f"/api/review/{number}", json=answer), 409)
        assert client.delete(f"/api/review/done/{first}").json() == {"sample": number}
        client.post(f"/api/review/{number}", json=answer)
        assert client.get("/api/review/done").json()[0]["who"] == "quality"
        assert isinstance(mask, list)
    done = page.command("dataset", "export", "--out", str(tmp_path / "set"))
    assert done.returncode == 0, done.stderr
    from trainer.data.formats import open_dataset

    assert len(list((tmp_path / "set" / "images").iterdir())) == 1
    open_dataset(tmp_path / "set")


def test_events_and_the_audit_say_who(page: PageUnderTest, admin: httpx.Client) -> None:
    """From the page and from the command line, both in one list."""
    with page.client("operator") as client:
        assert client.post("/api/events", json={"kind": "roll change", "text": "stand 4"}).status_code == 201
    assert page.command("event", "cleaning", "--text", "optics").returncode == 0
    assert page.command("ack").returncode == 0
    assert "no such alarm" in page.command("ack", "99").stderr
    events = admin.get("/api/events").json()
    assert {"operator"} <= {each["who"] for each in events}
    assert {"stand 4", "optics"} <= {each["text"] for each in events}
    assert "event noted" in {each["what"] for each in admin.get("/api/audit").json()}


def test_an_event_is_on_the_map_of_its_coil(page: PageUnderTest, admin: httpx.Client) -> None:
    """From the page at once, from a command as soon as the page sees it; each at its position on the strip."""
    page.wait(lambda: admin.get("/api/state").json()["speeds_mm_s"]["top"], "the strip runs")
    noted = admin.post("/api/events", json={"kind": "cleaning", "text": "on the page"}).json()["id"]
    assert page.command("event", "roll change", "--text", "by command").returncode == 0

    def placed() -> dict[str, Any] | None:
        found = {each["text"]: each for each in admin.get("/api/events").json() if each["position_mm"] is not None}
        return found if {"on the page", "by command"} <= found.keys() else None

    event = page.wait(placed, "both have a place")["on the page"]
    assert event["id"] == noted

    def on_its_coil() -> bool:
        coils = admin.get("/api/coils", params={"search": event["coil"]}).json()
        wholes = [admin.get("/api/coil", params={"run": e["run"], "coil": e["coil"]}).json() for e in coils]
        return any(
            noted in [each["id"] for each in whole["events"]]
            and whole["from_mm"] <= event["position_mm"] <= whole["to_mm"] + 200
            for whole in wholes
        )

    page.wait(on_its_coil, "the coil shows the event")


def test_accounts_are_made_and_removed(page: PageUnderTest, admin: httpx.Client) -> None:
    """A removed account's session ends at once, also on a page that is open; nobody removes their own."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    new = {"name": "lee", "role": "viewer", "password": PASSWORD}
    assert admin.post("/api/accounts", json=new).status_code == 201
    assert "the account exists" in problem(admin.post("/api/accounts", json=new), 409)
    with page.client("lee") as lee:
        assert lee.get("/api/state").status_code == 200
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in lee.cookies.items())}
        with connect(
            page.url.replace("http", "ws") + "/api/live", additional_headers=cookie, max_size=None
        ) as live:
            live.recv(10)
            assert admin.delete("/api/accounts/lee").status_code == 200
            problem(lee.get("/api/state"), 401)

            def until_closed() -> None:
                for _ in range(200):
                    live.recv(10)

            with pytest.raises(ConnectionClosed) as closed:
                until_closed()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
    assert admin.post("/api/accounts", json=new | {"name": "a/b"}).status_code == 201
    assert admin.delete("/api/accounts/a%2Fb").status_code == 200
    assert "your own" in problem(admin.delete("/api/accounts/admin"), 409)
    assert "no such account" in page.command("user", "remove", "lee").stderr
    assert "admin" in page.command("user", "list").stdout


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/coils?count=0", None),
        ("GET", "/api/coils?count=x", None),
        ("GET", "/api/coils?from_ms=-1", None),
        ("GET", f"/api/coils?to_ms={2**70}", None),
        ("GET", "/api/coils?search=%00", None),
        ("GET", f"/api/coil?run={2**70}", None),
        ("GET", "/api/coil", None),
        ("GET", "/api/picture?run=1&camera=&frame=0&epoch=0", None),
        ("GET", "/api/rejects/x", None),
        ("GET", "/api/scores?hours=1000000", None),
        ("POST", "/api/events", b"{"),
        ("POST", "/api/events", b'{"kind": "party"}'),
        ("POST", "/api/events", b'{"kind": "note", "text": "\\ud800"}'),
        ("POST", "/api/events", b'{"kind": "note", "text": "\\u0000"}'),
        ("POST", "/api/events", b'{"kind": "note", "position_mm": Infinity}'),
        ("POST", "/api/events", b'{"kind": "note", "position_mm": NaN}'),
        ("POST", "/api/events", b'{"kind": "note", "position_mm": -1e300}'),
        ("POST", "/api/review/marked", b'{"number": -1}'),
        ("POST", "/api/events", b'{"kind": "note", "text": "' + b"x" * 501 + b'"}'),
        ("POST", "/api/review/1", b'{"answer": "maybe"}'),
        ("POST", "/api/review/1", b'{"answer": "redraw", "mask": [[1, 2]]}'),
        ("POST", "/api/review/1", b'{"answer": "redraw", "mask": [[0, 0, 1]]}'),
        ("POST", "/api/accounts", b'{"name": "x", "password": "y", "role": "king"}'),
    ],
)
def test_bad_input_is_a_problem_that_says_what_and_where(
    admin: httpx.Client, method: str, path: str, body: bytes | None
) -> None:
    """422 with the field, never a 500."""
    answer = admin.request(method, path, content=body, headers={"Content-Type": "application/json"})
    assert problem(answer, 422)
    assert answer.json()["errors"][0]["where"]


def test_json_that_is_none_is_a_problem(admin: httpx.Client) -> None:
    """Endlessly nested JSON is refused."""
    answer = admin.post("/api/events", content=b"[" * 100_000, headers={"Content-Type": "application/json"})
    assert problem(answer, 400)


def test_a_body_has_an_end(admin: httpx.Client) -> None:
    """A body over the limit is refused, with a stated length or in chunks."""
    problem(admin.post("/api/events", content=b" " * 4_100_000, headers={"Content-Type": "application/json"}), 413)
    pieces = (b" " * 100_000 for _ in range(50))
    problem(admin.post("/api/events", content=pieces, headers={"Content-Type": "application/json"}), 413)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_another_site_cannot_act(admin: httpx.Client, headers: dict[str, str], status: int) -> None:
    """Neither by a form, nor by another host name, nor by a body without an end."""
    before = len(admin.get("/api/events").json())
    answer = admin.post("/api/events", content=b'{"kind": "note"}', headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(admin.get("/api/events").json()) == before


def test_every_answer_has_the_headers_of_a_page_without_foreign_content(page: PageUnderTest) -> None:
    """No script, style, picture or frame from elsewhere; the cookie cannot be read by a script."""
    with page.client() as client:
        for path in ("/", "/app.js", "/api/session", "/nowhere", "/api/nowhere", "/static/../app.py"):
            headers = client.get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
        problem(client.get("/nowhere"), 404)
        problem(client.post("/", json={}), 405)
        login = client.post("/api/session", json={"name": "viewer", "password": PASSWORD})
        cookie = login.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie


def test_wrong_passwords_must_wait(page: PageUnderTest) -> None:
    """After five the sixth is refused, also with the right password; another name of this PC waits, too."""
    other = PageUnderTest(page.folder.parent / "locked")
    other.add("kim", "viewer")
    with running(other, "serve"), other.client() as client:
        for _ in range(5):
            wrong = {"name": "kim", "password": "wrong"}
            assert problem(client.post("/api/session", json=wrong), 401) == "wrong name or password"
        answer = client.post("/api/session", json={"name": "kim", "password": PASSWORD})
        assert "try again in" in problem(answer, 429)
        assert int(answer.headers["retry-after"]) > 200


@pytest.fixture(scope="module", autouse=True)
def _folders(tmp_path_factory: pytest.TempPathFactory, page: PageUnderTest) -> None:
    (page.folder.parent / "locked").mkdir(exist_ok=True)


def test_without_accounts_this_pc_may_look_and_change_nothing(tmp_path: Path) -> None:
    """An empty database and no line: every screen's route answers or says why not."""
    page = PageUnderTest(tmp_path)
    with running(page, "serve"), page.client() as client:
        assert client.get("/api/session").json() == {"login": False, "name": None, "role": "viewer"}
        page.wait(lambda: client.get("/api/state").json()["word"] == "down", "the line is down")
        assert "no line is running" in client.get("/api/state").json()["findings"][0]
        assert "nothing was recorded yet" in problem(client.get("/api/coils"), 503)
        assert client.get("/api/review").json() == {"frames": [], "reviewed": 0}
        assert client.get("/api/alarms").json() == []
        assert "account" in problem(client.post("/api/events", json={"kind": "note"}), 403)
        assert page.stop("serve", signal.SIGTERM) == 0


def test_a_damaged_database_is_a_problem(tmp_path: Path) -> None:
    """A damaged database gives a problem, not a 500, and the page keeps running."""
    page = PageUnderTest(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "records.sqlite").write_bytes(b"no database" * 500)
    with running(page, "serve"), page.client() as client:
        assert "not a database" in problem(client.get("/api/coils"), 503)
        assert client.get("/api/session").status_code == 200


def test_the_page_writes_nothing_into_the_results(tmp_path: Path) -> None:
    """A finished line's database in a folder that nobody may write to is still shown."""
    source = f'type = "folder"\npath = {json.dumps(str(write_frames(tmp_path / "frames", 12)))}\n'
    page = PageUnderTest(tmp_path, source=source, coil="C-1")
    page.config.write_text(page.config.read_text() + f"folder = {json.dumps(str(tmp_path / 'own'))}\n")
    done = page.command("run", "--json")
    assert done.returncode == 0, done.stderr
    before = {path: path.stat().st_mtime_ns for path in page.out.rglob("*")}
    with running(page, "serve"), page.client() as client:
        [coil] = client.get("/api/coils").json()
        assert (coil["coil"], coil["reject"]) == ("C-1", 12)
    after = {
        path: path.stat().st_mtime_ns for path in page.out.rglob("*") if not path.name.endswith(("-shm", "-wal"))
    }
    assert after.items() <= before.items()


def test_the_line_goes_on_when_the_page_is_killed_and_when_its_readers_hang(tmp_path: Path) -> None:
    """decide's ledger balances, and no verdict is late for a page that is stopped with its view open."""
    page = PageUnderTest(tmp_path)
    with running(page) as running_page, page.client() as client:
        page.wait(lambda: client.get("/api/state").json()["word"] == "up", "the line is up")
        import os

        os.kill(page.pid("serve"), signal.SIGSTOP)
        verdicts = next(page.out.glob("*/verdicts.jsonl"))
        before = verdicts.read_bytes().count(b"\n")
        time.sleep(3)
        assert verdicts.read_bytes().count(b"\n") > before + 10
        os.kill(page.pid("serve"), signal.SIGCONT)
        page.wait(lambda: client.get("/api/state").json()["word"] == "up", "the page is back")
        page.stop("serve", signal.SIGKILL)
        before = verdicts.read_bytes().count(b"\n")
        time.sleep(1)
        assert verdicts.read_bytes().count(b"\n") > before
        assert running_page.stop("run") == 0
        lines = [json.loads(line) for line in verdicts.read_text().splitlines()]
        assert {line["decision"] for line in lines} <= {"accept", "reject"}


def test_a_locked_database_is_waited_for(page: PageUnderTest, admin: httpx.Client) -> None:
    """A reader of a database that another program writes to gets its answer."""
    page.wait_for_reject(admin)
    with sqlite3.connect(page.out / "records.sqlite", isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert admin.get("/api/coils").status_code == 200
        connection.execute("ROLLBACK")
    connection.close()


def test_a_plan_is_changed_and_the_audit_says_who(page: PageUnderTest, admin: httpx.Client) -> None:
    """The file, its identity and the audit; the line goes on with the plan that it was started with."""
    [plan] = admin.get("/api/plans").json()
    change = {"plan": "", "identity": plan["identity"], "classes": {"bright": {"min_area_mm2": 5}}, "why": "dust"}
    with page.client("quality") as client:
        made = client.put("/api/plan", json=change)
        assert made.status_code == 200, made.text
        assert "changed meanwhile" in problem(client.put("/api/plan", json=change), 409)
    [after] = admin.get("/api/plans").json()
    assert after["identity"] == made.json()["identity"] != plan["identity"]
    assert after["used"] == plan["identity"]
    assert after["changes"][0]["changed"] == "bright: min_area_mm2 4 → 5"
    assert "min_area_mm2 = 5" in (page.folder / "recipe.toml").read_text()
    entry = next(each for each in admin.get("/api/audit").json() if each["what"] == "plan changed")
    assert (entry["who"], entry["detail"]) == ("quality", "bright: min_area_mm2 4 → 5 dust")


def test_scores_and_brightness_are_counted_while_the_line_runs(page: PageUnderTest, admin: httpx.Client) -> None:
    """Frames that the view shows, by their highest score, and how many they stand for."""

    def counted() -> Any:
        peaks = admin.get("/api/peaks", params={"hours": 1}).json()
        return peaks if peaks["seen_accepted"] and peaks["seen_rejected"] and peaks["accepted"] else None

    peaks = page.wait(counted, "scores are counted", 120)
    assert sum(peaks["alone"]["1"][32:]) == peaks["seen_rejected"]
    point = admin.get("/api/drift", params={"hours": 1}).json()[-1]
    assert point["camera"] == "top"
    assert 20 < point["grey"] < 235


def test_a_locked_store_is_a_problem_and_the_page_goes_on(page: PageUnderTest, admin: httpx.Client) -> None:
    """What must be written down is refused with 503 after a wait; what is read is shown."""
    with sqlite3.connect(page.out / "page" / "page.sqlite", isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert "locked" in problem(admin.post("/api/events", json={"kind": "note"}), 503)
        assert admin.get("/api/events").status_code == 200
        page.wait(lambda: admin.get("/api/state").json()["word"] == "up", "the page goes on", 5.0)
        connection.execute("ROLLBACK")
    connection.close()
    assert admin.post("/api/events", json={"kind": "note"}).status_code == 201


def test_what_cannot_start_is_one_clear_line(tmp_path: Path) -> None:
    """No [health] table; a port in use; a network address without an account; an invalid certificate."""
    page = PageUnderTest(tmp_path)
    text = page.config.read_text()

    def said(changed: str) -> str:
        page.config.write_text(changed)
        done = page.command("serve")
        assert done.returncode == 2, done.stderr
        return done.stderr.splitlines()[-1]

    assert "no [health] table" in said(text.replace(f"[health]\nport = {page.health}\n", ""))
    pem = f"certificate = '{page.config}'\nkey = '{page.config}'\n"
    assert "no account exists" in said(text.replace("127.0.0.1", "0.0.0.0") + pem)  # noqa: S104  # refused
    assert "page.certificate" in said(text + pem)
    page.config.write_text(text)
    with running(page, "serve"):
        pass
    import socket

    with socket.create_server(("127.0.0.1", page.port)):
        assert "cannot be listened on" in said(text)


def test_the_runtime_never_imports_the_page() -> None:
    """A line runs without the extra that brings the page."""
    code = (
        "import sys, inspector.cli, inspector.decide.process, inspector.worker.process, inspector.ingest.process\n"
    )
    code += (
        "print([m for m in ('fastapi', 'uvicorn', 'starlette', 'argon2', 'inspector.serve') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    )
