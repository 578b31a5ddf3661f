"""The operator's page in Debian's Chromium, in front of a real line: what a person sees and does."""

import contextlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import cv2
import httpx
import numpy as np
import pytest

from inspector.monitoring.client import ask
from inspector.serve.samples import keep
from inspector.serve.store import Store
from inspector.wire.view import ViewMessage
from tests.support.lines import slowdown
from tests.support.pages import PASSWORD, ROLES, PageUnderTest, chromium, running, write_frames
from tests.support.recorded import defect, verdict

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Playwright's own loop

STALE_S = 1.0
CROWDED_S = 240.0
"""Longest wait while ten browsers share the PC with the tests beside, seconds."""
"""Within this time after decide's end the page must say that its data are old."""

COLOUR_PX = """(canvas, name) => {
  const ink = getComputedStyle(canvas).getPropertyValue(`--${name}`).trim();
  const [r, g, b] = [1, 3, 5].map((n) => parseInt(ink.slice(n, n + 2), 16));
  // Left of it a map has the cameras' names.
  const from = Math.round(70 * devicePixelRatio);
  const { data } = canvas.getContext("2d").getImageData(from, 0, canvas.width - from, canvas.height);
  let found = 0;
  for (let n = 0; n < data.length; n += 4) found += data[n] === r && data[n + 1] === g && data[n + 2] === b;
  return found;
}"""
"""How much of a picture has one of the page's colours."""

FLAG_PX = 150
"""Least area of an event's flag on a map; a coil's dashed line and its name have less of the same colour."""

MARKUP = '<img src=x onerror="window.broken=1">'


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, browser: "Browser") -> Iterator[PageUnderTest]:
    """A line with a reject on record, and accounts."""
    page = PageUnderTest(tmp_path_factory.mktemp("page"))
    for role in ROLES:
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
        self.page.set_default_timeout(60_000)
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._said)
        self.page.on("request", self._asked)

    def _said(self, said: Any) -> None:
        # A browser on a busy PC asks for rejects later than the page keeps them.
        late = ("/api/rejects/", "/api/review/marked")
        if said.type == "error" and not any(each in said.location.get("url", "") for each in late):
            self.wrong.append(said.text)

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


def marked(client: httpx.Client) -> list[Any]:
    return [each for each in client.get("/api/review").json()["frames"] if each["source"] == "marked"]


def test_a_frame_that_is_marked_on_live_is_first_in_the_queue(browser: "Browser", page: PageUnderTest) -> None:
    """A live frame and a reject, by an operator; a viewer has no such button."""
    with page.client("operator") as client, Tab(browser, page) as tab, Tab(browser, page) as viewer:
        viewer.log_in("viewer").wait_for_selector("figure canvas")
        tab.log_in("operator").wait_for_selector("figure[data-camera=top] canvas")

        def press(button: str, wanted: int) -> bool:
            """On a busy PC the frame may be gone: then it is another one's turn."""
            if "dialog" in button:
                tab.page.keyboard.press("Escape")
                tab.page.click("aside ol li:first-child button")
            tab.page.click(button)
            tab.page.wait_for_timeout(1500)
            return len(marked(client)) >= wanted

        page.wait(lambda: press("figure >> text=To review", 1), "a live frame is in the queue")
        page.wait(lambda: press("dialog[open] >> text=To review", 2), "a reject is in the queue")
        first = client.get("/api/review").json()["frames"][0]
        assert first["reasons"][-1] == "marked by operator"
        with page.client("admin") as admin:
            audit = [each for each in admin.get("/api/audit").json() if each["what"] == "frame marked for review"]
        assert {each["who"] for each in audit} == {"operator"}
        assert not viewer.page.query_selector("text=To review")
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
        shown = "document.querySelector('.zoom img').style.transform"

        def zoomed() -> bool:
            """Press again each time: on a busy PC one press was lost once, it is not known why."""
            tab.page.focus(".zoom")
            tab.page.keyboard.press("+")
            return bool(tab.page.evaluate(shown) != before)

        page.wait(zoomed, "the crop is zoomed")
        tab.is_well()


