"""A real Chromium for tests and screenshots."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

# As root there is no sandbox; the rest keeps Chromium from calling its makers.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless; its absence is an error that names the package."""
    path = shutil.which("chromium")
    assert path, "The browser tests need Chromium: install the system package chromium."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


_REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`Content-Security-Policy: ${event.violatedDirective} refused ${event.blockedURI}`));
"""


@contextlib.contextmanager
def watched_page(context: BrowserContext, *, expected: Sequence[str] = ()) -> Iterator[Page]:
    """A page whose block fails on any error in the console, refusals of the security policy included, but for the
    `expected` ones: a page that is answered with a status from 400 on is an error to Chromium."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    context.add_init_script(_REPORT_VIOLATIONS)
    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == list(expected)
