"""`make shots`: screenshots of every kind of page of a running Loupe, wide and narrow, light and dark, into shots/."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from tests.browsing import chromium

MODEL = "/m/smollm2-135m-instruct-q4/"
PAGES = {
    "home": "/",
    "model": MODEL,
    "layer": f"{MODEL}L18/",
    "layer-filtered": f"{MODEL}L18/?where=share_active&min=.99&sort=maximum&text=repeated-random.0",
    "neuron": f"{MODEL}L18N210/",
    "neuron-interval": f"{MODEL}L3N1024/?examples=3",
    # README names this address: docs/head.png is the top of its light, wide screenshot
    "induction-head": f"{MODEL}L18H6/?text=bundled-texts.0&q=18",
    "induction-head-repeated": f"{MODEL}L18H6/?text=repeated-random.0",
    "previous-token-head": f"{MODEL}L16H0/",
    "experiments": "/x/",
    "not-found": f"{MODEL}L99H6/",
}
WIDTHS = (1440, 390)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def main() -> None:
    site = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"
    folder = Path("shots")
    folder.mkdir(exist_ok=True)
    with chromium() as browser:
        for width in WIDTHS:
            for scheme in SCHEMES:
                context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
                page = context.new_page()
                for name, address in PAGES.items():
                    page.goto(site + address, wait_until="networkidle")
                    page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
                context.close()
    print(f"{len(PAGES) * len(WIDTHS) * len(SCHEMES)} screenshots are in {folder}/")


if __name__ == "__main__":
    main()