def test_last_weeks_coil_is_found_by_its_grade(browser: "Browser", page: PageUnderTest) -> None:
    """Its verdict, reasons, plan and roll marks; its frames are not in the records any more."""
    week_ns = 6 * 86_400 * 10**9
    card = {
        "strip_key": "s", "number": 1, "line": "l@1", "coil": "C-777", "grade": "S355", "customer": "ACME",
        "started_ns": time.time_ns() - week_ns, "ended_ns": time.time_ns() - week_ns + 10**11, "start_mm": 0.0,
        "end_mm": 1000.0, "length_mm": 1000.0, "plan": "soft", "plan_why": "grade S355", "recipe": "r@1",
        "verdict": "hold", "reasons": '["hold: 2 cracks: over 0 in a coil"]', "counts": '{"bright": 2}',
        "defects": 2, "uninspected_mm": 0.0, "roll_marks": '["roll mark, work roll top, stand 3"]',
    }  # fmt: skip
    with sqlite3.connect(page.out / "records.sqlite", timeout=20) as connection:
        names, places = ", ".join(card), ", ".join("?" * len(card))
        connection.execute(f"INSERT INTO coils ({names}) VALUES ({places})", tuple(card.values()))  # noqa: S608
    connection.close()
    with Tab(browser, page) as tab:
        tab.log_in("viewer").wait_for_selector("nav")
        tab.open("coils").select_option("label:has-text('When') select", "week")
        tab.page.select_option("label:has-text('Verdict') select", "hold")
        tab.page.fill("input[type=search]", "s355")
        tab.page.click("main ol a:has-text('C-777')")
        tab.page.wait_for_selector("text=hold: 2 cracks: over 0 in a coil")
        tab.page.wait_for_selector("text=roll mark, work roll top, stand 3")
        assert serious_faults(tab.page) == []
        tab.page.select_option("label:has-text('When') select", "today")
        tab.page.wait_for_selector("main ol a:has-text('C-777')", state="detached")
        tab.is_well()


def test_a_plan_is_tried_and_changed(browser: "Browser", page: PageUnderTest) -> None:
    """Move a limit, read what it would have done, save with a reason; the page says from when it counts."""
    recipe = page.folder / "recipe.toml"
    with page.client("quality") as client, Tab(browser, page) as tab:
        page.wait(lambda: client.get("/api/peaks").json()["seen_accepted"], "scores are counted")
        tab.log_in("quality").wait_for_selector("nav")
        tab.open("line").fill("input[aria-label='bright: Threshold']", "0.2")
        tab.page.wait_for_selector("text=/0.20 would have/")
        page.wait(
            lambda: tab.page.eval_on_selector("figure .uplot canvas", COLOUR_PX, "warn") > 20, "the tried line"
        )
        assert tab.page.eval_on_selector("figure .uplot canvas", COLOUR_PX, "ink") > 20
        tab.page.fill("label:has-text('Smallest area') input", "0.4")
        tab.page.press("label:has-text('Smallest area') input", "Tab")
        tab.page.wait_for_selector("form.save li:has-text('Smallest area: 4 → 0.4')")
        assert serious_faults(tab.page) == []
        tab.page.fill("form.save input", "fewer escapes")
        tab.page.click("text=Save plan")
        tab.page.wait_for_selector("text=/Saved as steel@/")
        assert {"threshold = 0.2", "min_area_mm2 = 0.4"} <= set(recipe.read_text().splitlines())
        tab.page.reload()
        tab.page.wait_for_selector("text=/until it is started again/")
        assert tab.page.input_value("label:has-text('Smallest area') input") == "0.4"
        tab.is_well()
    with Tab(browser, page) as tab:
        tab.log_in("viewer").wait_for_selector("nav")
        tab.open("line").wait_for_selector("text=/Saving needs an account/")
        assert tab.page.is_disabled("label:has-text('Smallest area') input")
        tab.page.fill("input[aria-label='bright: Threshold']", "0.9")
        tab.page.wait_for_selector("text=/0.90 would have/")
        assert tab.page.query_selector("text=Save plan") is None


