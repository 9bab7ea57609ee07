"""A real browser without a window: Debian's Chromium, driven by Playwright."""

from contextlib import contextmanager
from pathlib import Path

import pytest
from programs import need

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def launch():
    """A function that starts a browser with some flags; without one the test is skipped, or fails where it must run."""
    need("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield lambda *flags: playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*QUIET, *flags])


@pytest.fixture(scope="module")
def chromium(launch):
    """A browser without WebGL, as on a PC without a graphics processor."""
    with launch("--disable-gpu", "--disable-3d-apis") as browser:
        yield browser


@pytest.fixture
def chromium_gl(launch):
    """A browser with WebGL2, computed by the processor."""
    with launch("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader") as browser:
        yield browser


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
    page.on(
        "console",
        lambda m: complaints.append(m.text) if m.type in ("error", "warning") and "GPU stall" not in m.text else None,
    )
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else complaints.append(r.url))
    if before:
        page.add_init_script(before)
    page.goto(Path(file).resolve().as_uri())
    yield page
    context.close()
    assert complaints == []
