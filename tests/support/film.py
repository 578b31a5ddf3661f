"""Films the operator's page of `make demo-live`, which must be running: python -m tests.support.film OUT.webp."""

import io
import sys
import time
from pathlib import Path
from typing import Final

from PIL import Image

from tests.support.pages import chromium

URL: Final = "http://127.0.0.1:8470"
SIZE: Final = (1280, 800)
SHOWN: Final = (960, 600)
FRAMES: Final = 40
EVERY_S: Final = 0.25
QUALITY: Final = 55


def film(password: str, out: Path) -> None:
    """Write ten seconds of the live screen as an animated WebP."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="dark")
        page.goto(URL)
        page.fill("input[autocomplete=username]", "demo")
        page.fill("input[type=password]", password)
        page.keyboard.press("Enter")
        page.wait_for_selector("figure canvas")
        time.sleep(3)
        pictures = []
        next_s = time.monotonic()
        for _ in range(FRAMES):
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            pictures.append(picture.resize(SHOWN, Image.Resampling.LANCZOS))
            next_s += EVERY_S
            time.sleep(max(0.0, next_s - time.monotonic()))
    first, *others = pictures
    first.save(
        out, save_all=True, append_images=others, duration=round(EVERY_S * 1e3), loop=0, quality=QUALITY, method=6
    )


if __name__ == "__main__":
    film(Path("out/demo-live/password").read_text().strip(), Path(sys.argv[1]))