def test_drift_is_drawn(browser: "Browser", page: PageUnderTest) -> None:
    """Brightness, scores and shares, as soon as the page has counted something."""
    with page.client("viewer") as client, Tab(browser, page) as tab:
        page.wait(lambda: client.get("/api/drift").json(), "something is counted")
        tab.log_in("viewer").wait_for_selector("nav")
        tab.open("health").wait_for_selector(".graphs figure:nth-child(4) canvas")
        drawn = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
        assert min(tab.page.eval_on_selector_all(".graphs canvas", f"all => all.map({drawn})")) > 4
        tab.is_well()


def test_a_polygon_becomes_a_mask(browser: "Browser", page: PageUnderTest) -> None:
    """Four clicks and Enter fill it, U takes corners back, Enter again saves what the export then holds."""
    with page.client("quality") as client, Tab(browser, page) as tab:
        tab.log_in("quality").wait_for_selector("nav")
        tab.open("review").wait_for_selector("canvas.view")
        time.sleep(0.5)
        before = len(client.get("/api/review/done").json())
        tab.page.keyboard.press("p")
        tab.page.click("text=Clear")
        box = tab.page.locator("canvas.view").bounding_box()
        assert box is not None
        for x, y in ((0.3, 0.3), (0.6, 0.3), (0.9, 0.9), (0.6, 0.6), (0.3, 0.6)):
            tab.page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
            if x == 0.9:
                tab.page.keyboard.press("u")
        assert serious_faults(tab.page) == []
        tab.page.keyboard.press("Enter")
        tab.page.keyboard.press("Enter")
        done = page.wait(
            lambda: len(all_done := client.get("/api/review/done").json()) > before and all_done, "it is saved"
        )
        assert done[0]["answer"] == "redraw"
        mask = saved_mask(page, done[0]["id"])
        rows, columns = np.nonzero(mask)
        # A rectangle: every row is as long as the others.
        assert len(rows) == (1 + np.ptp(rows)) * (1 + np.ptp(columns)) > 50
        tab.is_well()


def saved_mask(page: PageUnderTest, review: int) -> "np.ndarray[Any, Any]":
    with sqlite3.connect(page.out / "page" / "page.sqlite") as connection:
        [(png,)] = connection.execute("SELECT mask FROM reviews WHERE id = ?", (review,))
    connection.close()
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE))


def test_fifty_frames_are_reviewed_by_keyboard_alone(browser: "Browser", tmp_path: Path) -> None:
    """Accept, reject, another kind, skip and go back, undo: each frame gets the answer that its key stands for."""
    with contextlib.closing(PageUnderTest(tmp_path)) as page:  # without a line, which would add frames of its own
        page.add("kim", "quality")
        page.start("serve")
        store = Store(page.out / "page")
        pixels = np.full((64, 160), 90, np.uint8)
        mask = np.zeros_like(pixels)
        mask[20:30, 40:60] = 1
        for n in range(50):
            seen = ViewMessage(verdict(n, defect("a"), camera="fifty", coil=None, captured_ns=n + 1), pixels, mask)
            assert keep(store, "uncertain", seen, ("normal", "bright"))
        keys = ["a", "r", "1"]
        with page.client("kim") as client, Tab(browser, page) as tab:
            tab.log_in("kim").wait_for_selector("nav")
            tab.page.keyboard.press("Alt+3")
            tab.page.wait_for_selector("h2:has-text('fifty')")

            def done() -> list[dict[str, Any]]:
                return list(client.get("/api/review/done", params={"count": 200}).json())

            for n in range(50):
                # The next key waits for the next frame, as a person does.
                page.wait(
                    lambda n=n: tab.page.get_attribute(".review", "data-ready") == f"fifty {49 - n}", f"frame {n}"
                )
                tab.page.keyboard.press(keys[n % 3])
            page.wait(lambda: len(done()) == 50, "all are saved")
            assert [each["answer"] for each in reversed(done())] == [
                ("accept", "reject", "kind")[n % 3] for n in range(50)
            ]
            assert {each["who"] for each in done()} == {"kim"}
            tab.page.keyboard.press("u")
            page.wait(lambda: len(done()) == 49, "the last one is undone")
            tab.is_well()


