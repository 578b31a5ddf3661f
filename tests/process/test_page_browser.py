"""The operator's page in Debian's Chromium, in front of a real line: what a person sees and does."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.support.lines import slowdown
from tests.support.pages import PASSWORD, PageUnderTest, chromium, running, write_frames

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Playwright's own loop

STALE_S = 1.0
"""Within this time after decide's end the page must say that its data are old."""

MARKUP = '<img src=x onerror="window.broken=1">'


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, browser: "Browser") -> Iterator[PageUnderTest]:
    """A line with a reject on record, and accounts."""
    page = PageUnderTest(tmp_path_factory.mktemp("page"))
    for role in ("viewer", "quality", "admin"):
        page.add(role, role)
    with running(page):
        with page.client("admin") as client:
            page.wait_for_reject(client)
            page.wait(lambda: len(client.get("/api/review").json()["frames"]) > 0, "a frame for review")
        yield page


class Tab:
    """A browser's tab on the page that fails on anything that goes wrong in it."""

    def __init__(self, browser: "Browser", server: PageUnderTest, **options: Any) -> None:
        self.server = server
        self.context = browser.new_context(
            **{"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark", "locale": "en-GB"} | options
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("request", self._asked)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.server.url, "data:", "blob:")):
            self.wrong.append(f"asked elsewhere: {request.url}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def open(self, screen: str = "live") -> "Page":
        self.page.goto(f"{self.server.url}/#/{screen}")
        return self.page

    def log_in(self, name: str, password: str = PASSWORD) -> "Page":
        self.open()
        self.page.fill("input[autocomplete=username]", name)
        self.page.fill("input[type=password]", password)
        self.page.click("button.main")
        return self.page

    def is_well(self) -> None:
        """Check that nothing was thrown, logged as an error, refused by the policy, or requested elsewhere."""
        assert self.wrong == []


def serious_faults(page: "Page") -> list[str]:
    """Return the serious accessibility faults that axe-core finds."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def test_a_wrong_password_says_so_and_the_right_one_opens_the_page(
    browser: "Browser", page: PageUnderTest
) -> None:
    """After a wrong password the form stays without it; the right one opens the live page."""
    with Tab(browser, page) as tab:
        tab.log_in("viewer", "not the password")
        assert "wrong name or password" in (tab.page.text_content("form [role=alert]") or "")
        assert tab.page.input_value("input[type=password]") == ""
        tab.page.fill("input[type=password]", PASSWORD)
        tab.page.keyboard.press("Enter")
        tab.page.wait_for_selector("nav")
        assert [each for each in tab.wrong if "401" not in each] == []


def test_live_shows_the_frame_the_map_and_the_rejects(browser: "Browser", page: PageUnderTest) -> None:
    """Figures, a drawn camera frame, map, reject with its picture, ledger that balances."""
    with Tab(browser, page) as tab:
        tab.log_in("viewer").wait_for_selector("figure[data-camera=top] canvas")
        width = "document.querySelector('figure canvas').width"
        page.wait(lambda: tab.page.evaluate(width) == 160, "a frame is drawn")
        tab.page.wait_for_selector("aside ol img")
        drawn = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
        assert tab.page.eval_on_selector("figure canvas", drawn) > 20
        assert tab.page.eval_on_selector(".lanes canvas", drawn) > 4
        tab.page.wait_for_selector("text=balances")
        assert serious_faults(tab.page) == []
        tab.page.click("aside ol button")
        tab.page.wait_for_selector("dialog[open] img")
        tab.page.keyboard.press("Escape")
        tab.page.wait_for_selector("dialog[open]", state="detached")
        tab.is_well()


@pytest.mark.parametrize("screen", ["coils", "review", "line", "health"])
@pytest.mark.parametrize(
    "look", [{}, {"viewport": {"width": 820, "height": 1180}, "color_scheme": "light", "locale": "ko"}]
)
def test_each_screen_opens_on_a_desktop_and_a_tablet(
    browser: "Browser", page: PageUnderTest, screen: str, look: dict[str, Any]
) -> None:
    """Dark and light, English and Korean; nothing is wider than the window."""
    with Tab(browser, page, **look) as tab:
        tab.log_in("admin").wait_for_selector("nav")
        tab.open(screen).wait_for_selector(".panel")
        time.sleep(0.5)
        assert serious_faults(tab.page) == []
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert tab.page.evaluate(wide) <= 0
        assert tab.page.evaluate("document.documentElement.dataset.theme") == ("light" if look else "dark")
        tab.is_well()


def test_a_coil_is_found_and_its_defect_looked_at(browser: "Browser", page: PageUnderTest) -> None:
    """Search, open, step through the defects by keyboard, zoom into the lossless crop."""
    with page.client("viewer") as client:
        coil = page.wait_for_reject(client)["coil"]
    with Tab(browser, page) as tab:
        tab.log_in("viewer").wait_for_selector("nav")
        tab.open("coils").fill("input[type=search]", coil)
        tab.page.click(f"main ol a:has-text('{coil}')")
        tab.page.wait_for_selector("tbody tr[aria-selected=true]")
        # Not wait_for_function: it evaluates text in the page, which the page's policy forbids.
        loaded = "document.querySelector('.zoom img')?.naturalWidth"
        page.wait(lambda: tab.page.evaluate(loaded), "the crop is loaded")
        tab.page.focus(".zoom")
        before = tab.page.eval_on_selector(".zoom img", "each => each.style.transform")
        tab.page.keyboard.press("+")
        assert tab.page.eval_on_selector(".zoom img", "each => each.style.transform") != before
        tab.is_well()


def test_frames_are_reviewed_by_keyboard_alone(browser: "Browser", page: PageUnderTest) -> None:
    """Accept, undo, draw with the brush, save: what the database then has is what was drawn."""
    with page.client("quality") as client, Tab(browser, page) as tab:
        tab.log_in("quality").wait_for_selector("nav")
        first = client.get("/api/review").json()["frames"][0]["id"]
        tab.open("review").wait_for_selector("canvas.view")
        tab.page.keyboard.press("a")
        tab.page.wait_for_selector("text=Saved")
        assert client.get("/api/review/done").json()[0]["sample_id"] == first
        tab.page.keyboard.press("u")
        page.wait(lambda: client.get("/api/review/done").json() == [], "the review is undone")
        tab.page.wait_for_selector("canvas.view")
        time.sleep(0.5)
        tab.page.keyboard.press("d")
        box = tab.page.locator("canvas.view").bounding_box()
        assert box is not None
        tab.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        tab.page.mouse.down()
        tab.page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2, steps=5)
        tab.page.mouse.up()
        tab.page.keyboard.press("Enter")
        done = page.wait(lambda: client.get("/api/review/done").json(), "the review is saved")
        assert done[0]["answer"] == "redraw"
        assert done[0]["decision"] == "reject"
        tab.is_well()


def test_a_viewer_may_look_at_the_queue_and_not_answer(browser: "Browser", page: PageUnderTest) -> None:
    """The buttons are off, and keys do nothing."""
    with page.client("viewer") as client, Tab(browser, page) as tab:
        before = client.get("/api/review").json()["reviewed"]
        tab.log_in("viewer").wait_for_selector("nav")
        tab.open("review").wait_for_selector("canvas.view")
        assert tab.page.is_disabled(".actions .big")
        tab.page.keyboard.press("a")
        time.sleep(0.5)
        assert client.get("/api/review").json()["reviewed"] == before
        tab.is_well()


def test_an_event_is_noted_and_the_audit_shows_it(browser: "Browser", page: PageUnderTest) -> None:
    """By an admin, on the screen of the line."""
    with Tab(browser, page) as tab:
        tab.log_in("admin").wait_for_selector("nav")
        tab.open("line").fill("input[placeholder='What happened']", "stand 4 <b>")
        tab.page.click("text=Note event")
        tab.page.wait_for_selector("li:has-text('stand 4 <b>')")
        tab.page.click("text=Refresh")
        tab.page.wait_for_selector("li:has-text('event noted')")
        tab.is_well()


def test_the_language_and_theme_stay(browser: "Browser", page: PageUnderTest) -> None:
    """After a reload, too."""
    with Tab(browser, page) as tab:
        tab.log_in("viewer").wait_for_selector("nav")
        tab.page.select_option("header select", "de")
        tab.page.wait_for_selector("nav >> text=Zustand")
        tab.page.click("button.theme")
        tab.page.reload()
        tab.page.wait_for_selector("nav >> text=Zustand")
        assert tab.page.evaluate("document.documentElement.dataset.theme") == "light"
        assert tab.page.evaluate("document.documentElement.lang") == "de"
        tab.is_well()


def test_names_with_markup_stay_text(browser: "Browser", tmp_path: Path) -> None:
    """Of the line, a kind, a coil and an account."""
    source = f'type = "folder"\nfollow = true\npath = {json.dumps(str(write_frames(tmp_path / "frames", 8)))}\n'
    page = PageUnderTest(tmp_path, kind=MARKUP, name=MARKUP, coil=MARKUP, source=source)
    page.add(MARKUP, "admin")
    with running(page), Tab(browser, page) as tab:
        with page.client(MARKUP) as client:
            page.wait_for_reject(client)
        tab.log_in(MARKUP).wait_for_selector("nav")
        assert MARKUP in (tab.page.text_content("header .name") or "")
        for screen in ("live", "review", "line", "health", "coils"):
            tab.open(screen).wait_for_selector(".panel")
            time.sleep(0.4)
        tab.page.click("main ol a")
        tab.page.wait_for_selector("tbody tr")
        assert MARKUP in (tab.page.text_content("h2.title") or "")
        assert tab.page.query_selector("img[src=x]") is None
        assert tab.page.evaluate("window.broken") is None
        tab.is_well()


def test_an_empty_page_says_what_is_missing(browser: "Browser", tmp_path: Path) -> None:
    """No line, no records, no accounts: each screen opens."""
    page = PageUnderTest(tmp_path)
    with running(page, "serve"), Tab(browser, page) as tab:
        tab.open().wait_for_selector("[data-stale=line]")
        assert "no line is running" in (tab.page.text_content("[data-stale]") or "")
        for screen in ("coils", "review", "line", "health", "live"):
            tab.open(screen).wait_for_selector(".panel")
        tab.open("coils").wait_for_selector("text=nothing was recorded yet")
        tab.open("review").wait_for_selector("text=Nothing waits for a review")
        assert [each for each in tab.wrong if "503" not in each] == []


def test_a_dead_decide_shows_within_a_second(browser: "Browser", tmp_path: Path) -> None:
    """The page marks what it shows as old, and comes back with the line."""
    page = PageUnderTest(tmp_path)
    with running(page), Tab(browser, page) as tab:
        tab.open().wait_for_selector("figure[data-camera=top] canvas")
        page.wait(lambda: tab.page.query_selector("[data-stale]") is None, "the page is up")
        page.kill_decide()
        ended_s = time.monotonic()
        tab.page.wait_for_selector("[data-stale=line]")
        took_s = time.monotonic() - ended_s
        assert tab.page.query_selector(".live.stale") is not None
        page.start("run")
        tab.page.wait_for_selector("[data-stale]", state="detached")
        assert took_s < STALE_S * slowdown()


def test_a_dead_page_server_shows_within_a_second(browser: "Browser", tmp_path: Path) -> None:
    """The browser notices by itself, and reconnects."""
    import signal

    page = PageUnderTest(tmp_path)
    with running(page), Tab(browser, page) as tab:
        tab.open().wait_for_selector("figure[data-camera=top] canvas")
        page.stop("serve", signal.SIGKILL)
        ended_s = time.monotonic()
        tab.page.wait_for_selector("[data-stale=page]")
        assert time.monotonic() - ended_s < STALE_S * slowdown()
        page.start("serve")
        tab.page.wait_for_selector("[data-stale]", state="detached")
