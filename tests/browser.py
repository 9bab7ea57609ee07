"""A real browser without a window: Debian's Chromium, driven by Playwright."""

from contextlib import contextmanager
from pathlib import Path

import pytest
from programs import need

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium():
    """The browser; without one the test is skipped, or fails where nothing may be skipped."""
    need("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield browser
        browser.close()


@contextmanager
def opened(browser, file, *, width=1280, height=800, before="", **options):
    """Open a file; its page must not complain, and must ask for nothing but files beside it.

    Args:
        browser: the browser.
        file: path of the page.
        width, height: of the window.
        before: script that runs before those of the page.
        options: of the browser's context, such as `color_scheme`.
    """
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    complaints = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else complaints.append(r.url))
    if before:
        page.add_init_script(before)
    page.goto(Path(file).resolve().as_uri())
    yield page
    context.close()
    assert complaints == []