def test_a_mask_is_drawn_by_keyboard_alone(browser: "Browser", tmp_path: Path) -> None:
    """The arrows move the pointer, Space presses it: a brush stroke, a polygon, and a region that is removed."""
    with contextlib.closing(PageUnderTest(tmp_path)) as page:
        page.add("kim", "quality")
        page.start("serve")
        keep_frames(page, 0, 2)
        with page.client("kim") as client, Tab(browser, page) as tab:
            tab.log_in("kim").wait_for_selector("nav")

            def draw(frame: int, *keys: str) -> np.ndarray:
                """The mask of a frame after these keys and Enter."""
                tab.open("review").wait_for_selector(f"[data-ready='kept {frame}']")
                count = len(client.get("/api/review/done").json())
                for key in (*keys, "Enter"):
                    tab.page.keyboard.press(key)
                page.wait(lambda: len(client.get("/api/review/done").json()) == count + 1, "the review is saved")
                done = client.get("/api/review/done").json()[0]
                assert done["answer"] == "redraw"
                with Store(page.out / "page").reading() as connection:
                    [png] = connection.execute("SELECT mask FROM reviews ORDER BY id DESC LIMIT 1").fetchone()
                return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE))

            # The pointer begins in the middle, between the two regions. The frame is shown 6.5 times as large.
            far_right, far_down = "Shift+ArrowRight", "Shift+ArrowDown"
            brushed = draw(1, "d", far_down, "Space", *[far_right] * 4, "Space", far_down)
            assert (brushed[38, 76:108] == 1).all()
            assert np.count_nonzero(brushed[:, :60]) == np.count_nonzero(brushed[20:44, 30:54] == 1) == 24 * 24
            corners = ["Space", far_right, "Space", far_down, "Space", "Enter"]
            filled = draw(0, "n", *["Shift+ArrowLeft"] * 6, "Space", "p", *corners)
            assert (filled[20:44, 110:134] == 2).all()
            assert 10 < np.count_nonzero(filled[:, :60]) == np.count_nonzero(filled == 1) < 50
            tab.is_well()


def keep_frames(page: PageUnderTest, first: int, count: int) -> None:
    """Put frames into the queue of a page without a line: left a defect of kind 1, right one of kind 2."""
    pixels = np.full((64, 160), 90, np.uint8)
    mask = np.zeros_like(pixels)
    mask[20:44, 30:54] = 1
    mask[20:44, 110:134] = 2
    for n in range(first, first + count):
        seen = ViewMessage(verdict(n, defect("a"), camera="kept", coil=None, captured_ns=n + 1), pixels, mask)
        assert keep(Store(page.out / "page"), "uncertain", seen, ("normal", "bright", "dull"))


def test_the_last_redrawn_frame_comes_back_and_an_empty_queue_looks_again(
    browser: "Browser", tmp_path: Path
) -> None:
    """U after the last mask was drawn undoes that review; a frame that is kept later appears by itself."""
    with contextlib.closing(PageUnderTest(tmp_path)) as page:
        page.add("kim", "quality")
        page.start("serve")
        keep_frames(page, 0, 1)
        with page.client("kim") as client, Tab(browser, page) as tab:
            tab.log_in("kim").wait_for_selector("nav")
            tab.open("review").wait_for_selector("[data-ready='kept 0']")
            tab.page.keyboard.press("d")
            tab.page.keyboard.press("Enter")
            tab.page.wait_for_selector("text=This screen looks again every few seconds")
            assert [each["answer"] for each in client.get("/api/review/done").json()] == ["redraw"]
            tab.page.keyboard.press("u")
            tab.page.wait_for_selector("[data-ready='kept 0']")
            assert client.get("/api/review/done").json() == []
            tab.page.keyboard.press("a")
            tab.page.wait_for_selector("text=Nothing waits for a review")
            keep_frames(page, 1, 1)
            tab.page.wait_for_selector("[data-ready='kept 1']", timeout=20_000)
            tab.is_well()


DRAWN_PX = """(canvas, [from, to]) => {
  const ratio = canvas.width / 160;
  const left = Math.round(from * ratio);
  const { data } = canvas.getContext("2d").getImageData(left, 0, Math.round(to * ratio) - left, canvas.height);
  let found = 0;
  for (let n = 0; n < data.length; n += 4) found += data[n] - data[n + 2] > 60;
  return found;
}"""
"""How much of a part of the frame is of the kinds' colour, which steel is not."""


