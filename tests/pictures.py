"""Makes the pictures of the operator's page in docs/, while `make demo-live` runs:

    python -m tests.pictures

It needs Debian's Chromium. The demo should have judged two coils, which takes a minute."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from inspector.values import Pixels
from tests.support.pages import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT: Final = Path(__file__).parents[1]
ADDRESS: Final = "http://127.0.0.1:8470"
FILM_WIDTH: Final = 960
SHOWN_MS: Final = 400
"""Time of a picture in the film, ms; as much passes between two pictures of a screen that moves."""
LIVE_PICTURES: Final = 16
QUALITY: Final = 45


class Film:
    """Pictures of one page, in the order in which they are taken."""

    def __init__(self, page: "Page") -> None:
        self._page = page
        self.pictures: list[Pixels] = []
        self.times_ms: list[int] = []

    def take(self, shown_ms: int = SHOWN_MS) -> None:
        """Add the page as it looks now."""
        picture = _shown(self._page)
        height = FILM_WIDTH * picture.shape[0] // picture.shape[1]
        small = cv2.resize(picture, (FILM_WIDTH, height), interpolation=cv2.INTER_AREA)
        self.pictures.append(np.asarray(small, np.uint8))
        self.times_ms.append(shown_ms)

    def act(self, what: Callable[[], object], shown_ms: int = 1800) -> None:
        """Do something on the page, and show what comes of it."""
        what()
        self._page.wait_for_timeout(900)
        self.take(shown_ms)

    def write(self, path: Path) -> None:
        """Write the film. Raises OSError."""
        film = cv2.Animation()
        film.frames = self.pictures
        film.durations = self.times_ms
        if not cv2.imwriteanimation(str(path), film, [cv2.IMWRITE_WEBP_QUALITY, QUALITY]):
            raise OSError(f"{path}: cannot be written")


def main() -> None:
    """Take both pictures."""
    password = (ROOT / "out/demo-live/password").read_text().strip()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark", locale="en-GB")
        page.goto(ADDRESS)
        page.fill("input[autocomplete=username]", "demo")
        page.fill("input[type=password]", password)
        page.click("button.main")
        page.wait_for_selector("canvas")
        page.wait_for_timeout(6000)
        cv2.imwrite(str(ROOT / "docs/operator-page.webp"), _shown(page), [cv2.IMWRITE_WEBP_QUALITY, 70])
        film = Film(page)
        for _ in range(LIVE_PICTURES):
            began_s = time.monotonic()
            film.take()
            page.wait_for_timeout(max(0.0, SHOWN_MS - 1000 * (time.monotonic() - began_s)))
        film.act(lambda: page.keyboard.press("Alt+2"))
        film.act(lambda: page.locator("main tbody tr").nth(1).click())
        film.act(page.locator("main tbody tr").first.click, 2500)
        film.act(lambda: page.keyboard.press("Alt+3"))
        film.act(lambda: page.keyboard.press("Alt+1"))
        film.write(ROOT / "docs/operator-page-film.webp")


def _shown(page: "Page") -> Pixels:
    """uint8 [H, W, 3] of the page as it looks now."""
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


if __name__ == "__main__":
    main()