@pytest.mark.parametrize("key", ["", "d"])
def test_two_kinds_of_one_colour_look_different_in_the_review(
    browser: "Browser", tmp_path: Path, key: str
) -> None:
    """Who sees no colours tells kinds apart by dashes and, where a mask is drawn, by hatching."""
    with contextlib.closing(PageUnderTest(tmp_path)) as page:
        page.add("kim", "quality")
        page.start("serve")
        keep_frames(page, 0, 1)

        def with_a_second_kind(route: Any) -> None:
            answer = route.fetch()
            line = answer.json()
            line["classes"].append(line["classes"][0] | {"kind": 2, "shape": "square", "dashes": [14, 7]})
            route.fulfill(response=answer, json=line)

        with Tab(browser, page) as tab:
            tab.page.route("**/api/line", with_a_second_kind)
            tab.log_in("kim").wait_for_selector("nav")
            tab.open("review").wait_for_selector("[data-ready='kept 0']")
            if key:
                tab.page.keyboard.press(key)
            time.sleep(0.5)
            solid, dashed = (
                tab.page.eval_on_selector("canvas.overview", DRAWN_PX, [at, at + 44]) for at in (20, 100)
            )
            assert 0 < dashed < 0.85 * solid
            tab.is_well()


def test_a_browser_whose_clock_is_wrong_shows_live_frames_as_new(browser: "Browser", page: PageUnderTest) -> None:
    """Ages are by the server's clock: one minute and one hour beside it are the same."""
    for shift_s in (60, -3600):
        with Tab(browser, page) as tab:
            tab.context.add_init_script(f"const real = Date.now; Date.now = () => real() + {1000 * shift_s}")
            tab.log_in("viewer").wait_for_selector("figure[data-camera=top] canvas")
            page.wait(
                lambda tab=tab: float(tab.page.get_attribute("figure", "data-age-ms")) > 0, "a frame is drawn"
            )
            assert float(tab.page.get_attribute("figure", "data-age-ms") or "inf") < 10_000 * slowdown()
            assert tab.page.query_selector("figure.old") is None
            tab.is_well()


def test_the_screen_of_the_line_follows_a_restart_with_another_recipe(browser: "Browser", tmp_path: Path) -> None:
    """It names the recipe that the line judges by, and reads the plans again, without a reload."""
    page = PageUnderTest(tmp_path)
    recipe = tmp_path / "recipe.toml"
    with running(page), page.client() as client, Tab(browser, page) as tab:

        def judges_by() -> str:
            line = client.get("/api/state").json()["line"]
            return str(line and line["recipe"])

        before = page.wait(lambda: judges_by().startswith("steel@") and judges_by(), "the line tells its recipe")
        tab.open("line").wait_for_selector(f"dd:has-text('{before}')")
        page.stop("run")
        recipe.write_text(recipe.read_text().replace("min_area_mm2 = 4", "min_area_mm2 = 5.5"))
        page.start("run")
        page.wait(lambda: judges_by() not in (before, "None"), "the line tells its new recipe")
        tab.page.wait_for_selector(f"dd:has-text('{judges_by()}')")
        tab.page.wait_for_selector(f"p b:has-text('{judges_by()}')")
        assert tab.page.input_value("label:has-text('Smallest area') input") == "5.5"
        assert tab.page.query_selector("text=/until it is started again/") is None


def test_ten_pages_at_once_cost_no_frame(browser: "Browser", page: PageUnderTest) -> None:
    """Ten pages of one browser, each in a context of its own: all draw, and the line inspects every frame."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Tab(browser, page))
        first.log_in("viewer").wait_for_selector("nav")
        look = {"storage_state": first.context.storage_state(), "viewport": {"width": 900, "height": 600}}
        tabs = [first, *(stack.enter_context(Tab(browser, page, **look)) for _ in range(9))]
        for tab in tabs:
            tab.open()
        for tab in tabs:
            tab.page.wait_for_selector("figure[data-camera=top] canvas", timeout=1000 * CROWDED_S)
        # The browsers of this PC come before the page's server, whose priority is low.
        with page.client("viewer", timeout_s=CROWDED_S) as client:
            before = client.get("/api/state").json()["line"]["cameras"]["top"]
            for tab in tabs:
                width = "document.querySelector('figure canvas').width"
                page.wait(
                    lambda tab=tab, width=width: tab.page.evaluate(width) == 160, "a frame is drawn", CROWDED_S
                )
            page.wait(
                lambda: (
                    client.get("/api/state").json()["line"]["cameras"]["top"]["captured"] > before["captured"] + 24
                ),
                "the line goes on",
                CROWDED_S,
            )
            after = client.get("/api/state").json()["line"]["cameras"]["top"]
        assert after["uninspected"] == before["uninspected"]
        for tab in tabs:
            tab.is_well()


def test_frames_are_reviewed_by_keyboard_alone(browser: "Browser", page: PageUnderTest) -> None:
    """Accept, undo, draw with the brush, save: what the database then has is what was drawn."""
    with page.client("quality") as client, Tab(browser, page) as tab:
        tab.log_in("quality").wait_for_selector("nav")
        first = client.get("/api/review").json()["frames"][0]["id"]
        done = client.get("/api/review/done").json()  # by the tests before
        tab.open("review").wait_for_selector("canvas.view")
        tab.page.keyboard.press("a")
        tab.page.wait_for_selector("text=Saved")
        assert client.get("/api/review/done").json()[0]["sample_id"] == first
        tab.page.keyboard.press("u")
        page.wait(lambda: client.get("/api/review/done").json() == done, "the review is undone")
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
        page.wait(lambda: len(client.get("/api/review/done").json()) > len(done), "the review is saved")
        done = client.get("/api/review/done").json()
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


def test_an_operator_acknowledges_alarms_and_changes_no_plan(browser: "Browser", page: PageUnderTest) -> None:
    """More alarms than the live page has room for lead to the full list; the audit says who and when."""
    store = Store(page.out / "page")
    with store.changing() as connection:
        for n in range(8):
            connection.execute(
                "INSERT INTO alarms (key, text, began_ns, ended_ns, times) VALUES (?, ?, ?, ?, 3)",
                (f"lamp {n}", f"lamp {n} is weak", time.time_ns(), time.time_ns()),
            )
    with page.client("admin") as admin, Tab(browser, page) as tab:
        tab.log_in("operator").wait_for_selector(more := "aside a[href='#/line/alarms']")
        waiting = 6 + int((tab.page.text_content(more) or "").split()[0])
        assert waiting >= 8
        assert tab.page.locator("aside ul li button").count() == 6
        assert "came 3 times" in (tab.page.text_content("aside ul li") or "")
        assert serious_faults(tab.page) == []
        tab.page.click(more)
        tab.page.wait_for_selector("#alarms li:nth-child(8) button")
        assert tab.page.evaluate("document.activeElement.id") == "alarms"
        began_s = time.time()
        tab.page.click("#alarms li:has-text('lamp 3 is weak') button")
        tab.page.wait_for_selector("#alarms li:has-text('lamp 3 is weak'):has-text('acknowledged by operator')")
        [entry] = [each for each in admin.get("/api/audit").json() if each["what"] == "alarm acknowledged"]
        assert (entry["who"], entry["subject"]) == ("operator", "lamp 3 is weak")
        assert began_s - 1 < entry["at_ms"] / 1000 < time.time() + 1
        tab.page.wait_for_selector("text=/Saving needs an account/")
        assert tab.page.is_disabled("label:has-text('Smallest area') input")
        assert tab.page.query_selector("text=Save plan") is None
        assert tab.page.query_selector("text=Add account") is None
        tab.open("live").wait_for_selector(f"{more}:has-text('{waiting - 7} more')")
        tab.is_well()
    with store.changing() as connection:  # the tests after this one have no room for them
        connection.execute("DELETE FROM alarms WHERE key LIKE 'lamp %'")


def test_an_event_is_marked_on_both_maps(browser: "Browser", page: PageUnderTest) -> None:
    """A flag at its place, and its text beside the map for those who cannot see the flag."""
    with page.client("admin") as client, Tab(browser, page) as tab:
        page.wait(lambda: client.get("/api/state").json()["speeds_mm_s"]["top"], "the strip runs")
        client.post("/api/events", json={"kind": "roll change", "text": "stand 9"})
        event = client.get("/api/events").json()[0]
        tab.log_in("viewer").wait_for_selector("section[aria-label=Events] li:has-text('stand 9')")
        assert "Roll change" in (tab.page.text_content("section[aria-label=Events] li") or "")
        page.wait(lambda: tab.page.eval_on_selector(".lanes canvas", COLOUR_PX, "ink") > FLAG_PX, "the flag")
        assert serious_faults(tab.page) == []
        found = client.get("/api/coils", params={"search": event["coil"]}).json
        [coil] = page.wait(lambda: [each for each in found() if each["coil"] == event["coil"]], "its coil")
        tab.open(f"coils/{coil['run']}/{coil['coil']}").wait_for_selector("main li:has-text('stand 9')")
        page.wait(lambda: tab.page.eval_on_selector(".view canvas", COLOUR_PX, "ink") > FLAG_PX, "the flag")
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


def test_the_page_is_served_over_tls(browser: "Browser", tmp_path: Path) -> None:
    """Login, live pictures over the encrypted socket, a cookie that never travels in plain text."""
    page = PageUnderTest(tmp_path, tls=True)
    page.add("kim", "operator")
    with running(page), Tab(browser, page, ignore_https_errors=True) as tab:
        tab.log_in("kim").wait_for_selector("figure[data-camera=top] canvas")
        assert tab.page.url.startswith("https://")
        width = "document.querySelector('figure canvas').width"
        page.wait(lambda: tab.page.evaluate(width) == 160, "a frame is drawn")
        [cookie] = [each for each in tab.context.cookies() if each["name"] == "inspector_session"]
        assert cookie["secure"]
        assert cookie["httpOnly"]
        with page.client("kim") as client:  # trusts the certificate's authority, and no other
            assert client.get("/api/state").status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(page.url.replace("https", "http"), timeout=5)
        tab.is_well()


def test_a_stalled_browser_and_a_stalled_page_cost_no_frame(browser: "Browser", page: PageUnderTest) -> None:
    """The line's verdicts go on meanwhile, and each shows the present again when it goes on itself."""

    def counted() -> tuple[int, int]:
        line = ask(page.health)[1].line
        assert line is not None
        return line.cameras["top"].verdicts, line.cameras["top"].uninspected

    def age_ms() -> float:
        return float(tab.page.get_attribute("figure[data-camera=top]", "data-age-ms") or "inf")

    with Tab(browser, page) as tab:
        tab.log_in("viewer").wait_for_selector("figure[data-camera=top] canvas")
        before = counted()
        tab.page.evaluate("() => { const until = performance.now() + 4000; while (performance.now() < until); }")
        after = counted()
        assert after[0] > before[0] + 12
        assert after[1] == before[1]
        page.wait(lambda: tab.page.query_selector("[data-stale]") is None and age_ms() < 3000, "the page is up")
        os.kill(page.pid("serve"), signal.SIGSTOP)
        try:
            tab.page.wait_for_selector("[data-stale=page]")
            before = counted()
            time.sleep(4)
            after = counted()
        finally:
            os.kill(page.pid("serve"), signal.SIGCONT)
        assert after[0] > before[0] + 12
        assert after[1] == before[1]
        tab.page.wait_for_selector("[data-stale]", state="detached")
        page.wait(lambda: age_ms() < 3000, "the newest frame is drawn")
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
    page = PageUnderTest(tmp_path)
    with running(page), Tab(browser, page) as tab:
        tab.open().wait_for_selector("figure[data-camera=top] canvas")
        page.stop("serve", signal.SIGKILL)
        ended_s = time.monotonic()
        tab.page.wait_for_selector("[data-stale=page]")
        assert time.monotonic() - ended_s < STALE_S * slowdown()
        page.start("serve")
        tab.page.wait_for_selector("[data-stale]", state="detached")
